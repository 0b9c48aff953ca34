"""What a stated confidence has deserved, by the verdicts of the answers that stated it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class VerdictMap:
    """The isotonic map of the last stated confidences to the targets of their answers.

    The numbers are those that the policy drew, so the map is of the policy that drew them, and what
    it gives stays as it is while the policy is updated. It begins anew when a run is resumed: a
    step's own answers are enough.

    Args:
        window: how many answers it goes by at least, earlier ones included; at least those of a step.
    """

    def __init__(self, window: int = 1024) -> None:
        self._window = window
        self._numbers: Floats = np.empty(0)
        self._targets: Floats = np.empty(0)

    def __call__(self, numbers: Floats, targets: Floats) -> Floats:
        """Learn from a step's answers, and give what each of them deserved.

        Args:
            numbers: (n,) stated confidences, in [0, 1].
            targets: (n,) y of each, in [0, 1].

        Returns:
            (n,), in [0, 1].
        """
        from sklearn.isotonic import IsotonicRegression

        if not len(numbers):
            return np.empty(0)
        keep = max(self._window, len(numbers))
        self._numbers = np.concatenate([self._numbers, numbers])[-keep:]
        self._targets = np.concatenate([self._targets, targets])[-keep:]
        found = IsotonicRegression(out_of_bounds="clip").fit(self._numbers, self._targets)
        deserved: Floats = found.predict(numbers)
        return deserved
