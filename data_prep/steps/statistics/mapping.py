"""From tallies to the reward coefficients of each dataset (`reward_fns.difficulty`), and
what to know about them.

- A dataset without a statistic (no Better answer, no entity, no labelled pair) gets 1, 1, 1,
  1, as with scheme "fixed".
- Measured against the paper's fourteen datasets, one whose statistics lie outside their range sits
  on the flat ends of tanh and the logistic function: its coefficients say "harder (or easier) than
  all of them" and no more, and several such datasets get the same. Frequencies grow with the
  number of questions, so entities are rarer in a run of a hundred questions a dataset than in the
  paper's thousands. With reference "pool" the datasets are compared with each other.
"""

from collections.abc import Mapping

from data_prep.steps.statistics.tally import Tally
from reward_fns.coefficients_file import Coefficients
from reward_fns.difficulty import DatasetStatistics, from_statistics, paper_statistics

FALLBACK = Coefficients(1.0, 1.0, 1.0, 1.0)


def coefficients(
    tallies: Mapping[str, Tally], scheme: str, reference: str
) -> tuple[dict[str, Coefficients], dict[str, str]]:
    """The coefficients of each dataset, and for those that have the fallback the reason."""
    measured = {
        name: statistics
        for name, tally in tallies.items()
        if (statistics := tally.statistics()) is not None
    }
    pool = list(measured.values()) if reference == "pool" else None
    mapped = {
        name: from_statistics(measured[name], scheme, reference, pool)
        if name in measured
        else FALLBACK
        for name in tallies
    }
    return mapped, {
        name: str(tally.undefined) for name, tally in tallies.items() if name not in measured
    }


def beyond_the_paper(tallies: Mapping[str, Tally]) -> dict[str, str]:
    """The datasets with a statistic outside the range of the paper's fourteen, and which it is."""
    papers = paper_statistics()
    found = {}
    for name, tally in tallies.items():
        statistics = tally.statistics()
        if statistics is not None:
            if outside := _outside(statistics, papers):
                found[name] = " and ".join(outside)
    return found


def _outside(statistics: DatasetStatistics, papers: tuple[DatasetStatistics, ...]) -> list[str]:
    texts = []
    for field, label in (
        ("contradiction_pct", "contradiction %"),
        ("rarity_score", "rarity score"),
    ):
        value = getattr(statistics, field)
        theirs = [getattr(paper, field) for paper in papers]
        if not min(theirs) <= value <= max(theirs):
            texts.append(
                f"{label} {value:.1f} (the paper's: {min(theirs):.1f} to {max(theirs):.1f})"
            )
    return texts
