"""The tokens of a stated number, and those that might stand in their places.

What stands before the decimal point decides more than its place: behind 1 there are zeros alone, so
the number "1.0" does not say what would stand behind a 0. Such a token, and those of "100%", stay
with the advantage of what was drawn. ``fitted``, which knows where the number is to be, lets 1 and
0 stand for 1 and the number next below it ("0.9", "0.99").
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = re.compile(r"([^0-9]*)([0-9]+)")
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*(%?)")  # as `claims` reads it
# The part of a number whose digits may change one by one: decimals with their point, two digits of
# percent.
_BY_DIGIT = re.compile(r"\.[0-9]|(?<![0-9.])[0-9]{1,2}\s*%")

Alternatives = list[tuple[int, float]]
"""Token ids, each with the confidence in [0, 1] that then stands there."""

_MOST_DECIMALS = 3
"""Of the number next below 1: with eight, float32 no longer tells it from 1, nor a mean of the two
how probable 1 is."""


class DigitTokens:
    """The tokens of a vocabulary that are digits,
    by what stands before the digits in them (a blank).

    Args:
        tokenizer: of Hugging Face.
        before_point: let a 1 and a 0 before a decimal point stand in each other's place.
    """

    def __init__(self, tokenizer: Any, before_point: bool = False) -> None:
        self._tokenizer = tokenizer
        self._before_point = before_point
        self._by_lead: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for token, index in sorted(tokenizer.get_vocab().items()):
            if match := _DIGITS.fullmatch(token):
                self._by_lead[match[1]].append((match[2], index))

    def alternatives(
        self, pieces: Sequence[str], ids: Sequence[int], is_number: NDArray[np.bool_]
    ) -> list[Alternatives]:
        """For each token of a response's numbers, those that may stand in its place,
        itself included.

        Args:
            pieces: (L,) the text that each token adds.
            ids: (L,) the tokens.
            is_number: (L,) which of them write a number; each run of them is one.

        Returns:
            (L,) lists, empty for every other token, for those before a decimal point (but see
            `before_point`) and for all of "100%". A number's token without digits (the point, a
            percent sign) has itself alone.
        """
        found: list[Alternatives] = [[] for _ in ids]
        for run, number, match in _numbers(pieces, is_number):
            stated = confidence_in(number)
            if stated is None:
                continue
            end = 0
            for place in run:
                start, end = end, end + len(pieces[place])
                if end <= match.start():
                    if self._before_point and end == match.start():
                        found[place] = self._one_or_zero(ids[place], number[end:])
                    continue
                before = number[:start] + pieces[place].rstrip("0123456789")
                values = [
                    (index, confidence_in(before + digits + number[end:]))
                    for digits, index in self._like(ids[place])
                ]
                numbers = [(index, value) for index, value in values if value is not None]
                found[place] = numbers or [(ids[place], stated)]
        return found

    def all_digits(self) -> Alternatives:
        """Each token of one digit; they stand for no number."""
        tokens = [token for lead in self._by_lead.values() for token in lead]
        return [(index, 0.0) for digits, index in tokens if len(digits) == 1]

    def _one_or_zero(self, token: int, behind: str) -> Alternatives:
        """1, and the number next below it with as many decimals as stand behind the point."""
        decimals = sum(c.isdigit() for c in behind)
        step = 10.0 ** -min(decimals, _MOST_DECIMALS)
        values = {"0": 1 - step, "1": 1.0}
        return [(index, values[digits]) for digits, index in self._like(token) if digits in values]

    def _like(self, token: int) -> list[tuple[str, int]]:
        match = _DIGITS.fullmatch(self._tokenizer.convert_ids_to_tokens(token) or "")
        return self._by_lead[match[1]] if match else []


def may_be_left_out(pieces: Sequence[str], is_number: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(L,) digits that a number might as well have ended before: all behind the first decimal, or
    behind the first digit of a percentage.

    Args:
        pieces, is_number: as of `DigitTokens.alternatives`.
    """
    found = np.zeros(len(pieces), dtype=bool)
    for run, _, match in _numbers(pieces, is_number):
        first = match.start() + (2 if match[0][0] == "." else 1)
        end = 0
        for place in run:
            start, end = end, end + len(pieces[place])
            found[place] = start >= first and any(c.isdigit() for c in pieces[place])
    return found


def _numbers(
    pieces: Sequence[str], is_number: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], str, re.Match[str]]]:
    """The tokens, the text and the `_BY_DIGIT` of each number whose digits may change."""
    places = np.flatnonzero(is_number)
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        number = "".join(pieces[place] for place in run)
        if match := _BY_DIGIT.search(number):
            yield run, number, match


def confidence_in(text: str) -> float | None:
    """The confidence that a text with one number states, in [0, 1];
    None where the reward reads none.

    >>> confidence_in(" 0.7"), confidence_in("85%"), confidence_in("1.7"), confidence_in("0.5%")
    (0.7, 0.85, None, None)
    """
    match = _NUMBER.search(text)
    if match is None:
        return None
    value = float(match[1]) / (100 if match[2] else 1)
    ambiguous = bool(match[2]) and 0 < value < 0.01
    return value + 0.0 if 0 <= value <= 1 and not ambiguous else None


def mean_number(alternatives: Sequence[Alternatives], means: Sequence[float]) -> float | None:
    """The mean of the number that might have stood behind an answer, in [0, 1];
    None where it has none.

    Args:
        alternatives: (L,) see `DigitTokens.alternatives`, with ``before_point``.
        means: (L,) of `number_means`.

    Exact but for the digits behind the first, which are as drawn. Of a number that was drawn as 1,
    what would have stood behind a 0 is unknown: the number next below 1 is put there.
    """
    places = [place for place, token in enumerate(alternatives) if len(token) > 1]
    if not places:
        return None
    first, *others = places
    if len(alternatives[first]) > 2 or not others:
        return means[first]
    below = min(value for _, value in alternatives[first])
    chance_of_one = (means[first] - below) / (1 - below)
    return chance_of_one + (1 - chance_of_one) * means[others[0]]
