"""What an answer says, in three readings: a benchmark judges text, and our answers
carry tags and a confidence.

    raw        the response as it is, with bullets, tags and the confidence line
    asserted   what it says without them; a claim tagged "I'm not sure."
               counts as said like any other
    hedged     the same, but an unsure claim is a guess: its objects are not counted, and
               a judge reads "Perhaps:"

An answer that is not in the claim format is read leniently
(`reward_fns.lenient`); it hedges nothing.
"""

from dataclasses import dataclass

from reward_fns.claims import parse_response
from reward_fns.lenient import statements as lenient_statements

VIEWS = ("raw", "asserted", "hedged")
GUESS = "Perhaps: "


@dataclass(frozen=True)
class Statement:
    """One thing that an answer says; `hedged` if it says that it is not sure of it."""

    text: str
    hedged: bool = False


def statements(response: str, view: str) -> tuple[Statement, ...]:
    """What the response says in a view.

    >>> statements("1. A dog. I'm not sure.\\nConfidence: 0.4", "hedged")
    (Statement(text='A dog.', hedged=True),)

    Raises:
        ValueError: no such view.
    """
    if view not in VIEWS:
        raise ValueError(f"no view {view!r}: there are {', '.join(VIEWS)}")
    if view == "raw":
        return (Statement(response),)
    parsed = parse_response(response)
    if not parsed.list_is_whole:
        return tuple(Statement(text) for text in lenient_statements(response))
    return tuple(
        Statement(claim.text, view == "hedged" and not claim.sure) for claim in parsed.claims
    )


def counted_text(response: str, view: str) -> str:
    """The text whose objects count: what is not a guess."""
    return "\n".join(said.text for said in statements(response, view) if not said.hedged)


def judged_text(response: str, view: str) -> str:
    """The text that a judge reads; a guess is marked as one."""
    said = statements(response, view)
    return "\n".join(f"{GUESS if one.hedged else ''}{one.text}" for one in said)
