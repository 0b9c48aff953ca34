"""A lenient reading of answers, for the evaluation of models that were never
taught the claim format.

The reward never uses it: it pays for the strict format of `claims`. Here an answer is taken for
what it says, whatever its form, and a confidence for what it plainly states:

    thinking    one block ``<think>...</think>`` or ``<thinking>...</thinking>``
                before the answer is left out
    confidence  ``## Confidence: 0.7``, ``Confidence score = 70%``, ``Confidence (0-1): 0.7``, a
                fullwidth colon, ``\\boxed{0.7}``, ``95\\%``, a value on the next line,
                behind the last sentence or before the first
    tag         "I'm sure" and its kin, at the end of a statement
    label       ``Answer: ...``, ``**Final answer:** ...``
    list        items: ``**1. ...**``, ``1.text``, ``a) ...``, ``- ...``; not
                ``J. K.``, ``-7``, ``1.5``
    prose       lines that are no item

Each record that used it names the forms. What is ambiguous stays unread (`stated_number`): also
two different numbers, one out of range, a number without the word confidence. What stands behind a
confidence on its line is a statement like any other.
"""

import re
from dataclasses import dataclass

from reward_fns.claims import parse_response
from reward_fns.response_text import answer_start, end_of_text, spoken
from reward_fns.stated_number import read_number, split_number
from reward_fns.tags import without_tags

FORMS = ("thinking", "confidence", "tag", "label", "list", "prose")
"""What the lenient reading can take, in the order of a reading's `forms`."""
THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))

_HEADING = re.compile(
    r"(?:(?:my|the|overall|final|answer) ){0,3}confidence(?: (?:score|level|value|rating))?"
    r"(?: \([^()]{1,20}\))?(?:\W{0,4}?(?:[:=\uff1a]|\bis\b)|\W{0,4}\Z)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:the )?(?:final )?answer[*_ ]{0,4}[:\uff1a][*_\s]*(?=\S)", re.IGNORECASE)
_BULLET = re.compile(
    r"[\s>#|*_]*(?:\(?(?:[0-9]{1,3}[.)]|[a-zA-Z]\))[*_]*(?=\D)|[-*•+](?=\s))?[\s#*_]*"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class LenientReading:
    """What an answer says.

    Attributes:
        said: its statements, one line each, without bullets, tags, confidence
            and thinking; "" if none.
        confidence: in [0, 1]; None if none is plainly stated.
        forms: names out of `FORMS` of what the strict format does not take.
    """

    said: str
    confidence: float | None
    forms: tuple[str, ...]


def _without_thinking(text: str) -> tuple[str, bool]:
    for tags in THINKING:
        start = answer_start(text, tags)
        if start is None:
            return "", True
        if start:
            return text[start:], True
    return text, False


def _split_confidence(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines without their confidences, and what stands behind each confidence heading."""
    rest: list[str] = []
    stated: list[str] = []
    waiting = False
    for line in lines:
        heading = _HEADING.search(line)
        if waiting and spoken(line) and heading is None:
            waiting = False
            if read_number(line) is not None:
                stated[-1] = line
                continue
        value, behind = split_number(line[heading.end() :] if heading else "")
        before = line[: heading.start()] if heading else line
        if heading is None or (spoken(before) and read_number(value) is None):
            rest.append(line)
            continue
        rest += [before, behind]
        stated.append(value)
        waiting = not spoken(value)
    return rest, stated


def _statement(line: str, forms: set[str]) -> str:
    """A line without bullet, label and tag."""
    bullet = _BULLET.match(line)
    text = line[bullet.end() :] if bullet else line
    forms.add("list" if bullet and re.search(r"[\w•+-]|[*](?=\s)", bullet[0]) else "prose")
    if label := _LABEL.match(text):
        forms.add("label")
        text = text[label.end() :]
    text, tagged = without_tags(text)
    if tagged:
        forms.add("tag")
    return " ".join(text.split()).strip("*_ ").rstrip(" ,;:–—-([")


def read_leniently(text: str) -> LenientReading:
    """What an answer in any form says (see the module docstring). Never raises.

    >>> read_leniently("Dakota. I am sure.")
    LenientReading(said='Dakota.', confidence=None, forms=('tag', 'prose'))
    """
    body, thought = _without_thinking(text)
    lines = body[: end_of_text(body)].splitlines()
    rest, stated = _split_confidence(lines)
    forms: set[str] = {"thinking"} if thought else set()
    statements = [_statement(line, forms) for line in rest if spoken(line)]
    values = {read_number(value) for value in stated}
    if stated:
        forms.add("confidence")
    return LenientReading(
        "\n".join(statement for statement in statements if any(map(str.isalnum, statement))),
        values.pop() if len(values) == 1 else None,
        tuple(form for form in FORMS if form in forms),
    )


def said(response: str) -> str:
    """What an answer says, without tags and confidence: its claims if the list is whole,
    else `read_leniently`'s.

    One line a statement; "" if it says nothing.
    """
    parsed = parse_response(response)
    if parsed.list_is_whole:
        return "\n".join(claim.text for claim in parsed.claims)
    return read_leniently(response).said


def statements(response: str) -> tuple[str, ...]:
    """What an answer states, one by one: the claims of a whole list, else
    the sentences of `said`.
    """
    parsed = parse_response(response)
    if parsed.list_is_whole:
        return tuple(claim.text for claim in parsed.claims)
    sentences = _SENTENCE_END.split(read_leniently(response).said)
    return tuple(part.strip() for part in sentences if any(map(str.isalnum, part)))


def running_text(response: str) -> str:
    """`said` on one line, for a model or an encoder to read; a response that
    says nothing as it is.
    """
    return " ".join(said(response).split()) or response.strip()
