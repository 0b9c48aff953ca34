"""Correlations against the paper's own table, against least squares, and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from data_prep.steps.statistics.correlation import Correlation, pearson, spearman, within
from data_prep.steps.statistics.table import paper_table


@pytest.mark.parametrize(
    ("kind", "column", "r"),
    [
        (None, "avg_entity_rarity", -0.355),
        ("QA", "avg_entity_rarity", -0.603),
        ("Detail", "avg_entity_rarity", -0.286),
        (None, "rarity_score", 0.339),
    ],
)
def test_the_papers_table_gives_the_correlations_of_the_notes(kind, column, r):
    rows = [row for row in paper_table() if kind in (None, row["type"])]
    found = pearson([row[column] for row in rows], [row["contradiction_pct"] for row in rows])
    assert found.r == pytest.approx(r, abs=5e-4) and found.n == len(rows)
    # Fisher: tanh(atanh r -+ 1.96 / sqrt(n - 3))
    spread = 1.959964 / math.sqrt(found.n - 3)
    assert found.low == pytest.approx(math.tanh(math.atanh(found.r) - spread), abs=1e-5)
    assert found.high == pytest.approx(math.tanh(math.atanh(found.r) + spread), abs=1e-5)
    if kind is None and r < 0:
        assert found.p == pytest.approx(0.213, abs=5e-4)
        assert found.finding == "not decided: the interval holds 0"


def grouped(seed, n=120, slope=0.0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, n)
    x = rng.normal(size=n) + 5 * groups
    return x, slope * (x - 5 * groups) + rng.normal(size=n) - 3 * groups, groups


def test_within_datasets_equals_the_regression_with_a_constant_for_each():
    x, y, groups = grouped(0, slope=0.3)
    found = within(x, y, groups)
    design = np.column_stack([x, *(groups == g for g in range(3))]).astype(float)
    solution, residual, *_ = np.linalg.lstsq(design, y)
    freedom = len(x) - 4
    error = math.sqrt(residual[0] / freedom * np.linalg.inv(design.T @ design)[0, 0])
    t = solution[0] / error
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    assert found.r == pytest.approx(
        t / math.sqrt(t * t + freedom)
    )  # the partial correlation of a coefficient
    assert pearson(x, y).r < -0.8 < 0 < found.low  # between the datasets the sign is the other way


def test_the_interval_within_datasets_holds_zero_in_95_of_100_draws_without_an_effect():
    held = sum(
        found.low <= 0 <= found.high
        for found in (within(*grouped(seed, n=30)) for seed in range(600))
    )
    assert 0.925 * 600 <= held <= 0.975 * 600  # binomial standard deviation 0.9 %


def test_ranks_alone_count_for_spearman():
    x, y = [1, 2, 3, 4, 5, 6], [1.0, 2.0, 4.0, 3.0, 5.0, 600.0]
    found = spearman(x, y)
    rho = 1 - 6 * 2 / (6 * 35)  # one swap of neighbours: 1 - 6 sum d^2 / (n (n^2 - 1))
    assert found.r == pytest.approx(rho)
    error = 1.959964 * math.sqrt((1 + rho**2 / 2) / 3)
    assert found.low == pytest.approx(math.tanh(math.atanh(rho) - error), abs=1e-5)
    assert found.p == pytest.approx(stats.spearmanr(x, y).pvalue)


def test_what_cannot_be_computed_has_a_reason_and_no_number():
    assert pearson([1, 2, 3], [1, 2, 3]) == Correlation(3, reason="too few points")
    assert pearson([], []) == Correlation(0, reason="too few points")
    assert spearman([1, 1, 1, 1], [1, 2, 3, 4]) == Correlation(4, reason="a side does not vary")
    assert within([1, 2, 3, 4], [1, 2, 3, 4], [0, 0, 1, 1]).reason == "too few points"
    assert (
        within([1, 1, 1, 2, 2, 2], range(6), [0, 0, 0, 1, 1, 1]).reason
        == "a side does not vary within a dataset"
    )
    assert (
        str(pearson([], [])) == "too few points (n = 0)"
        and pearson([], []).finding == "cannot be said"
    )


def test_the_finding_follows_the_interval():
    assert pearson(range(9), [9, 8, 7, 6, 5, 4, 3, 2, 0]).finding.startswith("yes")
    assert pearson(range(9), [0, 1, 2, 3, 4, 5, 6, 7, 9]).finding.startswith("no:")
