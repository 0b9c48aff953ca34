"""Dataset statistics -> the reward coefficients alpha, beta, gamma, delta (the
paper's Dynamic_parameters(d)).

Statistics of a dataset (Eq. 1-3, Table 1): n samples, c named entities a response
(avg_entity_count), r corpus frequency of an entity (avg_entity_rarity), share of contradictions
among the labelled pairs in percent.

    rarity_score = 1e4 * c / (r * ln(n + 10))
                   Eq. (3), the one that Table 4 agrees with; A.1 prints the inverse
    h = zscore(contradiction_pct)   z = zscore(rarity_score)   w = min-max of (0.7 * r/c + 0.3 / c)

with the means, deviations (population) and ranges of the reference: the paper's fourteen
datasets, or a pool at hand.

Which mapping of (h, z, w) to the coefficients: `schemes`.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import fmean, pstdev

from reward_fns.coefficients_file import Coefficients, load_coefficients, save_coefficients
from reward_fns.paper_tables import SHORT_NAMES, TABLES_1_AND_4
from reward_fns.schemes import SCHEMES, find_scheme

__all__ = [
    "SCHEMES",
    "Coefficients",
    "DatasetStatistics",
    "check_coefficients",
    "coefficients",
    "find_coefficients",
    "from_statistics",
    "load_coefficients",
    "paper_statistics",
    "save_coefficients",
]


@dataclass(frozen=True)
class DatasetStatistics:
    """Statistics of one dataset, as in Table 1; `contradiction_pct` is in
    percent of the labelled pairs.

    Raises:
        ValueError: fewer than 0 samples, no entities (the rarity is undefined then), or a
            percentage outside [0, 100].
    """

    dataset: str
    num_samples: int
    avg_entity_count: float
    avg_entity_rarity: float
    contradiction_pct: float

    def __post_init__(self) -> None:
        if self.num_samples < 0 or not 0 <= self.contradiction_pct <= 100:
            raise ValueError(
                f"{self.dataset}: num_samples must be >= 0 and contradiction_pct within [0, 100]"
            )
        if not (self.avg_entity_count > 0 and self.avg_entity_rarity > 0):
            raise ValueError(
                f"{self.dataset}: without named entities the rarity is undefined; "
                "use scheme 'fixed' or a coefficients file"
            )

    @property
    def rarity_score(self) -> float:
        """Eq. (3) times 1e4, as Table 1 prints it."""
        return (
            1e4 * self.avg_entity_count / (self.avg_entity_rarity * math.log(self.num_samples + 10))
        )

    @property
    def entity_focus(self) -> float:
        """0.7 * r/c + 0.3 / c (A.1), before min-max scaling."""
        return (0.7 * self.avg_entity_rarity + 0.3) / self.avg_entity_count


@dataclass(frozen=True)
class _Reference:
    """What a dataset's statistics are measured against."""

    contradiction_mean: float
    contradiction_sd: float
    rarity_mean: float
    rarity_sd: float
    focus_min: float
    focus_max: float

    def scaled(self, stats: DatasetStatistics) -> tuple[float, float, float]:
        """(h, z, w) of the dataset; 0 for a statistic that does not vary over the reference."""
        h = _ratio(stats.contradiction_pct - self.contradiction_mean, self.contradiction_sd)
        z = _ratio(stats.rarity_score - self.rarity_mean, self.rarity_sd)
        w = _ratio(stats.entity_focus - self.focus_min, self.focus_max - self.focus_min)
        return h, z, w


# Of Table 1 as printed; its rarity_score column is up to 0.2 % off Eq. (3) by rounding of c and r.
_PAPER_REFERENCE = _Reference(22.703571, 7.143052, 24.783571, 21.295676, 10.350435, 114.641491)


def _ratio(difference: float, spread: float) -> float:
    return difference / spread if spread > 0 else 0.0


def _pool_reference(pool: Sequence[DatasetStatistics]) -> _Reference:
    contradiction = [stats.contradiction_pct for stats in pool]
    rarity = [stats.rarity_score for stats in pool]
    focus = [stats.entity_focus for stats in pool]
    return _Reference(
        fmean(contradiction),
        pstdev(contradiction),
        fmean(rarity),
        pstdev(rarity),
        min(focus),
        max(focus),
    )


