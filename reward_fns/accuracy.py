"""How right a short answer is, by each dataset's own rule: a number in [0, 1].

vqa      VQAv2, OK-VQA: ten annotators answered. With n(S) the number of a subset S of nine
         annotators who gave the answer, the score is the mean over the ten subsets of
         min(n(S) / 3, 1). For n of ten annotators:
             0 -> 0     1 -> 0.3     2 -> 0.6     3 -> 0.9     4 or more -> 1
         since leaving out one of the n leaves n - 1:
             n/10 * min((n - 1)/3, 1) + (10 - n)/10 * min(n/3, 1).
         With fewer annotators the same formula holds; a single one cannot be left out, so that
         rule is exact match.
textvqa  TextVQA: the same score after its own normalisation, `normalise_textvqa`.
exact    GQA, OCR-VQA: 1 if the answer equals one of the references, else 0.

All compare after a normalisation. References that all read the same are compared as they are, as
the official program for VQA does, which leaves both sides unprocessed then: "a" is right where ten
annotators say "a". So that "Red." is right beside ten times "red", the answer counts there in its
processed form too, the form in which LLaVA's answers are submitted to VQA's server. But for that
form the two scores are those of the official programs (vqaEval.py of VQA, m4c_evaluators.py of
MMF). An empty answer scores 0. These rules are for answers of a few words; a sentence that holds
the right words is not equal to them, and an expert has to judge it.

Sources: Antol et al. 2015 and the VQA evaluation page; Singh et al. 2019 (TextVQA); Hudson and
Manning 2019 (GQA); Mishra et al. 2019 (OCR-VQA).
"""

import re
from collections.abc import Callable, Iterator, Sequence
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

_STEMS = MappingProxyType(
    {
        "n't": (
            "ai are ca could did does do had has have is might must need ought sha "
            "should was were wo would"
        ),
        "'ve": "could might must not should they we what where who would you",
        "'re": "there they what why you",
        "'ll": "how it somebody someone something they what who why you",
        "'d": "he how it someone something there they where who you",
        "'s": "he how somebody someone that there what when where who why",
    }
)
_SINGLE = ("ma'am", "o'clock", "'twas", "y'all")
_DOUBLE = (
    *(f"{stem}n't've" for stem in "could had might should would".split()),
    *(
        f"{stem}'d've"
        for stem in "he it she somebody someone something there they we who you".split()
    ),
    "y'all'll",
    "'ow's'at",
)


def _one_apostrophe_short(full: str) -> Iterator[str]:
    """The spellings of a contraction with one of its apostrophes left out."""
    for place, mark in enumerate(full):
        if mark == "'":
            yield full[:place] + full[place + 1 :]


def _contractions() -> Iterator[tuple[str, str]]:
    """The spellings that VQA's evaluation takes for a contraction, with the contraction.

    Not in it, so not here: those of "i" (im, ive), and those that are other words (its, well,
    shed, ill). It turns "somebody'd" round, and so do we.
    """
    for ending, stems in _STEMS.items():
        for stem in stems.split():
            yield (stem + ending).replace("'", ""), stem + ending
    for full in _SINGLE:
        yield full.replace("'", ""), full
    for full in _DOUBLE:
        for spelling in _one_apostrophe_short(full):
            yield spelling, full
    for spelling in ("yall'd've", "y'alld've", "y'all'dve"):
        yield spelling, "y'all'd've"
    yield "somebody'd", "somebodyd"


CONTRACTIONS = MappingProxyType(dict(_contractions()))
"""English contractions by their spelling without an apostrophe, for answers that leave
it out: dont -> don't.
"""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


@lru_cache(maxsize=1 << 14)  # annotators mostly say the same few words
def normalise(answer: str) -> str:
    """The official normalisation of VQA answers, in its order.

    1. A punctuation mark goes away if it stands beside a space anywhere in the answer, or if the
       answer has a comma between digits (1,000 -> 1000); otherwise it becomes a space
       (t-shirt -> t shirt). Periods go away, except before a digit (2.5). Apostrophes stay.
    2. Lower case; number words up to ten become digits; articles go away;
       contractions get their apostrophe.

    >>> normalise("The two  T-shirts, isnt it?")
    "2 t shirts isn't it"
    """
    return _normalised(_stripped(answer))


@lru_cache(maxsize=1 << 14)
def normalise_textvqa(answer: str) -> str:
    """TextVQA's own: lower case, commas and question marks go away, 's becomes a
    word, then as `normalise`.

    >>> normalise_textvqa("Wendy's, 1,000?")
    "wendy 's 1000"
    """
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return _normalised(_stripped(text))


def _stripped(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _normalised(text: str) -> str:
    drop_all = _DIGIT_COMMA.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        beside_a_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if drop_all or beside_a_space else " ")
    cleaned = _PERIOD.sub("", cleaned)
    words = (NUMBER_WORDS.get(word, word) for word in cleaned.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def most_common(answers: Sequence[str]) -> str:
    """The answer that most annotators gave, compared after `normalise`; of equal counts
    the one that stands first.

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
    if len(references) < 2:
        return exact_match(answer, references)
    said = _stripped(answer)
    given = [_stripped(reference) for reference in references]
    if len(set(given)) == 1:  # the official program compares these as they are
        return float(bool(said) and given[0] in (said, normalise(said)))
    agree = [normalise(reference) for reference in given].count(normalise(said)) if said else 0
    return _leave_one_out(agree, len(given))


def textvqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The ten-annotator score after TextVQA's own normalisation.

    Raises:
        ValueError: no references.
    """
    if len(references) < 2:
        return exact_match(answer, references)
    given = [normalise_textvqa(reference) for reference in references]
    return _leave_one_out(
        given.count(normalise_textvqa(answer)) if answer.strip() else 0, len(given)
    )


def _leave_one_out(agree: int, total: int) -> float:
    """The mean of min(n / 3, 1) over the subsets without one of `total` annotators, of whom
    `agree` gave the answer.
    """
    without_one = agree * min((agree - 1) / 3, 1.0) if agree else 0.0
    return (without_one + (total - agree) * min(agree / 3, 1.0)) / total


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1.0 if the answer equals a reference, as it is or after `normalise`, else 0.0; an
    article equals itself alone.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("no reference answers")
    said, normalised = _stripped(answer).lower(), normalise(answer)
    return float(
        bool(said)
        and any(
            _stripped(reference).lower() == said
            or (bool(normalised) and normalise(reference) == normalised)
            for reference in references
        )
    )


RULES: dict[str, Callable[[str, Sequence[str]], float]] = {
    "VQAv2": vqa_accuracy,
    "OK-VQA": vqa_accuracy,
    "TextVQA": textvqa_accuracy,
    "GQA": exact_match,
    "OCR-VQA": exact_match,
}
"""Dataset tag (as in the paper's Table 1) -> its rule. A dataset that is not here
is judged by an expert.
"""
