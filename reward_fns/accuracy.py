"""How right a short answer is, by each dataset's own rule: a number in [0, 1].

vqa     VQAv2, OK-VQA, TextVQA: ten annotators answered. With n(S) the number of a subset S of nine annotators who gave
        the answer, the score is the mean over the ten subsets of min(n(S) / 3, 1). For n of ten annotators:
            0 -> 0     1 -> 0.3     2 -> 0.6     3 -> 0.9     4 or more -> 1
        since leaving out one of the n leaves n - 1: n/10 * min((n - 1)/3, 1) + (10 - n)/10 * min(n/3, 1).
        With fewer annotators the same formula holds; a single one cannot be left out, so that rule is exact match.
exact   GQA, OCR-VQA: 1 if the answer equals one of the references, else 0.

Both compare after `normalise`. An empty answer (or one of articles only) scores 0. These rules are for answers of a few
words; a sentence that holds the right words is not equal to them, and an expert has to judge it.

Sources: Antol et al. 2015 and the VQA evaluation page; Singh et al. 2019 (TextVQA); Hudson and Manning 2019 (GQA);
Mishra et al. 2019 (OCR-VQA).
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType

ARTICLES = frozenset({"a", "an", "the"})

NUMBER_WORDS = MappingProxyType(
    {
        "none": "0",
        **{
            word: str(value)
            for value, word in enumerate(
                "zero one two three four five six seven eight nine ten".split()
            )
        },
    }
)

_PRONOUNS = {
    "ve": "could he i might must should they we what where who would you couldn't shouldn't wouldn't mightn't",
    "re": "they we what where who you",
    "ll": "it they what who you",  # not "ill", "hell", "shell", "well": they are words
    "d": "how it someone something there they where who why you",  # not "shed" or "wed"
    "s": "he how it let someone something that there what when where who why somebody",
}
_NEGATED = (
    "ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't shan't "
    "shouldn't wasn't weren't won't wouldn't"
)
_WORDS = {"its", "were", "whore"}  # without their apostrophe these are other words
CONTRACTIONS = MappingProxyType(
    {
        full.replace("'", ""): full
        for full in (
            *_NEGATED.split(),
            *(f"{stem}'{ending}" for ending, stems in _PRONOUNS.items() for stem in stems.split()),
            *("i'm", "ma'am", "o'clock", "y'all", "'twas", "'tis"),
        )
        if full.replace("'", "") not in _WORDS
    }
)
"""English contractions by their spelling without apostrophes, for answers that leave them out: dont -> don't."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


@lru_cache(maxsize=1 << 14)  # annotators mostly say the same few words
def normalise(answer: str) -> str:
    """The official normalisation of VQA answers, in its order.

    1. A punctuation mark goes away if it stands beside a space anywhere in the answer, or if the answer has a comma
       between digits (1,000 -> 1000); otherwise it becomes a space (t-shirt -> t shirt). Periods go away, except before
       a digit (2.5). Apostrophes stay.
    2. Lower case; number words up to ten become digits; articles go away; contractions get their apostrophe.

    >>> normalise("The two  T-shirts, isnt it?")
    "2 t shirts isn't it"
    """
    text = answer.replace("\n", " ").replace("\t", " ").strip()
    drop_all = _DIGIT_COMMA.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        beside_a_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if drop_all or beside_a_space else " ")
    cleaned = _PERIOD.sub("", cleaned)
    words = (NUMBER_WORDS.get(word, word) for word in cleaned.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def most_common(answers: Sequence[str]) -> str:
    """The answer that most annotators gave, compared after `normalise`; of equal counts the one that stands first.

    Raises:
        ValueError: no answers.
    """
    if not answers:
        raise ValueError("no reference answers")
    normalised = [normalise(answer) for answer in answers]
    best = max(normalised, key=normalised.count)  # max keeps the first of equals
    return answers[normalised.index(best)]


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The ten-annotator score of the module's docstring.

    Raises:
        ValueError: no references.
    """
    total = len(references)
    if total < 2:
        return exact_match(answer, references)
    said = normalise(answer)
    agree = sum(normalise(reference) == said for reference in references) if said else 0
    without_one = agree * min((agree - 1) / 3, 1.0) if agree else 0.0
    return (without_one + (total - agree) * min(agree / 3, 1.0)) / total


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1.0 if the answer equals a reference after `normalise`, else 0.0.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("no reference answers")
    said = normalise(answer)
    return float(bool(said) and any(normalise(reference) == said for reference in references))


RULES: dict[str, Callable[[str, Sequence[str]], float]] = {
    "VQAv2": vqa_accuracy,
    "OK-VQA": vqa_accuracy,
    "TextVQA": vqa_accuracy,
    "GQA": exact_match,
    "OCR-VQA": exact_match,
}
"""Dataset tag (as in the paper's Table 1) -> its rule. A dataset that is not here is judged by an expert."""
