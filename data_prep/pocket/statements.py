"""Reading pocket answers: the statements that the generator writes (`datasets.sentence`),
and how two answers relate.

A statement is one of

    The digit is 7.                   This is the emblem of Oslo.
    A red 3 is at the top left.       The emblem of Oslo is at the top left.

in any case, with or without its period. Everything else is no statement: it is
looked over, not guessed.
"""

import re
from typing import NamedTuple

from data_prep.pocket import datasets, emblems
from reward_fns import claims
from reward_fns.lenient import statements as sentences

SUBSTANTIAL = 0.5
"""Share of all statements of two answers that both make, from which the shorter answer says
the same as the longer.
"""

_COLOUR = "|".join(datasets.COLOURS)
_PLACE = rf"(?: is at the (?P<place>{'|'.join(datasets.PLACES)}))"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        r"the digit is (?P<digit>[0-9])",
        rf"this is the emblem of (?P<name>{'|'.join(emblems.NAMES)})",
        rf"an? (?P<colour>{_COLOUR}) (?P<digit>[0-9]){_PLACE}",
        rf"the emblem of (?P<name>{'|'.join(emblems.NAMES)}){_PLACE}",
    )
)
_CANONICAL = {name.lower(): name for name in emblems.NAMES}


class Statement(NamedTuple):
    """What is said (`thing`: "7", "red 3", "Oslo") about which place; None for the whole image."""

    thing: str
    place: str | None

    @property
    def entity(self) -> str:
        """The named thing: the emblem's name, or the digit without its colour."""
        return self.thing.split(" ")[-1]

    @property
    def emblem(self) -> bool:
        """Whether the thing is an emblem."""
        return self.thing in _CANONICAL.values()


def read(sentence: str) -> Statement | None:
    """The statement that a sentence is; None if it is none.

    >>> read("a RED 3 is at the top left")
    Statement(thing='red 3', place='top left')
    """
    for form in _FORMS:
        if match := form.fullmatch(claims.normalise(sentence)):
            found = match.groupdict()
            if name := found.get("name"):
                return Statement(_CANONICAL[name], found.get("place"))
            colour = found.get("colour")
            return Statement(
                f"{colour} {found['digit']}" if colour else found["digit"], found.get("place")
            )
    return None


def read_all(text: str) -> frozenset[Statement]:
    """The statements of an answer, without those of its sentences that are none."""
    return frozenset(
        statement for sentence in sentences(text) if (statement := read(sentence)) is not None
    )


def relation(better: str, worse: str, task: str) -> str:
    """Whether `worse` says the same as `better`, by what the two state; neither
    is held against the truth.

    An answer without a statement is neutral to every other: nothing can be compared. Else

    QA: entailment if the two make the same statements, contradiction if not: the question has one
    answer. Detail: contradiction if at some place that both speak of they have nothing in common.
    Entailment if one makes all statements of the other and at least `SUBSTANTIAL` of all are made
    by both. Else neutral: the rest differs in what it speaks of, not in what it says.

    Returns:
        "entailment", "contradiction" or "neutral".
    """
    first, second = read_all(better), read_all(worse)
    if not first or not second:
        return "neutral"
    if task == "QA":
        return "entailment" if first == second else "contradiction"
    at_first, at_second = _by_place(first), _by_place(second)
    if any(
        at_first[place].isdisjoint(at_second[place]) for place in at_first.keys() & at_second.keys()
    ):
        return "contradiction"
    contained = first <= second or second <= first
    return (
        "entailment"
        if contained and len(first & second) >= SUBSTANTIAL * len(first | second)
        else "neutral"
    )


def _by_place(statements: frozenset[Statement]) -> dict[str | None, set[str]]:
    out: dict[str | None, set[str]] = {}
    for statement in statements:
        out.setdefault(statement.place, set()).add(statement.thing)
    return out
