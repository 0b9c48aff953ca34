"""The response format: numbered claims, each tagged sure or not sure, and one overall confidence.

    1. The digit is 7. I'm sure.
    2. Its colour is red. I'm not sure.
    Confidence: 0.7

The instruction that asks for this format stands beside the parser that reads it. It reads, besides the
example:

- bullets ``1.`` ``1)`` ``(1)`` ``-`` ``*`` followed by a space; one bullet starts one claim;
- tags "I'm sure", "I am sure", "I'm not sure", "I am not sure", "I'm unsure", "I am unsure" in any case, with a
  straight or curly apostrophe, at the end of the claim; markdown, brackets and quotation marks around it do not count;
- a claim over several lines: it goes on until its tag, the next bullet or the confidence line;
- confidence lines "Confidence: 0.7", "Overall confidence = .85", "Confidence: 85%", anywhere after the start of a line;
- text outside the list (before it, after it, or between a tag and the next bullet): ignored, unless it holds a tag.

Anything else is a defect, listed by name (`DEFECTS`), and never guessed. Reading takes time
linear in the length of the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

FORMAT_INSTRUCTION = (
    'Answer in numbered claims, one fact each. End each claim with "I\'m sure." or "I\'m not sure." '
    'Finish with "Confidence: " and a number from 0 to 1.'
)
MAX_CLAIMS = 64
"""A longer list is a defect: no honest answer is as long, and every claim costs an expert's judgement."""

DEFECTS = {
    "no_claims": "the text holds no list item",
    "missing_tag": "a list item does not end with a tag",
    "empty_claim": "a list item says nothing besides its bullet and tag",
    "extra_tag": "a tag that does not end a claim of its own: two tags in one item, or a tag outside the list",
    "too_many_claims": f"the list is longer than {MAX_CLAIMS} items; reading stops there",
    "no_confidence": "the text holds no confidence line",
    "unreadable_confidence": "a confidence line does not hold one plain number",
    "confidence_out_of_range": "a confidence outside 0 to 1, or outside 0 to 100 with a percent sign",
    "conflicting_confidences": "two confidence lines with different values",
}
"""Every defect that `parse_response` can list, with its meaning. A response lists its defects in this order."""

_TAG = r"(?<![^\W_])I(?:['’‘ʼ`´]m| am) (not sure|unsure|sure)"
_TAG_AT_END = re.compile(_TAG + r"\Z", re.IGNORECASE | re.ASCII)
_TAG_SENTENCE = re.compile(_TAG + r"(?= ?(?:[.!?,;:)\]*_\"'”’]|\Z))", re.IGNORECASE | re.ASCII)
_LONGEST_TAG = len("I am not sure")
_AFTER_TAG = " .!*_)]\"'”’`"
_BULLET = re.compile(r"(?:[-*•]|\(?[0-9]{1,3}[.)])(?: |\Z)")
_CONFIDENCE = re.compile(
    r"[*_ ]*(?:my )?(?:overall |final )?confidence[*_ ]*[:=]", re.IGNORECASE | re.ASCII
)
_NUMBER = re.compile(r"([+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})) ?(%?)")


@dataclass(frozen=True)
class Claim:
    """One claim: `text` without bullet and tag, whitespace folded; `sure` is whether its tag was "I'm sure"."""

    text: str
    sure: bool


@dataclass(frozen=True)
class ParsedResponse:
    """What could be read of a response.

    Attributes:
        claims: the list items that hold both a text and a tag, in order, repetitions included.
        confidence: the overall confidence in [0, 1]; None where there is none or it is a defect.
        defects: names out of `DEFECTS`, in that order, each at most once.
    """

    claims: tuple[Claim, ...]
    confidence: float | None
    defects: tuple[str, ...] = ()

    @property
    def well_formed(self) -> bool:
        """No defect, at least one claim, and a confidence."""
        return not self.defects and bool(self.claims) and self.confidence is not None


def claim_prompt(question: str) -> str:
    """The prompt that asks for a calibrated answer: the question, then the format instruction on a line of its own."""
    return f"{question}\n{FORMAT_INSTRUCTION}"


def normalise(text: str) -> str:
    """The text by which two claims count as the same: lower case, whitespace folded, final period dropped."""
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def _ends_with_tag(text: str) -> re.Match[str] | None:
    """The tag that ends `text` (folded, decoration stripped); looks at the last few characters only."""
    return _TAG_AT_END.search(text, max(0, len(text) - _LONGEST_TAG - 1))


