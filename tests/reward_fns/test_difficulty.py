import csv
import os
from pathlib import Path

import pytest

from reward_fns.difficulty import (
    SCHEMES,
    Coefficients,
    DatasetStatistics,
    coefficients,
    find_coefficients,
    from_statistics,
    load_coefficients,
    paper_statistics,
    save_coefficients,
)
from reward_fns.paper_tables import SHORT_NAMES

PAPER = Path(__file__).parents[1] / "data" / "paper"
NAMES = ("alpha", "beta", "gamma", "delta")


def table(name):
    with (PAPER / name).open(encoding="utf-8") as file:
        return {row["dataset"]: row for row in csv.DictReader(file)}


TABLE_1 = table("table1_dataset_statistics.csv")
TABLE_4 = table("table4_reward_coefficients.csv")


@pytest.mark.parametrize("dataset", TABLE_4)
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_table_4_is_printed_exactly_and_recovered_within_a_thousandth(dataset, name):
    printed = float(TABLE_4[dataset][name])
    assert getattr(coefficients(dataset), name) == printed
    assert getattr(coefficients(dataset, "recovered"), name) == pytest.approx(printed, abs=1e-3)


def test_the_library_s_table_1_is_the_paper_s():
    assert [stats.dataset for stats in paper_statistics()] == list(TABLE_1)
    for stats in paper_statistics():
        row = TABLE_1[stats.dataset]
        assert stats.num_samples == int(row["num_samples"])
        for name in ("avg_entity_count", "avg_entity_rarity", "contradiction_pct"):
            assert getattr(stats, name) == float(row[name])


@pytest.mark.parametrize("stats", paper_statistics(), ids=lambda stats: stats.dataset)
def test_table4_by_statistics_is_the_recovered_mapping(stats):
    assert (
        from_statistics(stats)
        == from_statistics(stats, "recovered")
        == coefficients(stats.dataset, "recovered")
    )


def test_the_pool_of_the_paper_s_datasets_gives_what_the_paper_reference_gives():
    for stats in paper_statistics():
        pooled = from_statistics(stats, reference="pool", pool=paper_statistics())
        for name in NAMES:
            assert getattr(pooled, name) == pytest.approx(
                getattr(from_statistics(stats), name), abs=1e-3
            )


def test_a_pool_of_one_scales_every_statistic_to_zero():
    alone = DatasetStatistics("alone", 100, 2.0, 50.0, 10.0)
    # h = z = w = 0: alpha = 1.07227 + 0.58787 tanh(-0.1203) = 1.07227 - 0.58787 * 0.119723
    values = from_statistics(alone, reference="pool", pool=[alone])
    assert values.alpha == pytest.approx(1.07227 - 0.58787 * 0.119723, abs=1e-6)


def test_the_appendix_formulas_by_hand():
    # sharegpt4v-textvqa: h = (36.27 - 22.703571) / 7.143052 = 1.89925, c = 4.03,
    # r = 90.92, n = 1966: rarity = 1e4 * 4.03 / (90.92 * ln 1976) = 58.41, z = 1.579,
    # w = (0.7 * 22.561 + 0.3 / 4.03 - 10.3504) / 104.291 = 0.0529,
    # alpha = clip(tanh(-3.48)) = 0, beta = sigma(0.0835) = 0.5209, gamma = 1.8993,
    # delta = sigma(3.478) = 0.9701
    values = coefficients("sharegpt4v-textvqa", "appendix")
    assert values.alpha == 0
    assert values.beta == pytest.approx(0.5209, abs=1e-3)
    assert values.gamma == pytest.approx(1.8993, abs=1e-3)
    assert values.delta == pytest.approx(0.9701, abs=1e-3)


def test_fixed_is_one_for_every_dataset():
    ones = Coefficients(1.0, 1.0, 1.0, 1.0)
    assert coefficients("anything", "fixed") == coefficients("GQA", "fixed") == ones
    assert from_statistics(paper_statistics()[0], "fixed") == ones


