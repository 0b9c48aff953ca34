"""From the mean number that a fixed model might have stated to the chance that its answer is right.

The model is verl's reference, the policy that GRPO begins from. Its weights do not move, so what it
says of an answer can be held against the verdict of every answer so far, whichever step drew it:
the map gets better with each step, and no update of the policy bends it. A map of the policy's own
numbers does not have that, and collapses (RESULTS.md).

The map is isotonic regression (Zadrozny & Elkan 2002) of the verdict on the mean number.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reward_fns.errors import ConfigurationError
from reward_fns.files import read_mapping, write_json

_ENDS = 0.01
"""Chances stay this far from 0 and 1: no finite number of verdicts shows that a model never errs.
"""


class NumberMap:
    """All pairs of mean number and verdict so far, and the map that is fitted to them."""

    FILE = "number_map.json"
    """Beside a checkpoint."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._verdicts: list[float] = []

    def __len__(self) -> int:
        return len(self._means)

    def add(self, means: Sequence[float], verdicts: Sequence[float]) -> None:
        """Means (n,) and verdicts (n,) in [0, 1] of more answers."""
        self._means.extend(means)
        self._verdicts.extend(verdicts)

    def apply(self, means: Sequence[float]) -> list[float]:
        """The chances (n,) in [0.01, 0.99] of answers with these means, fitted to all so far."""
        if not means:
            return []
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=_ENDS, y_max=1 - _ENDS, out_of_bounds="clip")
        fitted.fit(self._means, self._verdicts)
        chances: list[float] = fitted.predict(np.asarray(means)).tolist()
        return chances

    def save(self, path: Path) -> None:
        """Write the pairs, beside a checkpoint."""
        write_json(path, {"means": self._means, "verdicts": self._verdicts})

    @classmethod
    def load(cls, path: Path) -> "NumberMap":
        """Those of a checkpoint.

        Raises:
            ConfigurationError: it holds none.
        """
        if not path.exists():
            raise ConfigurationError(
                f"{path} is missing, so this checkpoint is of another segments.number_by than "
                "fitted: train from its first step again, or with the number_by that it was "
                "trained with"
            )
        found = cls()
        content = read_mapping(path)
        found.add(content["means"], content["verdicts"])
        return found
