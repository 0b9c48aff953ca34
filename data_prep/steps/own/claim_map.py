"""From a model's own probabilities to the chance that an answer is right:
two maps, fitted together.

    claim    log-probability of a claim's tokens  ->  chance that the claim is right
    answer   the claims' chances of one answer    ->  chance that the answer is right

Each is isotonic regression (Zadrozny & Elkan 2002) on the score of a logistic regression. The score
has an offset for each dataset; the isotonic map, one for all datasets, makes it a frequency. An
answer's features are the mean and the least of its claims' chances, as log-odds.

`cross_fitted` maps every question by maps that were fitted without it, so that no verdict enters
its own target.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_fns.calibration import expected_calibration_error

Floats = NDArray[np.float64]
Strings = NDArray[np.str_]
_ENDS = 0.01
"""Chances stay this far from 0 and 1: no finite number of verdicts shows
that a model never errs.
"""


@dataclass(frozen=True)
class Answers:
    """Judged answers as columns; a claim knows its answer by `answer_of`.

    Attributes:
        question, dataset: (n,) of each answer.
        correct: (n,) verdicts in [0, 1]; weight: (n,) how often the answer was drawn, >= 1.
        logprob, label: (m,) of each claim: <= 0, and 0 or 1.
        answer_of: (m,) index of the claim's answer.
    """

    question: Strings
    dataset: Strings
    correct: Floats
    weight: Floats
    logprob: Floats
    label: Floats
    answer_of: NDArray[np.intp]


@dataclass(frozen=True)
class Fit:
    """How well cross-fitted chances foretell verdicts.

    Attributes:
        n: answers or claims, with repetitions; auroc: NaN with one class;
            spread: standard deviation.
    """

    n: int
    auroc: float
    ece: float
    brier: float
    spread: float

    @classmethod
    def of(cls, chance: Floats, correct: Floats, weight: Floats) -> "Fit":
        """Measured on chances (n,), verdicts (n,) in [0, 1] and counts (n,)."""
        from sklearn.metrics import roc_auc_score

        times = weight.astype(int)
        c, y = np.repeat(chance, times), np.repeat(correct, times)
        right, wrong = y.sum(), (1 - y).sum()
        auroc = float("nan")
        if right and wrong:
            both = np.repeat([1, 0], len(c))
            auroc = float(roc_auc_score(both, np.tile(c, 2), sample_weight=np.r_[y, 1 - y]))
        brier = float(np.mean((c - y) ** 2))
        return cls(len(c), auroc, expected_calibration_error(c, y), brier, float(np.std(c)))


class ScoreMap:
    """Logistic score of features and dataset, then isotonic regression of the verdict on it."""

    def __init__(self, datasets: Sequence[str]) -> None:
        self.datasets = list(datasets)

    def fit(self, x: Floats, dataset: Strings, y: Floats, weight: Floats) -> "ScoreMap":
        """Fit on features (n, d), datasets (n,), verdicts (n,) in [0, 1] and counts (n,)."""
        from sklearn.isotonic import IsotonicRegression
        from sklearn.linear_model import LogisticRegression

        self.mean, self.scale = x.mean(axis=0), x.std(axis=0) + 1e-9
        columns = self._columns(x, dataset)
        # A verdict between 0 and 1 counts as that share of a right answer.
        twice, labels = np.concatenate([columns, columns]), np.repeat([1, 0], len(y))
        weights = np.concatenate([weight * y, weight * (1 - y)])
        self.score = LogisticRegression(max_iter=1000).fit(twice, labels, sample_weight=weights)
        self.chance = IsotonicRegression(y_min=_ENDS, y_max=1 - _ENDS, out_of_bounds="clip")
        self.chance.fit(self.score.decision_function(columns), y, sample_weight=weight)
        return self

    def apply(self, x: Floats, dataset: Strings) -> Floats:
        """Chances (n,) in [0.01, 0.99]."""
        scores = self.score.decision_function(self._columns(x, dataset))
        chances: Floats = self.chance.predict(scores)
        return chances

    def _columns(self, x: Floats, dataset: Strings) -> Floats:
        offsets = (dataset[:, None] == np.array(self.datasets)[None, :]).astype(np.float64)
        return np.concatenate([(x - self.mean) / self.scale, offsets], axis=1)

    def describe(self) -> dict[str, Any]:
        """Its parameters as plain values."""
        d = len(self.mean)
        coefficients = self.score.coef_[0]
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "coefficients": coefficients[:d].tolist(),
            "intercept": float(self.score.intercept_[0]),
            "offsets": dict(zip(self.datasets, coefficients[d:].tolist(), strict=True)),
            "isotonic": {
                "score": self.chance.X_thresholds_.tolist(),
                "chance": self.chance.y_thresholds_.tolist(),
            },
        }


@dataclass(frozen=True)
class OwnMap:
    """The two maps of a fit."""

    claim: ScoreMap
    answer: ScoreMap

    @classmethod
    def fit(cls, answers: Answers, use: NDArray[np.bool_], datasets: Sequence[str]) -> "OwnMap":
        """Fit on the answers (n,) that `use` marks, and on their claims."""
        of_claim = use[answers.answer_of]
        claim = ScoreMap(datasets).fit(
            answers.logprob[of_claim, None],
            answers.dataset[answers.answer_of][of_claim],
            answers.label[of_claim],
            answers.weight[answers.answer_of][of_claim],
        )
        features = answer_features(_claim_chances(claim, answers), answers)
        answer = ScoreMap(datasets).fit(
            features[use], answers.dataset[use], answers.correct[use], answers.weight[use]
        )
        return cls(claim, answer)

    def apply(self, answers: Answers) -> tuple[Floats, Floats]:
        """Chances of all answers (n,) and of all claims (m,)."""
        claims = _claim_chances(self.claim, answers)
        return self.answer.apply(answer_features(claims, answers), answers.dataset), claims


def _claim_chances(claim: ScoreMap, answers: Answers) -> Floats:
    return claim.apply(answers.logprob[:, None], answers.dataset[answers.answer_of])


def answer_features(claim_chance: Floats, answers: Answers) -> Floats:
    """Log-odds of the mean and of the least of each answer's claim chances, (n, 2)."""
    n = len(answers.correct)
    count = np.bincount(answers.answer_of, minlength=n)
    mean = np.bincount(answers.answer_of, weights=claim_chance, minlength=n) / count
    least = np.ones(n)
    np.minimum.at(least, answers.answer_of, claim_chance)
    both = np.stack([mean, least], axis=1)
    return np.log(both / (1 - both))


