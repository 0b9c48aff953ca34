"""Probabilities of words at one answer token, from its most probable tokens (`Token.top`).

    p_w = sum of p(token) over the listed tokens whose text is w,
          whatever its case and the blanks around it

so "yes" collects "Yes", "yes", "YES", " Yes" and "▁yes". Engines list at most 20 tokens; a word
that is not among them gets 0. What it may really have is bounded: each unlisted token has at most
the lowest listed probability, and all of them together have what the listed ones leave
(`unlisted_mass`). The rule is one for all engines, although vLLM offline could give exact values
for chosen tokens: a served model and a local one must give the same number.
"""

import math
from collections.abc import Iterable, Mapping

TOP_LOGPROBS = 20
"""The most tokens an engine lists at a position, OpenAI's limit."""


def normal_form(text: str) -> str:
    """What the variants of a word have in common.

    >>> normal_form(" Yes"), normal_form("▁YES")
    ('yes', 'yes')
    """
    return text.strip(" \t\n▁").casefold()


def word_probabilities(top: Mapping[str, float], words: Iterable[str]) -> dict[str, float]:
    """Probability of each word, in [0, 1]; 0 for one that no listed token stands for.

    Args:
        top: log-probabilities by token text (`Token.top`).
        words: in normal form (lower case, no blanks).

    >>> top = {"Yes": math.log(0.5), " yes": math.log(0.25), "No": math.log(0.25)}
    >>> word_probabilities(top, ("yes", "no", "true"))
    {'yes': 0.75, 'no': 0.25, 'true': 0.0}
    """
    found: dict[str, list[float]] = {word: [] for word in words}
    for text, logprob in top.items():
        if (word := normal_form(text)) in found:
            found[word].append(math.exp(logprob))
    return {word: math.fsum(values) for word, values in found.items()}


def variants(top: Mapping[str, float], words: Iterable[str]) -> dict[str, list[str]]:
    """The listed token texts that count for each word, the most probable first.

    >>> variants({" yes": -2.0, "Yes": -1.0, "Maybe": -1.5}, ("yes", "no"))
    {'yes': ['Yes', ' yes'], 'no': []}
    """
    found: dict[str, list[str]] = {word: [] for word in words}
    for text in sorted(top, key=lambda text: -top[text]):
        if (word := normal_form(text)) in found:
            found[word].append(text)
    return found


def unlisted_mass(top: Mapping[str, float]) -> float:
    """Probability of all tokens that are not listed together, in [0, 1].

    >>> unlisted_mass({"Yes": math.log(0.5), "No": math.log(0.25)})
    0.25
    """
    return max(0.0, 1 - math.fsum(map(math.exp, top.values())))
