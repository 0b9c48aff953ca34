"""Fitting post-hoc maps: scikit-learn's isotonic and logistic regression;
`reward_fns.posthoc` applies them.

A verdict between 0 and 1 (Detail) counts as that share of a right answer: the logistic fits see
the answer twice, as right with the weight y and as wrong with the weight 1 - y.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.records import AnswerRecord
from reward_fns.errors import UserError
from reward_fns.posthoc import EPSILON, Calibrator

BINS = 10
FEWEST = 50
"""A map of fewer answers is noise."""

Floats = NDArray[np.float64]


def _isotonic(c: Floats, y: Floats) -> dict[str, Any]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(c, y)
    return {"x": fitted.X_thresholds_.tolist(), "y": fitted.y_thresholds_.tolist()}


def _histogram(c: Floats, y: Floats) -> dict[str, Any]:
    """An empty bin has its middle: nothing is known there."""
    index = np.minimum((c * BINS).astype(int), BINS - 1)
    n = np.bincount(index, minlength=BINS)
    total = np.bincount(index, weights=y, minlength=BINS)
    middle = (np.arange(BINS) + 0.5) / BINS
    return {"means": np.where(n > 0, total / np.maximum(n, 1), middle).tolist()}


def _logistic(features: Floats, y: Floats, intercept: bool) -> tuple[Floats, float]:
    """Coefficients (d,) and intercept of a logistic regression without
    penalty, of features (n, d).
    """
    from sklearn.linear_model import LogisticRegression

    twice = np.concatenate([features, features])
    labels = np.repeat([1, 0], len(y))
    weights = np.concatenate([y, 1 - y])
    fitted = LogisticRegression(C=np.inf, fit_intercept=intercept, max_iter=1000, tol=1e-8)
    fitted.fit(twice, labels, sample_weight=weights)
    return fitted.coef_[0], float(fitted.intercept_[0]) if intercept else 0.0


def _temperature(c: Floats, y: Floats) -> dict[str, Any]:
    c = np.clip(c, EPSILON, 1 - EPSILON)
    (slope,), _ = _logistic(np.log(c / (1 - c))[:, None], y, intercept=False)
    if slope <= 0:
        raise UserError(
            "temperature scaling found no positive temperature: the confidences run against the "
            "verdicts; choose another method"
        )
    return {"temperature": float(1 / slope)}


def _platt(c: Floats, y: Floats) -> dict[str, Any]:
    (a,), b = _logistic(c[:, None], y, intercept=True)
    return {"a": float(a), "b": b}


def _beta(c: Floats, y: Floats) -> dict[str, Any]:
    c = np.clip(c, EPSILON, 1 - EPSILON)
    (a, b), m = _logistic(np.stack([np.log(c), -np.log(1 - c)], axis=1), y, intercept=True)
    return {"a": float(a), "b": float(b), "m": m}


FITS: dict[str, Callable[[Floats, Floats], dict[str, Any]]] = {
    "isotonic": _isotonic,
    "histogram": _histogram,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
}


def fit(
    method: str, records: Sequence[AnswerRecord], about: Mapping[str, Any] | None = None
) -> Calibrator:
    """A map fitted on the records whose confidence can be read.

    Args:
        method: a name of `FITS`.
        about: what else the file says of the fit.

    Raises:
        UserError: fewer than `FEWEST` such records, or verdicts or confidences without spread.
    """
    read = [record for record in records if record.confidence is not None]
    c = np.array([record.confidence for record in read], dtype=np.float64)
    y = np.array([record.correct for record in read], dtype=np.float64)
    if len(read) < FEWEST or np.ptp(c) == 0 or np.ptp(y) == 0:
        raise UserError(
            f"{len(read)} answers with a readable confidence, of which {len(set(c.tolist()))} "
            f"differ, and {len(set(y.tolist()))} different verdicts: a map needs {FEWEST} "
            "answers, and spread in both"
        )
    questions = sorted({record.question_id for record in read})
    return Calibrator(
        method, FITS[method](c, y), {"n": len(read), "questions": questions, **(about or {})}
    )


def by_folds(
    method: str, records: Sequence[AnswerRecord], folds: int, seed: int = 0
) -> list[float | None]:
    """Each record's confidence by a map that was fitted without its question, (n,).

    Args:
        folds: parts of the questions, >= 2; drawn with `seed`.

    Raises:
        UserError: fewer questions than folds; or, of the answers that one fold leaves, as `fit`.
    """
    questions = sorted({record.question_id for record in records})
    if len(questions) < folds:
        several = len(questions) > 1
        raise UserError(
            f"--folds {folds}: the records answer {len(questions)} "
            f"question{'s' if several else ''}, and every fold needs one: "
            f"{f'name at most {len(questions)}, or ' if several else ''}ask more questions"
        )
    order = np.random.default_rng(seed).permutation(len(questions))
    fold_of = {questions[i]: position % folds for position, i in enumerate(order)}
    maps = [
        _fit_without(fold, method, [r for r in records if fold_of[r.question_id] != fold], folds)
        for fold in range(folds)
    ]
    return [
        None
        if record.confidence is None
        else maps[fold_of[record.question_id]].apply(record.confidence)
        for record in records
    ]


def _fit_without(fold: int, method: str, records: Sequence[AnswerRecord], folds: int) -> Calibrator:
    """`fit`, whose counts are those of a part: the message says so."""
    try:
        return fit(method, records)
    except UserError as error:
        raise UserError(f"without fold {fold + 1} of {folds} there are {error}") from error
