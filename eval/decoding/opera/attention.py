"""Attention weights of the last layer, and what of them says that a token is trusted too much."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def extended(log_products: Any, attended: Any, sigma: float) -> Any:
    """log P_t of each column; each candidate adds a row and a column to the attention.

    Args:
        log_products: (R, n), log P_{t - 1} of the beams.
        attended: (R, C, n + 1), the candidates' attention to the generated tokens, itself last.

    Returns:
        (R, C, n + 1).
    """
    before = torch.nn.functional.pad(log_products, (0, 1))[:, None]
    return before + torch.log(sigma * attended.float())


def largest(log_products: Any, window: int) -> tuple[Any, Any]:
    """The largest of the last `window` columns (..., n), and where it stands."""
    first = max(0, log_products.shape[-1] - window)
    found = log_products[..., first:].max(-1)
    return found.values, found.indices + first


def overtrusted(locations: Any, threshold: int) -> int | None:
    """The column that the best beam names most, if every beam names it `threshold` times.

    Args:
        locations: (R, n), the best beam first.
    """
    column = int(locations[0].mode().values)
    counts = (locations == column).sum(-1)
    return column if bool((counts >= threshold).all()) else None


class Attention:
    """Catches the attention weights of the decoder's last layer."""

    def __init__(self) -> None:
        self._weights: Any = None

    def __call__(self, module: Any, arguments: Any, output: Any) -> None:
        """A forward hook; the weights are (S, heads, U, K)."""
        self._weights = output[1]

    def of_last_token(self) -> Any:
        """(S, K): the largest over heads, divided by the sum."""
        largest_over_heads = self._weights[:, :, -1].float().max(1).values
        return largest_over_heads / largest_over_heads.sum(-1, keepdim=True)


@contextmanager
def last_attention(model: Any) -> Iterator[Attention]:
    """Makes the decoder compute attention weights, and catches them, while it lasts."""
    decoder, attention = model.get_decoder(), Attention()
    before = decoder.config._attn_implementation
    hook = decoder.layers[-1].self_attn.register_forward_hook(attention)
    decoder.set_attn_implementation("eager")
    try:
        yield attention
    finally:
        decoder.set_attn_implementation(before)
        hook.remove()
