"""Training curves that stock verl does not draw: the reward's parts, format, expert
failures and confidence, a step.

Input is what the reward returned for each rollout of the step (`reward_extra_info`), output is a
flat dict for verl's tracker. Keys:

    reward/{factuality,alignment,consistency,penalty}/mean   parts of the reward, which sum to
                                                             reward/total/mean
    reward/total/mean
    response/well_formed, response/n_claims/mean             share in [0, 1]; claims a response
    response/sure                                            share of all claims tagged "I'm sure."
    expert/failed, expert/acc                                share of rollouts; mean overall verdict
                                                             of the others
    confidence/mean, std, q10, q50, q90                      over the rollouts that state one
    confidence/at_0_or_1                                     share of them at an end of the scale
    confidence/entropy                                       of the distribution of the numbers, in
                                                             nats
    confidence/brier, confidence/overconfidence              mean (o - acc)^2; mean o - mean acc
    confidence/ece                                           calibration error of the step's
                                                             rollouts, biased upwards for small
                                                             batches
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_fns.calibration import expected_calibration_error

PARTS = ("factuality", "alignment", "consistency", "penalty")


def training_curves(rollouts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Curves of one training step.

    Args:
        rollouts: the reward's dict for each rollout, with the keys of `reward_fns.compute_score`.

    Returns:
        Metric name -> value; confidence metrics are missing when no rollout states a confidence.
    """
    judged = [rollout for rollout in rollouts if not rollout["expert_failed"]]
    curves = {
        "response/well_formed": _mean(rollouts, "well_formed"),
        "response/n_claims/mean": _mean(rollouts, "n_claims"),
        "expert/failed": 1.0 - len(judged) / len(rollouts),
    }
    claims = sum(rollout["n_claims"] for rollout in rollouts)
    if claims:
        curves["response/sure"] = sum(rollout["n_sure"] for rollout in rollouts) / claims
    if judged:
        curves |= {f"reward/{part}/mean": _mean(judged, part) for part in PARTS}
        curves |= {"reward/total/mean": _mean(judged, "score"), "expert/acc": _mean(judged, "acc")}
    stated = [rollout for rollout in judged if rollout["confidence"] >= 0]
    if stated:
        confidence = np.array([rollout["confidence"] for rollout in stated])
        correct = np.array([rollout["acc"] for rollout in stated])
        q10, q50, q90 = np.quantile(confidence, (0.1, 0.5, 0.9))
        curves |= {
            "confidence/mean": confidence.mean(),
            "confidence/std": confidence.std(),
            "confidence/at_0_or_1": np.isin(confidence, (0.0, 1.0)).mean(),
            "confidence/entropy": _entropy(confidence),
            "confidence/brier": np.mean((confidence - correct) ** 2),
            "confidence/overconfidence": confidence.mean() - correct.mean(),
            "confidence/ece": expected_calibration_error(confidence, correct),
            "confidence/q10": q10,
            "confidence/q50": q50,
            "confidence/q90": q90,
        }
    return {name: float(value) for name, value in curves.items()}


def _mean(rollouts: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.mean([rollout[key] for rollout in rollouts]))


def _entropy(values: NDArray[np.float64]) -> float:
    """Of how often each distinct value occurs, in nats."""
    share = np.unique(values, return_counts=True)[1] / values.size
    return float(-(share @ np.log(share)))
