"""Which checkpoint of a training to keep: by Brier score on questions that it is not trained on.

verl validates every ``trainer.test_freq`` steps on ``data.val_files``, which is to be a file of
its own (stage one's ``selection.parquet``), never the test's. Of each validation:

    loss of an answer   (o - acc)^2, its stated confidence o and the expert's verdict acc in [0, 1];
                        1 where no confidence can be read, as for one that is certain and wrong
    brier               mean loss of the answers that have a verdict

Chosen is the latest checkpoint whose Brier score is not above the lowest one's by more than one
standard error of their paired difference. That is the one-standard-error rule (Breiman et al.
1984), which takes the simplest of the models that noise cannot tell from the best. Here it takes
the latest: that one has learnt most of what the rest of the reward asks for.

The validation before training, step 0, is measured too, and cannot be chosen.

    python -m recipe.difficulty_calib.selection SELECTION_PARQUET TEST_PARQUET

prints the Hydra keys with which a training validates on the first file, or, where that has no
question, does not validate.
"""

import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data_prep.engines.verl_checkpoint import SELECTION, saved_steps, step_folder
from recipe.difficulty_calib.variables import quoted
from reward_fns.calibration import DEFAULT_BINS, brier_decomposition
from reward_fns.files import read_mapping, write_json

QUESTION_KEY = "question_id"
"""In what the reward returns: which question a rollout answers. verl shuffles a validation."""

_UNREADABLE = 1.0
"""The loss of an answer without a readable confidence: no answer gains by hiding it."""


@dataclass(frozen=True)
class Validation:
    """One validation.

    Attributes:
        losses: question_id -> mean loss of its answers, in [0, 1].
        curves: for the tracker: ``selection/`` with brier, accuracy, unreadable (share), n (number
            of questions), and, of the readable ones, Murphy's reliability, resolution, uncertainty.
    """

    losses: dict[str, float]
    curves: dict[str, float]


def measure(rewards: Sequence[Mapping[str, Any]]) -> Validation | None:
    """What a validation says; None if no answer of it has a verdict and a question.

    Args:
        rewards: the reward's dict of each answer, with `QUESTION_KEY`.
    """
    judged = [
        reward
        for reward in rewards
        if reward.get(QUESTION_KEY) and reward.get("expert_failed") == 0
    ]
    if not judged:
        return None
    of_question: dict[str, list[float]] = {}
    for reward in judged:
        of_question.setdefault(reward[QUESTION_KEY], []).append(_loss(reward))
    losses = {question: _mean(found) for question, found in of_question.items()}
    confidence = [reward["confidence"] for reward in judged if reward["confidence"] >= 0]
    correct = [reward["acc"] for reward in judged if reward["confidence"] >= 0]
    curves = {
        "brier": _mean(losses.values()),
        "accuracy": _mean([reward["acc"] for reward in judged]),
        "unreadable": 1 - len(confidence) / len(judged),
        "n": float(len(losses)),
    }
    if confidence:
        parts = brier_decomposition(confidence, correct, DEFAULT_BINS)
        curves |= {
            "reliability": parts.reliability,
            "resolution": parts.resolution,
            "uncertainty": parts.uncertainty,
        }
    return Validation(losses, {f"selection/{name}": value for name, value in curves.items()})


def _loss(reward: Mapping[str, Any]) -> float:
    if reward["confidence"] < 0:
        return _UNREADABLE
    return float((reward["confidence"] - reward["acc"]) ** 2)


def is_worse(losses: Mapping[str, float], than: Mapping[str, float]) -> bool:
    """Whether the mean loss is above the other's by more than one standard error of the paired
    difference, over the questions of both. False where fewer than two are.
    """
    common = sorted(losses.keys() & than.keys())
    if len(common) < 2:
        return False
    difference = np.array([losses[key] - than[key] for key in common])
    return bool(difference.mean() > difference.std(ddof=1) / sqrt(len(common)))


class Selection:
    """All validations of a training, in `folder`/selection.json.

    Args:
        folder: of the checkpoints (``trainer.default_local_dir``).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._losses: dict[int, dict[str, float]] = {}

    @classmethod
    def resumed(cls, folder: Path, step: int) -> "Selection":
        """What a training had found when it saved `step`; empty where it had found nothing."""
        found = cls(folder)
        if (folder / SELECTION).is_file():
            told = read_mapping(folder / SELECTION)["losses"]
            found._losses = {int(at): losses for at, losses in told.items() if int(at) <= step}
        return found

    @property
    def chosen(self) -> int | None:
        """The step of the chosen checkpoint; None before the first that can be chosen."""
        measured = [step for step in self._losses if step > 0]
        saved = [step for step in saved_steps(self._folder) if step in measured]
        if not saved:
            return None
        # The lowest may have been deleted: then too the others are held against it.
        lowest = self._losses[min(measured, key=self._brier)]
        no_worse = [step for step in saved if not is_worse(self._losses[step], lowest)]
        return max(no_worse) if no_worse else min(saved, key=self._brier)

    def add(self, step: int, validation: Validation) -> None:
        """Take in the validation of a step, and write the file."""
        self._losses[step] = validation.losses
        content = {
            "chosen": self.chosen,
            "brier": {str(step): self._brier(step) for step in self._losses},
            "losses": {str(at): losses for at, losses in self._losses.items()},
        }
        write_json(self._folder / SELECTION, content)

    def since_chosen(self) -> int:
        """Number of validations after the chosen checkpoint's."""
        chosen = self.chosen
        return sum(step > chosen for step in self._losses) if chosen is not None else 0

    def prune(self, newest: int, before: int) -> None:
        """Delete the checkpoints of steps below `before`, but the newest ones and the chosen."""
        chosen = self.chosen
        steps = [step for step in saved_steps(self._folder) if step < before]
        for step in steps[: max(0, len(steps) - newest)]:
            if step != chosen:
                shutil.rmtree(step_folder(self._folder, step))

    def told(self) -> str:
        """One line for the log."""
        steps = ", ".join(f"{step}: {self._brier(step):.4f}" for step in sorted(self._losses))
        return f"held-out Brier score by step: {steps}; chosen: step {self.chosen}"

    def _brier(self, step: int) -> float:
        return _mean(self._losses[step].values())


def _mean(values: Collection[float]) -> float:
    return float(sum(values) / len(values))


def has_questions(selection: Path) -> bool:
    """Whether there is a file to validate on, and a question in it."""
    return selection.is_file() and pq.read_metadata(selection).num_rows > 0


def overrides(selection: Path, test: Path) -> list[str]:
    """Hydra keys of a training: to validate each checkpoint on `selection`, or, where that has no
    questions, not to validate. verl wants a file to validate on in both cases: then `test`.
    """
    if not has_questions(selection):
        return [f"data.val_files={quoted(str(test))}", "trainer.test_freq=-1"]
    return [
        f"data.val_files={quoted(str(selection))}",
        "trainer.test_freq=${trainer.save_freq}",
        "trainer.val_before_train=true",
    ]


def main(arguments: Sequence[str]) -> int:
    """See the module docstring."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    selection, test = map(Path, arguments)
    if not has_questions(selection):
        print(
            f"no questions in {arguments[0]} to choose a checkpoint by: the last one is kept "
            "(stage one's splits.selection sets some aside)",
            file=sys.stderr,
        )
    print("\n".join(overrides(selection, test)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