def test_the_short_names_of_table_1_are_known():
    assert len(SHORT_NAMES) == 5
    for short, name in SHORT_NAMES.items():
        assert coefficients(short) == coefficients(name)


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "fixed"])
def test_an_unknown_dataset_is_an_error_that_names_the_known_ones(scheme):
    with pytest.raises(ValueError, match="pocket-digit.*OCR-VQA.*MovieNet") as error:
        coefficients("pocket-digit", scheme)
    assert all(dataset in str(error.value) for dataset in TABLE_4)


def test_an_unknown_scheme_or_reference_is_an_error_that_names_the_choices():
    with pytest.raises(ValueError, match="table4, recovered, appendix, fixed"):
        coefficients("GQA", "table5")
    with pytest.raises(ValueError, match="'paper' or 'pool'"):
        from_statistics(paper_statistics()[0], reference="all")
    with pytest.raises(ValueError, match="needs a non-empty pool"):
        from_statistics(paper_statistics()[0], reference="pool")


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", True])
def test_a_coefficient_is_a_finite_number_not_below_zero(value):
    with pytest.raises(ValueError, match="gamma"):
        Coefficients(1, 1, value, 1)


def test_statistics_without_entities_are_an_error_that_names_the_remedy():
    with pytest.raises(ValueError, match="fixed"):
        DatasetStatistics("digits", 100, 0.0, 0.0, 20.0)


def test_extreme_statistics_give_finite_coefficients():
    for stats in (
        DatasetStatistics("a", 0, 1e6, 1e-6, 100),
        DatasetStatistics("b", 10**9, 1e-6, 1e6, 0),
    ):
        for scheme in SCHEMES:
            from_statistics(stats, scheme)


def test_a_coefficients_file_is_read_back_exactly(tmp_path):
    mapping = {"pocket-digit": Coefficients(1.1, 0.1 + 0.2, 0, 1), "ünï": coefficients("GQA")}
    path = tmp_path / "new" / "coefficients.yaml"
    save_coefficients(path, mapping)
    assert load_coefficients(path) == mapping
    assert os.listdir(path.parent) == ["coefficients.yaml"]


def test_a_failed_write_leaves_the_old_coefficients_file(tmp_path, monkeypatch):
    path = tmp_path / "coefficients.yaml"
    save_coefficients(path, {"a": Coefficients(1, 1, 1, 1)})

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_coefficients(path, {"b": Coefficients(1, 1, 1, 1)})
    assert list(load_coefficients(path)) == ["a"]
    assert os.listdir(tmp_path) == ["coefficients.yaml"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must map dataset names"),
        ("- 1", "must map dataset names"),
        ("a: {alpha: 1", "not a YAML file"),
        ("a: 1", "'a' must have exactly the keys"),
        ("a: {alpha: 1, beta: 1, gamma: 1}", "'a' must have exactly the keys"),
        ("a: {alpha: 1, beta: 1, gamma: 1, delta: -1}", "'a': coefficient delta"),
        ("a: {alpha: x, beta: 1, gamma: 1, delta: 1}", "'a': coefficient alpha"),
    ],
)
def test_a_wrong_coefficients_file_is_an_error_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_coefficients(path)
    assert str(path) in str(error.value)


def test_a_file_stands_alone_and_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "coefficients.yaml"
    save_coefficients(path, {"GQA": Coefficients(1, 2, 3, 4)})
    assert find_coefficients("GQA", path) == Coefficients(1, 2, 3, 4)
    # Also a dataset of the paper has to be listed: two sources are never mixed unseen.
    with pytest.raises(ValueError, match="VQAv2.*coefficients.yaml lists GQA"):
        find_coefficients("VQAv2", path)
    assert find_coefficients("VQAv2", path, Coefficients(1, 1, 1, 1)) == Coefficients(1, 1, 1, 1)
    save_coefficients(path, {"GQA": Coefficients(4, 3, 2, 1)})
    os.utime(path, ns=(1, 1))
    assert find_coefficients("GQA", path) == Coefficients(4, 3, 2, 1)
