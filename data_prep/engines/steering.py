"""How a caller of the transformers engine changes what is drawn: its option `decoding`.

Log-probabilities stay those of the model's own distribution, whatever changes the draw.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from data_prep.engines.interface import Sampling

Adjust = Callable[[Any, Any], Any]
"""From ids (B, T) and the model's logits (B, V) to those that are drawn from; once a token."""
Search = Callable[..., Any]
"""A `custom_generate` callable of transformers' `generate`, which draws nothing."""


@dataclass(frozen=True)
class Steering:
    """What is done to one batch; at most one of both, none for plain decoding."""

    adjust: Adjust | None = None
    search: Search | None = None


class DecodingMethod(Protocol):
    """A way of decoding."""

    def steering(
        self, model: Any, inputs: Mapping[str, Any], seeds: Sequence[int], sampling: Sampling
    ) -> Steering:
        """For a batch of prompts of which all or none have an image.

        Args:
            model: of transformers, loaded.
            inputs: of `model.generate`, prompts padded on the left.
            seeds: one a row.
        """
        ...


class PlainDecoding:
    """The model as it is."""

    def steering(
        self, model: Any, inputs: Mapping[str, Any], seeds: Sequence[int], sampling: Sampling
    ) -> Steering:
        """Nothing."""
        return Steering()
