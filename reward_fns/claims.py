"""The response format: numbered claims, each tagged sure or not sure, and one overall confidence.

    1. The digit is 7. I'm sure.
    2. Its colour is red. I'm not sure.
    Confidence: 0.7

The instruction that asks for this format stands beside the parser that reads it. This reader is
strict, because the reward pays for what it reads. `reward_fns.lenient` reads models that were never
taught the format, for evaluation only.

**Nothing is said unjudged.** In a well-formed response every letter and digit stands in a claim,
in a bullet, in a tag or in a confidence line. The judge is shown every claim whole. So an answer
cannot be given, and cannot be corrected, where the judge does not look: text anywhere else is a
defect, also polite words before the list.

It reads, besides the example:

- bullets ``1.`` ``1)`` ``(1)`` ``-`` ``*`` followed by a space; one bullet starts one claim;
- tags "I'm sure", "I am sure", "I'm not sure", "I am not sure", "I'm unsure", "I am unsure" in any
  case, with a straight or curly apostrophe; behind it on its line only silent characters;
- a claim over several lines: it goes on until its tag, the next bullet or the confidence line;
- confidence lines "Confidence: 0.7", "Overall confidence = .85", "Confidence: 85%";
- silent characters anywhere: blanks, punctuation, markdown, a check mark;
- special tokens at the very end (`response_text.SPECIAL_TOKENS`), which some
  frameworks do not take off;
- one thinking block before the answer, if the caller names its tags.

Anything else is a defect, listed by name (`DEFECTS`), and never guessed. Reading takes time
linear in the length of the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from reward_fns.response_text import Span, answer_start, end_of_text, spoken, unfold
from reward_fns.tags import LONGEST_TAG, holds_tag, tag_at_end

FORMAT_INSTRUCTION = (
    'Answer in numbered claims, one fact each. End each claim with "I\'m sure." or "I\'m not '
    'sure." Finish with "Confidence: " and a number from 0 to 1.'
)
MAX_CLAIMS = 64
"""A longer list is a defect: no honest answer is as long, and every claim costs a judgement."""
MAX_CLAIM_CHARS = 2_000
"""A longer claim is a defect: a judge is shown no more of it."""
MAX_ANSWER_CHARS = 16_000
"""The same for all claims together, written as a numbered list (`numbered_list`)."""

DEFECTS = {
    "unclosed_thinking": "a thinking block that does not end",
    "no_claims": "the text holds no list item",
    "missing_tag": "a list item does not end with a tag",
    "empty_claim": "a list item says nothing besides its bullet and tag",
    "extra_tag": "a tag that does not end a claim of its own: two tags in one item, or a "
    "tag outside the list",
    "text_outside_claims": "text before, between or after the claims, or words for the number of "
    "the confidence, where no judge reads it",
    "too_many_claims": f"the list is longer than {MAX_CLAIMS} items; reading stops there",
    "too_long": f"a claim of more than {MAX_CLAIM_CHARS} characters, or more than "
    f"{MAX_ANSWER_CHARS} in all: a judge would be shown only a part",
    "no_confidence": "the text holds no confidence line",
    "cut_confidence": 'a confidence line ends in "0.": its digits were cut off',
    "unreadable_confidence": "a confidence line does not hold one plain number, or a percentage "
    "between 0 % and 1 %, which may mean either scale",
    "confidence_out_of_range": "a confidence outside 0 to 1, "
    "or outside 0 to 100 with a percent sign",
    "conflicting_confidences": "two confidence lines with different values",
}
"""Every defect that `parse_response` can list, with its meaning, in the order of the list."""

_BULLET = re.compile(r"(?:[-*•]|\(?[0-9]{1,3}[.)])(?: |\Z)")
_CONFIDENCE = re.compile(
    r"[*_ ]*(?:my )?(?:overall |final )?confidence[*_ ]*[:=]", re.IGNORECASE | re.ASCII
)
_DECORATION = '*_` "'
_CUT = re.compile(r"[+-]?0+\.+")
_NUMBER = re.compile(r"([+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})) ?(%?)")


@dataclass(frozen=True)
class Claim:
    """One claim of a response.

    Attributes:
        text: without bullet and tag, whitespace folded.
        sure: whether its tag was "I'm sure".
        text_span, tag_span: where text and tag stand in the response, if `parse_response` was asked
            for it. They do not count when claims are compared.
    """

    text: str
    sure: bool
    text_span: Span | None = field(default=None, compare=False, repr=False)
    tag_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ParsedResponse:
    """What could be read of a response.

    Attributes:
        claims: the list items that hold both a text and a tag, in order, repetitions included.
        confidence: the overall confidence in [0, 1]; None where there is none or it is a defect.
        defects: names out of `DEFECTS`, in that order, each at most once.
        confidence_spans: where the number of each confidence line stands, without a percent sign; a
            number may be stated twice. They do not count when responses are compared.
    """

    claims: tuple[Claim, ...]
    confidence: float | None
    defects: tuple[str, ...] = ()
    confidence_spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)

    @property
    def confidence_span(self) -> Span | None:
        """The last of `confidence_spans`."""
        return self.confidence_spans[-1] if self.confidence_spans else None

    @property
    def well_formed(self) -> bool:
        """No defect, at least one claim, and a confidence."""
        return not self.defects and bool(self.claims) and self.confidence is not None

    @property
    def list_is_whole(self) -> bool:
        """The claims are all that the response says: at most the confidence has a defect.

        Then too every letter stands in a claim, a bullet, a tag or the
        heading of a confidence line.
        """
        return bool(self.claims) and all("confidence" in defect for defect in self.defects)


def claim_prompt(question: str) -> str:
    """The prompt for a calibrated answer: the question, then the instruction
    on a line of its own.
    """
    return f"{question}\n{FORMAT_INSTRUCTION}"


def normalise(text: str) -> str:
    """The text by which two claims count as the same: lower case, whitespace
    folded, no final period.
    """
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def numbered_list(texts: Sequence[str]) -> str:
    """Claims as a judge is shown a whole answer: "1. ..." on a line each, without tags."""
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))


def _claim_text(text: str) -> str:
    """What stands before a tag, without what joins it to the tag; "" without letter or digit."""
    if not any(map(str.isalnum, text)):
        return ""
    end = text.find(" ", len(spoken(text)))
    return text[: end if end >= 0 else None].rstrip(",;:–—-([")


class _Reader:
    """State of one pass over the lines of a response."""

    def __init__(self, text: str, spans: bool) -> None:
        self.text = text
        self.spans = spans
        self.claims: list[Claim] = []
        self.confidences: set[float] = set()
        self.confidence_spans: list[Span] = []
        self.defects: set[str] = set()
        self.items = 0
        self.parts: list[str] = []
        self.open = False
        self.item_start = self.item_end = 0

    def add(self, line: str, end: int) -> None:
        """Add a piece of the open item, which closes as soon as it ends with a tag."""
        self.parts.append(line)
        self.item_end = end
        # Every tag ends with "sure" and has at most four words: it stands in the last four pieces.
        if "sure" in line.lower():
            before = [part[-LONGEST_TAG:] for part in self.parts[-4:-1]]
            if tag_at_end(" ".join([*before, spoken(line)])):
                self.close()

    def start(self, line: str, start: int, end: int) -> None:
        self.close()
        self.items += 1
        self.open = True
        self.item_start = start
        self.add(line, end)

    def close(self) -> None:
        """End the open item, if there is one: a claim, or a defect."""
        if not self.open:
            return
        item = " ".join(self.parts).strip()
        self.open, self.parts = False, []
        tag = tag_at_end(spoken(item))
        text = _claim_text(item[: tag.start()] if tag else item)
        if _CONFIDENCE.match(item):
            self.unreadable(item)
        elif not text:
            self.defects.add("empty_claim")
        elif tag is None:
            self.defects.add("missing_tag")
        elif holds_tag(text):
            self.defects.add("extra_tag")
        else:
            piece = (self.item_start, self.item_end)
            wanted = [(0, len(text)), tag.span()] if self.spans else []
            self.claims.append(
                Claim(text, tag[1].lower() == "sure", *unfold(self.text, piece, wanted))
            )

    def confidence(self, heading_end: int, line: str, end: int) -> None:
        """Read the value behind a confidence heading; `end` is where the line ends in the text."""
        self.close()
        value = line[heading_end:].strip(_DECORATION)
        match = _NUMBER.fullmatch(value.removesuffix(".").rstrip(_DECORATION))
        if _CUT.fullmatch(value):
            self.defects.add("cut_confidence")
            return
        if match is None:
            self.unreadable(value)
            return
        number = float(match[1] + ("e-2" if match[2] else "")) + 0.0
        if match[2] and 0 < number < 0.01:
            self.defects.add("unreadable_confidence")
        elif 0 <= number <= 1:
            self.confidences.add(number)
            start = self.text.rindex(match[1], 0, end)
            self.confidence_spans.append((start, start + len(match[1])))
        else:
            self.defects.add("confidence_out_of_range")

    def unreadable(self, value: str) -> None:
        """A confidence line that is no number; words in it may answer as well as any others."""
        self.defects.add("unreadable_confidence")
        if any(map(str.isalpha, value)):
            self.defects.add("text_outside_claims")

    def outside(self, line: str) -> None:
        """A line that belongs to no claim: it may say nothing."""
        if holds_tag(line):
            self.defects.add("extra_tag")
        elif spoken(line):
            self.defects.add("text_outside_claims")

    def read(self, line: str, start: int) -> bool:
        """Read one line that begins at `start`; False when the list has
        become too long to go on.
        """
        folded = " ".join(line.split())
        if not folded:
            return True
        end = start + len(line)
        bullet = _BULLET.match(folded)
        content = folded[bullet.end() :] if bullet else folded
        if heading := _CONFIDENCE.match(content):
            self.confidence(heading.end(), content, end)
        elif bullet:
            if self.items == MAX_CLAIMS:
                return False
            bullet_length = len(bullet[0].rstrip())
            self.start(content, start + len(line) - len(line.lstrip()) + bullet_length, end)
        elif self.open:
            self.add(folded, end)
        else:
            self.outside(folded)
        return True


def _too_long(claims: Sequence[Claim]) -> bool:
    texts = [claim.text for claim in claims]
    longest = max(map(len, texts), default=0)
    return longest > MAX_CLAIM_CHARS or len(numbered_list(texts)) > MAX_ANSWER_CHARS


def parse_response(
    text: str, thinking: tuple[str, str] | None = None, spans: bool = False
) -> ParsedResponse:
    """Read a response (see the module docstring for what is accepted). Never raises.

    Args:
        text: the response.
        thinking: opening and closing tag of a thinking block, e.g. ``("<think>", "</think>")``. One
            such block at the beginning is then left out. Without it a block is text like any other.
        spans: also say where claims and tags stand; it doubles the time.

    >>> parse_response("1. The digit is 7. I'm sure.\\nConfidence: 70%")
    ParsedResponse(claims=(Claim(text='The digit is 7.', sure=True),), confidence=0.7, defects=())
    """
    begin = answer_start(text, thinking) if thinking else 0
    if begin is None:
        return ParsedResponse((), None, ("unclosed_thinking", "no_claims", "no_confidence"))
    reader = _Reader(text, spans)
    complete, at = True, begin
    for line in text[begin : max(begin, end_of_text(text))].splitlines(keepends=True):
        complete = complete and reader.read(line, at)
        at += len(line)
    reader.close()
    defects = reader.defects
    if not complete:
        defects.add("too_many_claims")
    if not reader.items:
        defects.add("no_claims")
    if _too_long(reader.claims):
        defects.add("too_long")
    if len(reader.confidences) > 1:
        defects.add("conflicting_confidences")
    unusable = any("confidence" in name for name in defects)
    if complete and not reader.confidences and not unusable:
        defects.add("no_confidence")
    readable = complete and not unusable and bool(reader.confidences)
    return ParsedResponse(
        tuple(reader.claims),
        next(iter(reader.confidences)) if readable else None,
        tuple(name for name in DEFECTS if name in defects),
        tuple(reader.confidence_spans) if readable else (),
    )


def _format_confidence(confidence: float) -> str:
    """The fewest decimals that read back as the same number: 0.7, 1.0,
    0.00001 (never an exponent).
    """
    return format(Decimal(repr(float(confidence) + 0.0)), "f")


def render_response(claims: Sequence[Claim], confidence: float) -> str:
    """The response text for these claims; `parse_response` reads exactly the same
    claims and confidence back.

    Args:
        claims: 1 to `MAX_CLAIMS` claims, whose text is one line with single spaces, begins with no
            confidence heading, holds at least one letter or digit and no tag, and does not end
            with a comma, colon, dash or opening bracket.
        confidence: in [0, 1].

    Raises:
        ValueError: anything else, because it would not be read back the same.
    """
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence {confidence!r} is outside [0, 1]")
    lines = [
        f"{i}. {claim.text} I'm {'sure' if claim.sure else 'not sure'}."
        for i, claim in enumerate(claims, start=1)
    ]
    text = "\n".join([*lines, f"Confidence: {_format_confidence(confidence)}"])
    parsed = parse_response(text)
    if parsed.defects:
        reasons = "; ".join(f"{name} ({DEFECTS[name]})" for name in parsed.defects)
        raise ValueError(f"these claims cannot be written in the response format: {reasons}")
    for claim, read in zip(claims, parsed.claims, strict=False):
        if claim != read:
            raise ValueError(f"claim text {claim.text!r} would be read back as {read.text!r}")
    if len(parsed.claims) != len(claims):
        raise ValueError("a claim's text holds a line that would be read as another claim")
    return text
