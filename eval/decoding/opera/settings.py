"""What can be set of the search, and what may stand there."""

import math
from dataclasses import dataclass

from reward_fns.errors import UserError


@dataclass(frozen=True)
class OperaSettings:
    """The defaults are those of the published code (README).

    Attributes:
        beams: >= 2.
        candidates: tokens a beam that are looked at, >= 1.
        alpha: weight of the penalty, >= 0.
        sigma: scale of the attention, > 0.
        threshold: r, >= 1.
        rollbacks: beta, times that the search goes back to one place, >= 0; 0 for never.
        early: first tokens, paid for looking at the image and never gone back behind; 0 for none,
            as in the paper.
        window: k, >= 1.

    Raises:
        UserError: a value out of range.
    """

    beams: int = 5
    candidates: int = 5
    alpha: float = 1.0
    sigma: float = 50.0
    threshold: int = 15
    rollbacks: int = 5
    early: int = 10
    window: int = 512

    def __post_init__(self) -> None:
        if self.beams < 2:
            raise UserError(
                f"opera compares beams, so it needs beams of at least 2, got {self.beams}"
            )
        whole = min(self.candidates, self.threshold, self.window)
        if whole < 1 or self.rollbacks < 0 or self.early < 0:
            raise UserError(
                "opera needs candidates, threshold and window of at least 1, "
                f"rollbacks and early of at least 0, got {self}"
            )
        if not (0 <= self.alpha < math.inf and 0 < self.sigma < math.inf):
            raise UserError(f"opera needs alpha >= 0 and sigma > 0, got {self}")
