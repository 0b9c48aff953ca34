"""The number that an answer states, the numbers that might have stood there, and their mean.

    c = sum_v v P(v) / sum_v P(v),    P(v) = prod of p(token | what stands before it)

over the tokens that write the value v and the token that ends it.

- The values v are those that the answer's own way to write a number allows: with one decimal 0.0 to
  1.0 (11 values), with two 0.00 to 1.00 (101), in percent 0 to 100; "0" and "1" stand beside one
  decimal.
- The text up to the number, and from the number on, is the answer's own. So the token that ends v
  is the end of sequence, or what stands behind the number (a newline, a percent sign): without it
  the 0.9 of "0.95" would count as "0.9".
- The values are renormalised: what the model might have written besides them is left out.
- Each value is written in the tokens that the tokenizer makes of the text. The beginning that all
  values share cancels, so only the branches of their trie are counted.

It serves the protocol `verbal_expected` and SFT on expected numbers (`data_prep.expected`).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from data_prep.engines.interface import (
    Engine,
    NoLogprobs,
    RefusedRequests,
    ScoredAnswer,
    ScoringRequest,
)
from data_prep.engines.scoring import shared_start
from reward_fns.claims import parse_response
from reward_fns.response_text import Span

_NUMBER = re.compile(r"(?<![0-9.])(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![0-9]|\.[0-9])")
_PERCENT = re.compile(r" ?\\?%")
_FORMATS = {
    "one decimal": [(f"{i / 10:.1f}", i / 10) for i in range(11)],
    "two decimals": [(f"{i / 100:.2f}", i / 100) for i in range(101)],
    "percent": [(str(i), i / 100) for i in range(101)],
}
_FORMATS["up to one decimal"] = [("0", 0.0), ("1", 1.0), *_FORMATS["one decimal"]]
_WRITTEN = {
    "one decimal": r"[01]\.[0-9]",
    "two decimals": r"[01]\.[0-9]{2}",
    "up to one decimal": "[01]",
    "one decimal, no leading zero": r"\.[0-9]",
    "two decimals, no leading zero": r"\.[0-9]{2}",
}
FORMATS = tuple(sorted(["percent", *_WRITTEN]))
"""Ways to write a number, as `Stated.format` names them."""


@dataclass(frozen=True)
class Stated:
    """A number in an answer, and what might have stood there.

    Attributes:
        span: where it stands.
        format: how it is written.
        values: text and value in [0, 1] of each number in that format.
    """

    span: Span
    format: str
    values: list[tuple[str, float]]

    def answers(self, response: str) -> tuple[str, ...]:
        """The response with each of the values in the number's place."""
        before, behind = response[: self.span[0]], response[self.span[1] :]
        return tuple(before + text + behind for text, _ in self.values)


def stated_number(response: str, confidence: float | None) -> Stated | None:
    """Where and how a response states its confidence; None if that cannot be told for certain.

    Args:
        confidence: what was read of it (`Answer.stated_confidence`).
    """
    if confidence is None:
        return None
    found = parse_response(response, spans=True).confidence_spans
    if not found:  # read leniently: the one number that says so
        numbers = _NUMBER.finditer(response)
        found = tuple(m.span() for m in numbers if _value(response, m) == confidence)
    if len(found) != 1:  # of two the second is certain, given the first
        return None
    span = found[0]
    written = response[span[0] : span[1]]
    if _PERCENT.match(response, span[1]):
        known = written.isdecimal() and str(int(written)) == written
        return Stated(span, "percent", _FORMATS["percent"]) if known else None
    for name, form in _WRITTEN.items():
        if re.fullmatch(form, written):
            values = _FORMATS[name.split(",")[0]]
            if "," in name:
                values = [(text.removeprefix("0"), value) for text, value in values]
            return Stated(span, name, values)
    return None


def _value(response: str, match: re.Match[str]) -> float:
    return float(match[0] + ("e-2" if _PERCENT.match(response, match.end()) else ""))


def expectation(values: Sequence[float], scored: Sequence[ScoredAnswer]) -> tuple[float, float]:
    """Mean of the values, renormalised, and the probability that lies on them; both in [0, 1].

    Args:
        values: (n,).
        scored: the answer with each value in it, (n,): alike but for the number.

    Raises:
        ZeroDivisionError: the probability is 0 for each.
    """
    ids = [[token.id for token in answer] for answer in scored]
    start = shared_start(ids)
    end = shared_start([one[start:][::-1] for one in ids])
    # Of the end that all share the first token closes the number; what follows is not about it.
    logs = [
        math.fsum(token.logprob for token in answer[start : len(answer) - end + 1])
        for answer in scored
    ]
    shares = [math.exp(log) for log in logs]
    mass = math.fsum(shares)
    mean = math.fsum(v * p for v, p in zip(values, shares, strict=True)) / mass
    return min(max(mean, 0.0), 1.0), min(mass, 1.0)


def score_values(
    engine: Engine, requests: Sequence[ScoringRequest]
) -> Sequence[list[ScoredAnswer] | None]:
    """The scored answers of each request; None for one that the model refuses.

    Raises:
        NoLogprobs: the engine does not score given text.
        RefusedRequests: it refuses all of them.
    """
    if not hasattr(engine, "score"):  # an engine of the user's, made before there was one
        raise NoLogprobs(f"the engine {type(engine).__name__} has no method `score`")
    if not requests:
        return []
    try:
        return engine.score(requests)
    except RefusedRequests as error:
        answers = [answer if isinstance(answer, list) else None for answer in error.answers]
        if not any(answers):
            raise
        tqdm.write(f"counted as numbers that cannot be scored: {error}")
        return answers