def paper_statistics() -> tuple[DatasetStatistics, ...]:
    """Table 1, in the paper's order."""
    return tuple(DatasetStatistics(dataset, *row[1:5]) for dataset, row in TABLES_1_AND_4.items())


def from_statistics(
    stats: DatasetStatistics,
    scheme: str = "table4",
    reference: str = "paper",
    pool: Sequence[DatasetStatistics] | None = None,
) -> Coefficients:
    """Coefficients of a dataset given by its statistics.

    Args:
        stats: the dataset.
        scheme: one of `SCHEMES`; "table4" and "recovered" are the same mapping here.
        reference: "paper": scale with the means, deviations and ranges of Table 1, so one dataset
            alone gets sensible values; "pool": with those of `pool`, which normally holds `stats`
            itself. A statistic that is equal over the pool scales to 0.
        pool: the datasets at hand; only with reference "pool".

    Raises:
        ValueError: unknown scheme or reference, or a pool missing or given where it is not read.
    """
    mapping = find_scheme(scheme)
    if reference == "paper" and pool is None:
        return mapping(*_PAPER_REFERENCE.scaled(stats))
    if reference == "pool" and pool:
        return mapping(*_pool_reference(pool).scaled(stats))
    if reference not in ("paper", "pool"):
        raise ValueError(f"unknown reference {reference!r}: choose 'paper' or 'pool'")
    raise ValueError(
        "reference 'pool' needs a non-empty pool of DatasetStatistics, reference 'paper' takes none"
    )


@cache
def coefficients(dataset: str, scheme: str = "table4") -> Coefficients:
    """Coefficients of one of the paper's fourteen datasets, by its name in Table 4 or
    its short name in Table 1.

    Scheme "fixed" reads no statistics and takes any dataset name.

    Raises:
        ValueError: unknown scheme, or a dataset that the paper does not list; the
            message names those it does.
    """
    mapping = find_scheme(scheme)
    if scheme == "fixed":
        return mapping(0.0, 0.0, 0.0)
    row = TABLES_1_AND_4.get(SHORT_NAMES.get(dataset, dataset))
    if row is None:
        raise ValueError(
            f"no coefficients for dataset {dataset!r}: known are {', '.join(TABLES_1_AND_4)}; "
            "for another dataset set coefficients to a YAML file that lists it, or to 'fixed', "
            "or set default_coefficients"
        )
    if scheme == "table4":
        return Coefficients(*row[5:])
    return from_statistics(DatasetStatistics(dataset, *row[1:5]), scheme)


_of_scheme = coefficients


@lru_cache(maxsize=8)
def _cached_file(path: str, mtime_ns: int) -> dict[str, Coefficients]:
    return load_coefficients(path)


def check_coefficients(coefficients: str | os.PathLike[str]) -> None:
    """Look at where coefficients are to come from before any is asked for.

    Raises:
        FileNotFoundError, ValueError: neither a scheme's name nor a coefficients file.
    """
    if coefficients not in SCHEMES:
        _listed(coefficients)


def find_coefficients(
    dataset: str,
    coefficients: str | os.PathLike[str] = "table4",
    default: Coefficients | None = None,
) -> Coefficients:
    """Coefficients of a dataset. A file is read once for each version of it.

    Args:
        dataset: its tag.
        coefficients: a scheme's name, or a YAML file; a file has to list the dataset, even one of
            the paper's: two sources are never mixed.
        default: for a dataset that is not listed; None refuses it.

    Raises:
        FileNotFoundError, ValueError: as `check_coefficients`; the dataset is not listed.
    """
    if coefficients in SCHEMES:
        try:
            return _of_scheme(dataset, str(coefficients))
        except ValueError:
            if default is None:
                raise
            return default
    listed = _listed(coefficients)
    if dataset in listed:
        return listed[dataset]
    if default is None:
        raise ValueError(
            f"no coefficients for dataset {dataset!r}: {coefficients} lists {', '.join(listed)}; "
            f"add it there, or set default_coefficients"
        )
    return default


def _listed(coefficients: str | os.PathLike[str]) -> dict[str, Coefficients]:
    path = os.fspath(coefficients)
    try:
        return _cached_file(path, os.stat(path).st_mtime_ns)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"coefficients {path!r} is neither a file nor a scheme: schemes are "
            f"{', '.join(SCHEMES)}"
        ) from error
