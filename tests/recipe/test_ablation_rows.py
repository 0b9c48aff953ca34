"""The rows of examples/run_ablation.sh: read, chosen and estimated; each one's keys work."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from recipe.difficulty_calib.ablation import (
    TARGETS,
    Row,
    hours_of,
    jobs_of,
    listing,
    main,
    plan,
    read_rows,
)
from recipe.difficulty_calib.number_checks import check_groups, check_logits, check_reference
from recipe.difficulty_calib.options import TrainerOptions, configured_reward
from reward_fns.errors import UserError

SHIPPED = Path(__file__).parents[2] / "examples" / "ablation.yaml"
ROWS = read_rows(SHIPPED)
SMALL = """\
short: a.b
rows:
  sft: {target: own, main: true}
  brier: {target: facts, keys: number_brier=50}
  rl: {from: sft, rule: paper, main: true}
  flat: {from: brier, rule: proper, keys: "${short}.c=1 d=2"}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "rows.yaml"
    path.write_text(SMALL)
    return path


def named(jobs):
    return [(job.seed, job.row.name) for job in jobs]


def test_rows_are_read_with_what_they_share_written_out(small):
    rows = read_rows(small)
    assert list(rows) == ["base", "sft", "brier", "rl", "flat"]
    assert rows["base"] == Row("base", main=True)
    assert rows["sft"] == Row("sft", "base", target="own", main=True)
    assert rows["flat"] == Row("flat", "brier", rule="proper", keys=("a.b.c=1", "d=2"))
    assert [row.kind for row in rows.values()] == ["base", "sft", "sft", "grpo", "grpo"]


def test_a_row_brings_what_it_starts_from(small):
    assert named(jobs_of(read_rows(small), ["flat"], [4])) == [
        (4, "base"),
        (4, "brier"),
        (4, "flat"),
    ]


def test_by_default_only_what_a_claim_rests_on_has_three_seeds(small):
    jobs = named(jobs_of(read_rows(small)))
    assert jobs[:5] == [(0, name) for name in ("base", "sft", "brier", "rl", "flat")]
    assert jobs[5:] == [(seed, name) for seed in (1, 2) for name in ("base", "sft", "rl")]


def test_a_seed_without_a_row_costs_nothing(small):
    assert {job.seed for job in jobs_of(read_rows(small), ["brier"])} == {0}


def test_named_seeds_are_those_of_every_row(small):
    assert named(jobs_of(read_rows(small), ["brier"], [3, 1])) == [
        (seed, name) for seed in (3, 1) for name in ("base", "brier")
    ]


def test_an_unknown_row_is_one_line_that_names_the_known_ones(small, capsys):
    assert main(["plan", "--rows", str(small), "--only", "rl rl_2"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "FAILED: there is no row rl_2; there are base, sft, brier, rl, flat\n"
    assert not shown.out


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x: {target: own, rule: paper}", "row x needs a target (SFT) or a rule (GRPO)"),
        ("x: {keys: a=1}", "row x needs a target"),
        ("x: {target: all}", "row x: no target all; there are own, facts, samples, r_tuning"),
        ("x: {target: own, from: sft}", "row x: SFT starts from the base"),
        ("x: {rule: paper}", "row x starts from nothing, which is no row above it"),
        ("x: {rule: paper, from: y}", "row x starts from y, which is no row above it"),
        ("x: {rule: paper, from: rl}", "starts from rl: GRPO starts from the base or an SFT row"),
        ("x: {rule: paper, form: sft}", "row x has an unknown field form"),
        ("x: 3", "row x has an unknown field"),
        ("base: {target: own}", "base is the model that SFT starts from"),
        ("models: {target: own}", "models is a folder of the run"),
        ("x y: {target: own}", "row 'x y'"),
        ('x: {target: own, keys: "${no}"}', "Interpolation key 'no' not found"),
    ],
)
def test_a_row_that_cannot_be_trained_is_named(small, row, said):
    small.write_text(f"{SMALL}  {row}\n")
    with pytest.raises(UserError) as refused:
        read_rows(small)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("seeds", ["", "one", "0 -1", "1.5"])
