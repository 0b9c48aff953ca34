"""What an expert was asked in this process, what that took, and what it cost.

    asked = cache_hits + shared + answered + failures        once nothing is in flight

Prices are US dollars a million tokens, by the model's name as it is configured, in
a YAML file or a mapping:

    judge-large: {input: 2.5, output: 10}
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reward_fns.expert.requests import Usage
from reward_fns.files import read_mapping


@dataclass
class Stats:
    """Counts of one expert since it was made.

    Attributes:
        asked: requests, each of which ends in exactly one of the next four.
        cache_hits: answered from the disk, also where another process has just paid.
        shared: answered by the same call as an identical request in flight.
        answered: answered by a call of one's own.
        failures: without a verdict, by reason.
        calls: HTTP requests sent, retries included.
        retries: calls that follow a failed one, by the reason for which that one failed.
    """

    asked: int = 0
    cache_hits: int = 0
    shared: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def totals(self) -> dict[str, float]:
        """All counts as numbers: name -> total since the expert was made."""
        return {
            "asked": self.asked,
            "cache_hits": self.cache_hits,
            "shared": self.shared,
            "calls": self.calls,
            "retries": self.retries.total(),
            "failures": self.failures.total(),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost": self.cost,
        }

    def summary(self) -> str:
        """One line for a person."""

        def by_reason(counts: Counter[str]) -> str:
            reasons = ", ".join(f"{reason} {n}" for reason, n in counts.most_common())
            return f"{counts.total()}{f' ({reasons})' if reasons else ''}"

        return (
            f"{self.asked} asked, {self.calls} calls, {self.cache_hits} from the cache, "
            f"{self.shared} shared in flight, retries {by_reason(self.retries)}, failures "
            f"{by_reason(self.failures)}, {self.prompt_tokens} + {self.completion_tokens} "
            f"tokens, {self.cost:.2f} USD"
        )


def stats_of(expert: object) -> Stats:
    """The expert's counts; zeros for an expert that keeps none, such as the oracle."""
    stats = getattr(expert, "stats", None)
    return stats if isinstance(stats, Stats) else Stats()


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens."""

    input: float = 0.0
    output: float = 0.0

    def of(self, usage: Usage) -> float:
        """Cost of the tokens of `usage`."""
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1e6


def price_of(model: str, prices: str | Mapping[str, Any] | None) -> Price:
    """The model's price; free without a table.

    Raises:
        ValueError: the table is not readable, lacks the model, or names something
            other than input and output.
    """
    if prices is None:
        return Price()
    table = prices if isinstance(prices, Mapping) else read_mapping(Path(prices))
    if model not in table:
        raise ValueError(
            f"the price table has no {model!r}: add a line `{model}: {{input: ..., output: ...}}`"
        )
    try:
        price = Price(**table[model])
        if not price.input >= 0 or not price.output >= 0:
            raise TypeError(f"{table[model]} holds a price below 0")
        return price
    except TypeError as error:
        raise ValueError(
            f"the price of {model!r} must be {{input: ..., output: ...}}: {error}"
        ) from error
