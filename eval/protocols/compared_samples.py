"""k further samples of a question, compared by an equivalence: what sc_own and
semantic_entropy share.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.engines import Engine
from eval.protocols.ask_model import Asked
from eval.protocols.consistency import draw_samples
from eval.protocols.equivalence import Equivalence


class ComparedSamples:
    """k samples a question, drawn once however many of its answers are in the batch."""

    def __init__(self, seed: int, samples: int, max_tokens: int, equivalence: Equivalence) -> None:
        self._seed, self._samples, self._max_tokens = seed, samples, max_tokens
        self._equivalence = equivalence

    @property
    def settings(self) -> dict[str, Any]:
        """How many samples, and how they are compared."""
        return {
            "k": self._samples,
            "max_tokens": self._max_tokens,
            "equal": self._equivalence.name,
        }

    def _draw(self, engine: Engine, batch: Sequence[Asked]) -> dict[str, list[str]]:
        """question_id -> texts, (k,)."""
        return draw_samples(engine, batch, self._seed, self._samples, self._max_tokens)
