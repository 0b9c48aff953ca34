"""What tells that a policy collapses before the evaluation does: alarms by name.

Each alarm holds the mean of one of the tracker's metrics over the last `WINDOW` steps against a
bound (`BOUNDS`); some bounds are factors of the mean over the first `WINDOW` steps. An alarm that
rings is printed with its value and bound, and again only after it has been silent.
``alarm/<name>`` is 1 at the steps at which it rings, else 0. None ends a training: a policy may
have good reason to list more claims.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from reward_fns.files import read_mapping, write_json

WINDOW = 5
"""Steps that a mean is taken over: one step's rollouts are few, and of few questions."""


@dataclass(frozen=True)
class Bound:
    """When an alarm rings.

    Attributes:
        metric: of one step, by its name in the tracker.
        means: what it tells, in a few words.
        below, above: the mean rings beyond these; None: no such bound.
        of_start: they are factors of the mean at the start.
    """

    metric: str
    means: str
    below: float | None = None
    above: float | None = None
    of_start: bool = False

    def broken(self, mean: float, start: float) -> str | None:
        """The broken bound in words; None if none is."""
        scale = start if self.of_start else 1.0
        if self.below is not None and mean < self.below * scale:
            return f"below {self.below * scale:.3g}"
        if self.above is not None and mean > self.above * scale:
            return f"above {self.above * scale:.3g}"
        return None


# Wide: an alarm that rings in a sound training is soon read by nobody. Seed 0 of the main job rang
# none (tests/recipe/test_alarms.py has what it reached); where a collapse begins is a guess.
BOUNDS = {
    "numbers": Bound(
        "confidence/entropy", "few numbers are left to tell answers apart by", below=0.7
    ),
    "ends": Bound("confidence/at_0_or_1", "most confidences are 0 or 1", above=0.7),
    "sure": Bound("response/sure", "claims are nearly all tagged alike", below=0.02, above=0.98),
    "malformed": Bound("response/well_formed", "answers leave the format", below=0.8),
    "claims": Bound(
        "response/n_claims/mean", "claims an answer, against the start", 0.5, 2.0, of_start=True
    ),
    "length": Bound(
        "response_length/mean", "tokens an answer, against the start", 0.5, 2.0, of_start=True
    ),
    "accuracy": Bound(
        "expert/acc", "answers are right less often than at the start", 0.7, of_start=True
    ),
}
"""Name of the alarm -> its bound. Entropy is in nats: that of two numbers, equally often, is 0.69.
"""


class Alarms:
    """The alarms of one training.

    Args:
        file: where the means at the start are kept, for the same training when it is resumed.
        resumed: whether it is: else what the file holds is another training's.
    """

    FILE = "alarms.json"

    def __init__(self, file: Path, resumed: bool) -> None:
        self._file = file
        self._last: dict[str, deque[float]] = {
            bound.metric: deque(maxlen=WINDOW) for bound in BOUNDS.values()
        }
        known = resumed and file.is_file()
        self._start: dict[str, float] = read_mapping(file)["start"] if known else {}
        self._ringing: set[str] = set()

    def see(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """``alarm/<name>`` of a step, and what rings anew is printed.

        Args:
            metrics: the tracker's, of this step. A missing one (no answer stated a confidence)
                leaves its alarm to the steps before.
        """
        curves = {}
        for name, bound in BOUNDS.items():
            last = self._last[bound.metric]
            if bound.metric in metrics:
                last.append(float(metrics[bound.metric]))
            broken = self._broken(bound, last)
            curves[f"alarm/{name}"] = float(broken is not None)
            if broken and name not in self._ringing:
                print(
                    f"ALARM {name}: step {step}, {bound.metric} is {fmean(last):.3g}, {broken}, "
                    f"over {WINDOW} steps: {bound.means}"
                )
            (self._ringing.add if broken else self._ringing.discard)(name)
        return curves

    def _broken(self, bound: Bound, last: Sequence[float]) -> str | None:
        if len(last) < WINDOW:
            return None
        if bound.metric not in self._start:
            self._start[bound.metric] = fmean(last)
            write_json(self._file, {"start": self._start})
        return bound.broken(fmean(last), self._start[bound.metric])