def test_seeds_are_whole_numbers(small, seeds, capsys):
    assert main(["plan", "--rows", str(small), "--seeds", seeds]) == 1
    assert capsys.readouterr().err.startswith("FAILED: --seeds")


def test_a_line_of_the_plan_has_all_that_the_script_reads(small):
    lines = plan(jobs_of(read_rows(small), ["flat"])).splitlines()
    assert lines[0] == "0\tbase\t-\tbase\t-\tall\t"
    assert lines[2] == "0\tflat\tbrier\tgrpo\tproper\tverbal\ta.b.c=1 d=2"


def test_the_hours_are_the_sum_of_their_parts(small):
    jobs = jobs_of(read_rows(small), ["flat"], [0, 1])
    # A seed: stage one 9 and once more from its SFT data on 2, SFT 9, GRPO 10 minutes; 2,000
    # questions to the base by all protocols 2 x 6, to two models by Verbal 2 x 2 x 1.5.
    assert hours_of(jobs, 2000) == pytest.approx(2 * (9 + 2 + 9 + 10 + 12 + 6) / 60)
    shown = listing(jobs, 2000)
    assert "4 trainings, 2,000 held-out questions a model: about 2 hours" in shown
    assert "estimate" in shown and "c=1 d=2" in shown


# The shipped table -------------------------------------------------------------------------------


WRITTEN = {"1e-3": "0.001"}
"""A value that Python writes in another way."""
# own_ and facts_ rows have the same keys, and composing verl's configuration takes seconds.
DISTINCT = {(row.rule, row.keys): row for row in ROWS.values() if row.kind != "base"}


@pytest.mark.parametrize("row", DISTINCT.values(), ids=lambda row: row.name)
def test_each_row_s_keys_compose_and_the_trainer_takes_them(row):
    grpo = row.kind == "grpo"
    rule = [f"rule={row.rule}"] if grpo else []
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        config = compose("pocket" if grpo else "pocket_sft", overrides=[*rule, *row.keys])
    for key in row.keys:
        name, _, value = key.partition("=")
        assert str(OmegaConf.select(config, name)).lower() == WRITTEN.get(value, value)
    if not grpo:
        return
    if "difficulty=question" not in "".join(row.keys):  # that needs stage one's coefficients
        assert configured_reward(config)
    segments = TrainerOptions.of(config).segments
    if row.rule == "segments" and segments.number_by != "drawn":
        check_groups(config, segments.number_by)
        check_logits(config, segments.number_by)
        check_reference(config)


def test_the_table_has_what_the_issue_asks_for():
    assert {row.target for row in ROWS.values() if row.target} == set(TARGETS)
    assert any("number_brier=50" in row.keys for row in ROWS.values())
    for start in ("sft_own", "sft_facts"):
        rows = [row for row in ROWS.values() if row.start == start]
        assert {row.rule for row in rows} == {"paper", "proper", "segments"}
        keys = " ".join(key for row in rows for key in row.keys)
        for part in (
            *("coefficients=fixed", "difficulty=question", "clip_ratio_high=0.2"),
            *("norm_adv_by_std_in_grpo=true", "norm_adv_by_std_in_grpo=false"),
            *("filter_groups.enable=false", "number_by=drawn"),
            *("target=instance", "target=group", "target=hybrid"),
        ):
            assert part in keys, (start, part)
        assert any(row.rule == "segments" and not row.keys for row in rows)  # number_by=fitted


def test_each_model_of_fixed_coefficients_stands_beside_its_dynamic_one():
    for name, row in ROWS.items():
        if name.endswith("_fixed"):
            other = ROWS[name.removesuffix("_fixed")]
            assert (other.start, other.rule, other.main) == (row.start, row.rule, row.main)
