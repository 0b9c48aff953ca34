"""Self-consistency and its confidence-weighted form: which of k sampled
answers to a question is given.

    majority    the answer that most of the k samples give
    weighted    the answer with the largest sum of confidences (CISC, Taubenfeld et al. 2025)

Two samples give the same answer if they make the same statements by normalised text
(`reward_fns.claims.normalise`, as `protocols.own_consistency`), in any order; answers that say
nothing are one answer. CISC scales the confidences of a question by a softmax with a temperature
that is fitted on held-out questions; here they are summed as they are.

Answers with equally many votes are drawn at random, and the accuracy is the expectation over
that. A confidence that cannot be read weighs nothing; where no sample of a question weighs
anything, the majority decides.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from eval.metrics.estimates import bootstrap_interval, paired_bootstrap_difference
from eval.numbers.values import Interval
from eval.records import AnswerRecord, question_key
from reward_fns.claims import normalise
from reward_fns.errors import UserError
from reward_fns.lenient import statements

SIZES = (3, 5, 10, 20, 40)
_SAME = 1e-9  # sums of the same confidences in another order


@dataclass(frozen=True)
class Vote:
    """Accuracy of the two votes among the first k samples of each question.

    Attributes:
        single: mean verdict of the k samples.
        difference: weighted minus majority, paired over questions.
        questions: those with at least k samples.
    """

    model: str
    protocol: str
    k: int
    single: float
    majority: Interval
    weighted: Interval
    difference: Interval
    questions: int


def votes(records: Sequence[AnswerRecord]) -> list[Vote]:
    """Votes at each of `SIZES` that every question has samples for, and at all samples; []
    for one sample a question.

    Args:
        records: of one model and protocol.
    """
    by_question = _by_question(records)
    fewest = min(map(len, by_question.values()))
    sizes = [k for k in SIZES if k < fewest]
    return [vote(records, k) for k in (*sizes, fewest)] if fewest > 1 else []


def vote(records: Sequence[AnswerRecord], k: int) -> Vote:
    """Both votes among the first k samples of each question.

    Args:
        records: of one model and protocol.

    Raises:
        UserError: no question has k samples.
    """
    questions = [part[:k] for part in _by_question(records).values() if len(part) >= k]
    if not questions:
        raise UserError(
            f"no question of {records[0].model} has {k} answers: run `python -m eval calibration` "
            f"with --samples {k}"
        )
    strata = [part[0].dataset for part in questions]
    majority, weighted = zip(*map(verdicts, questions), strict=True)
    difference = paired_bootstrap_difference(
        "accuracy", weighted, weighted, majority, majority, strata=strata
    )
    return Vote(
        model=records[0].model,
        protocol=records[0].protocol,
        k=k,
        single=fmean(record.correct for part in questions for record in part),
        majority=_mean(majority, strata),
        weighted=_mean(weighted, strata),
        difference=Interval(difference.value, difference.low, difference.high),
        questions=len(questions),
    )


def verdicts(samples: Sequence[AnswerRecord]) -> tuple[float, float]:
    """Verdict on the answer that the samples of a question give, by majority and
    weighted; each in [0, 1].

    An answer's verdict is the mean of those of its samples: they are alike unless the
    judge contradicts itself.
    """
    given: dict[frozenset[str], list[AnswerRecord]] = defaultdict(list)
    for sample in samples:
        given[same_answer(sample.response)].append(sample)
    count = {answer: float(len(part)) for answer, part in given.items()}
    weight = {answer: sum(s.confidence or 0.0 for s in part) for answer, part in given.items()}
    correct = {answer: fmean(s.correct for s in part) for answer, part in given.items()}
    weight = weight if max(weight.values()) > 0 else count
    return _winners(count, correct), _winners(weight, correct)


def same_answer(response: str) -> frozenset[str]:
    """What two responses share that give the same answer.

    >>> same_answer("It is red.") == same_answer("it is  red")
    True
    """
    return frozenset(map(normalise, statements(response)))


def _winners(
    votes_of: Mapping[frozenset[str], float], correct: Mapping[frozenset[str], float]
) -> float:
    most = max(votes_of.values())
    return fmean(correct[answer] for answer, n in votes_of.items() if n >= most - _SAME)


def _by_question(records: Sequence[AnswerRecord]) -> dict[str, list[AnswerRecord]]:
    found: dict[str, list[AnswerRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.sample):
        found[question_key(record)].append(record)
    return found


def _mean(values: Sequence[float], strata: Sequence[str]) -> Interval:
    low, high = bootstrap_interval("accuracy", values, values, strata=strata)
    return Interval(fmean(values), low, high)