def _claim_text(text: str) -> str:
    """What stands before a tag, without the punctuation that joins it to the tag; "" if it holds no letter or digit."""
    last = next((i for i in range(len(text) - 1, -1, -1) if text[i].isalnum()), None)
    if last is None:
        return ""
    end = text.find(" ", last)
    return text[: end if end >= 0 else None].rstrip(",;:–—-([")


class _Reader:
    """State of one pass over the lines of a response."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.confidences: set[float] = set()
        self.defects: set[str] = set()
        self.items = 0
        self.parts: list[str] = []
        self.open = False

    def add(self, line: str) -> None:
        """Add a piece of the open item. The item closes as soon as what was read of it ends with a tag."""
        self.parts.append(line)
        stripped = line.rstrip(_AFTER_TAG)
        # Every tag ends with "sure" and has at most four words, so it stands in the last four pieces at most.
        if stripped[-4:].lower() == "sure":
            before = [part[-_LONGEST_TAG:] for part in self.parts[-4:-1]]
            if _ends_with_tag(" ".join([*before, stripped])):
                self.close()

    def start(self, line: str) -> None:
        self.close()
        self.items += 1
        self.open = True
        self.add(line)

    def close(self) -> None:
        """End the open item, if there is one: a claim, or a defect."""
        if not self.open:
            return
        item = " ".join(self.parts).strip()
        self.open, self.parts = False, []
        stripped = item.rstrip(_AFTER_TAG)
        tag = _ends_with_tag(stripped)
        text = _claim_text(stripped[: tag.start()] if tag else item)
        if _CONFIDENCE.match(item):
            self.defects.add("unreadable_confidence")
        elif not text:
            self.defects.add("empty_claim")
        elif tag is None:
            self.defects.add("missing_tag")
        elif _TAG_SENTENCE.search(text):
            self.defects.add("extra_tag")
        else:
            self.claims.append(Claim(text, tag[1].lower() == "sure"))

    def confidence(self, value: str) -> None:
        self.close()
        match = _NUMBER.fullmatch(value.strip('*_` "').removesuffix(".").rstrip('*_` "'))
        if match is None:
            self.defects.add("unreadable_confidence")
            return
        number = float(match[1] + ("e-2" if match[2] else "")) + 0.0
        if 0 <= number <= 1:
            self.confidences.add(number)
        else:
            self.defects.add("confidence_out_of_range")

    def outside(self, line: str) -> None:
        """Text that belongs to no claim. Before the first item it is not looked at."""
        if self.items and _TAG_SENTENCE.search(line):
            self.defects.add("extra_tag")

    def read(self, line: str) -> bool:
        """Read one line; False when the list has become too long to go on."""
        folded = " ".join(line.split())
        if not folded:
            return True
        bullet = _BULLET.match(folded)
        content = folded[bullet.end() :] if bullet else folded
        if heading := _CONFIDENCE.match(content):
            self.confidence(content[heading.end() :])
        elif bullet:
            if self.items == MAX_CLAIMS:
                return False
            self.start(content)
        elif self.open:
            self.add(folded)
        else:
            self.outside(folded)
        return True


def parse_response(text: str) -> ParsedResponse:
    """Read a response (see the module docstring for what is accepted, `DEFECTS` for what is not). Never raises.

    >>> parse_response("1. The digit is 7. I'm sure.\\nConfidence: 70%")
    ParsedResponse(claims=(Claim(text='The digit is 7.', sure=True),), confidence=0.7, defects=())
    """
    reader = _Reader()
    complete = all(reader.read(line) for line in text.splitlines())
    reader.close()
    defects = reader.defects
    if not complete:
        defects.add("too_many_claims")
    if not reader.items:
        defects.add("no_claims")
    if len(reader.confidences) > 1:
        defects.add("conflicting_confidences")
    unusable = defects & {
        "unreadable_confidence",
        "confidence_out_of_range",
        "conflicting_confidences",
    }
    if complete and not reader.confidences and not unusable:
        defects.add("no_confidence")
    confidence = (
        next(iter(reader.confidences)) if reader.confidences and complete and not unusable else None
    )
    return ParsedResponse(
        tuple(reader.claims), confidence, tuple(name for name in DEFECTS if name in defects)
    )


def _format_confidence(confidence: float) -> str:
    """The fewest decimals that read back as the same number: 0.7, 1.0, 0.00001 (never an exponent)."""
    return format(Decimal(repr(float(confidence) + 0.0)), "f")


def render_response(claims: Sequence[Claim], confidence: float) -> str:
    """The response text for these claims; `parse_response` reads exactly the same claims and confidence back.

    Args:
        claims: 1 to `MAX_CLAIMS` claims, whose text is one line with single spaces, begins with no confidence heading,
            holds at least one letter or digit and no tag, and does not end with a comma, colon, dash or opening
            bracket.
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