def cross_fitted(answers: Answers, folds: int, seed: int) -> tuple[Floats, Floats]:
    """Chances of answers (n,) and claims (m,), each by maps that never saw its question's verdicts.

    Args:
        folds: parts of the questions, >= 2.

    Raises:
        ValueError: fewer questions than folds.
    """
    from sklearn.model_selection import GroupKFold

    of_answer, of_claim = np.empty(len(answers.correct)), np.empty(len(answers.label))
    datasets = sorted(set(answers.dataset.tolist()))
    split = GroupKFold(folds, shuffle=True, random_state=seed)
    for kept, held_out in split.split(answers.correct, groups=answers.question):
        use = np.zeros(len(answers.correct), dtype=bool)
        use[kept] = True
        answer_chance, claim_chance = OwnMap.fit(answers, use, datasets).apply(answers)
        of_answer[held_out] = answer_chance[held_out]
        theirs = ~use[answers.answer_of]
        of_claim[theirs] = claim_chance[theirs]
    return of_answer, of_claim


def describe(answers: Answers, of_answer: Floats, of_claim: Floats) -> dict[str, Any]:
    """What the file says: the maps fitted on all answers, and how well the cross-fitted ones do."""
    datasets = sorted(set(answers.dataset.tolist()))
    whole = OwnMap.fit(answers, np.ones(len(answers.correct), dtype=bool), datasets)
    claim_weight = answers.weight[answers.answer_of]
    return {
        "claims": asdict(Fit.of(of_claim, answers.label, claim_weight)),
        "answers": asdict(Fit.of(of_answer, answers.correct, answers.weight)),
        "claim_map": whole.claim.describe(),
        "answer_map": whole.answer.describe(),
    }
