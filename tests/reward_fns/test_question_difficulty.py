"""Difficulty by question: the formula by hand, bounds, directions, and the reward that uses it."""

import asyncio
import itertools
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import reward as module
from reward_fns.adapters.rows import sample_of
from reward_fns.coefficients_file import (
    Coefficients,
    QuestionReference,
    Spread,
    load_coefficients,
    load_references,
    save_coefficients,
)
from reward_fns.compute_score import compute_score
from reward_fns.difficulty import DatasetStatistics, from_statistics, paper_statistics
from reward_fns.errors import ConfigurationError
from reward_fns.question_difficulty import (
    STRENGTH,
    QuestionStatistics,
    question_coefficients,
    read_statistics,
)
from reward_fns.reward import DifficultyReward, make_reward
from reward_fns.sample import Sample, read_sample

NAMES = ("alpha", "beta", "gamma", "delta")
CLIPS = {"alpha": (0.0, 2.5), "beta": (0.5, 2.5), "gamma": (0.0, 2.0), "delta": (0.0, 2.0)}
TOY = Coefficients(1.0, 2.0, 1.0, 1.5)
REFERENCE = QuestionReference(Spread(0.75, 0.25), Spread(math.log(8), math.log(2)))
AVERAGE = QuestionStatistics(0.75, 8.0)
# Margin (0.25 - 0.75) / 0.25 = -2 deviations, so h = 2; ln 4 is ln 2 below ln 8, so z = 1.
HARD = QuestionStatistics(0.25, 4.0)


@pytest.fixture(autouse=True)
def _no_ended_run():
    module._made.cache_clear()


@pytest.fixture
def measured(tmp_path):
    """A coefficients file: toy with what its questions are measured against, old without."""
    path = tmp_path / "measured.yaml"
    save_coefficients(path, {"toy": TOY, "old": TOY}, {"toy": REFERENCE})
    return path


def test_a_hard_question_s_coefficients_by_hand():
    # tanh(x) = (e^2x - 1) / (e^2x + 1); h = 2, z = 1, S = 0.25
    # alpha: 0.53357 * (2 + 0.2) = 1.173854, tanh 0.825504: 1.0 * (1 - 0.206376)
    # beta: 0.72623 / 2 * 1 = 0.363115, tanh 0.347955: 2.0 * (1 + 0.086989)
    # gamma: 1.69002 / 2 * 2 = 1.69002, tanh 0.934150: 1.0 * (1 + 0.233537)
    # delta: 0.77917 / 2 * (2 + 1) = 1.168755, tanh 0.823873: 1.5 * (1 + 0.205968)
    found = question_coefficients(TOY, HARD, REFERENCE)
    assert found.alpha == pytest.approx(0.793624, abs=1e-6)
    assert found.beta == pytest.approx(2.173977, abs=1e-6)
    assert found.gamma == pytest.approx(1.233537, abs=1e-6)
    assert found.delta == pytest.approx(1.808952, abs=1e-6)


def test_one_statistic_alone_by_hand():
    # Margin 0.5: h = 1, and z = 0 without an entity. alpha: tanh(0.53357) = 0.488105,
    # gamma: e^1.69002 = 5.41959, tanh(0.84501) = 4.41959 / 6.41959 = 0.688454,
    # delta: e^0.77917 = 2.17966, tanh(0.389585) = 1.17966 / 3.17966 = 0.371002
    found = question_coefficients(TOY, QuestionStatistics(vote_margin=0.5), REFERENCE)
    assert found.alpha == pytest.approx(1 - 0.25 * 0.488105, abs=1e-6)
    assert found.beta == TOY.beta
    assert found.gamma == pytest.approx(1 + 0.25 * 0.688454, abs=1e-6)
    assert found.delta == pytest.approx(1.5 * (1 + 0.25 * 0.371002), abs=1e-6)


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        (AVERAGE, REFERENCE),
        (QuestionStatistics(), REFERENCE),
        (HARD, QuestionReference()),
        (HARD, QuestionReference(Spread(0.75, 0.0), Spread(2.0, 0.0))),
    ],
    ids=["average", "nothing defined", "no reference", "no spread"],
)
@pytest.mark.parametrize("dataset", [TOY, Coefficients(0.1, 0.3, 7.0, 0.1 + 0.2)], ids=str)
def test_an_average_question_has_its_dataset_s_coefficients_bit_for_bit(
    question, reference, dataset
):
    assert question_coefficients(dataset, question, reference) == dataset


def test_a_coefficient_stays_within_the_paper_s_clips_and_never_leaves_its_dataset_s_for_them():
    # gamma 1.9 * 1.2335 and delta 1.8 * 1.206 are above 2.
    found = question_coefficients(Coefficients(1.0, 0.5, 1.9, 1.8), HARD, REFERENCE)
    assert (found.gamma, found.delta) == (2.0, 2.0)
    # Of a file of one's own: beta below its clip, delta above. They move inwards, not outwards.
    own = Coefficients(1.0, 0.3, 1.0, 3.0)
    easy = QuestionStatistics(1.0, 16.0)  # h = -1, z = -1
    assert question_coefficients(own, HARD, REFERENCE).delta == 3.0
    assert question_coefficients(own, easy, REFERENCE).delta < 3.0
    assert question_coefficients(own, easy, REFERENCE).beta == 0.3
    assert 0.3 < question_coefficients(own, HARD, REFERENCE).beta < 0.5


weight = st.floats(0, 4)
margin = st.none() | st.floats(0, 1)
rarity = st.none() | st.floats(0, exclude_min=True, allow_infinity=False, allow_nan=False)
spread = st.none() | st.builds(Spread, st.floats(-1e300, 1e300), st.floats(0, 1e300))


@given(
    dataset=st.builds(Coefficients, weight, weight, weight, weight),
    question=st.builds(QuestionStatistics, margin, rarity),
    reference=st.builds(QuestionReference, spread, spread),
)
def test_every_factor_is_bounded_whatever_the_numbers(dataset, question, reference):
    found = question_coefficients(dataset, question, reference)
    for name in NAMES:
        own, moved = getattr(dataset, name), getattr(found, name)
        assert own * (1 - STRENGTH) * (1 - 1e-12) <= moved <= own * (1 + STRENGTH) * (1 + 1e-12)
        low, high = CLIPS[name]
        assert min(low, own) <= moved <= max(high, own)


def grid():
    """Coefficients at every margin and rarity of a grid, (margins, rarities)."""
    margins = [i / 20 for i in range(21)]
    rarities = [2.0**i for i in range(9)]
    return [
        [question_coefficients(TOY, QuestionStatistics(m, r), REFERENCE) for r in rarities]
        for m in margins
    ]


# A larger margin, or a more frequent entity, is an easier question: 1 rises, -1 falls, 0 stays.
BY_MARGIN = {"alpha": 1, "beta": 0, "gamma": -1, "delta": -1}
BY_RARITY = {"alpha": 1, "beta": -1, "gamma": 0, "delta": -1}


@pytest.mark.parametrize("name", NAMES)
def test_a_coefficient_moves_in_one_direction_with_each_statistic(name):
    table = [[getattr(found, name) for found in row] for row in grid()]
    for direction, lines in (
        (BY_MARGIN[name], zip(*table, strict=True)),
        (BY_RARITY[name], table),
    ):
        for line in lines:
            steps = [b - a for a, b in itertools.pairwise(line)]
            assert all(step * direction >= 0 for step in steps)
            assert (line[0] != line[-1]) == (direction != 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("base", paper_statistics(), ids=lambda stats: stats.dataset)
def test_the_directions_are_those_of_the_paper_s_datasets(name, base):
    """The recovered mapping, a dataset made harder in one statistic, moves as a question does."""

    def of(contradiction_pct, avg_entity_rarity):
        stats = DatasetStatistics(
            base.dataset,
            base.num_samples,
            base.avg_entity_count,
            avg_entity_rarity,
            contradiction_pct,
        )
        return getattr(from_statistics(stats), name)

    own = of(base.contradiction_pct, base.avg_entity_rarity)
    divided = of(base.contradiction_pct + 5, base.avg_entity_rarity) - own
    # Where the paper's mapping is flat a question may move, but nowhere against it.
    assert divided * -BY_MARGIN[name] >= 0
    if name == "gamma":
        return  # through alpha alone, see the module
    rarer = of(base.contradiction_pct, base.avg_entity_rarity * 0.8) - own
    assert rarer * -BY_RARITY[name] > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vote_margin": 1.1}, r"vote_margin must be a number in \[0, 1\], got 1.1"),
        ({"vote_margin": -0.1}, "vote_margin"),
        ({"vote_margin": True}, "vote_margin"),
        ({"vote_margin": "0.5"}, "vote_margin"),
        ({"vote_margin": [0.5, 0.5]}, "vote_margin"),
        ({"entity_rarity": 0.0}, "entity_rarity must be a finite number above 0, got 0.0"),
        ({"entity_rarity": math.inf}, "an infinite number"),
    ],
)
def test_a_statistic_out_of_range_names_the_question(values, message):
    info = {"question_id": "q7", "vote_margin": 0.5, **values}
    with pytest.raises(ValueError, match=f"question q7 of dataset 'toy': .*{message}"):
        read_statistics(info, "toy")


def test_a_row_s_statistics_are_read_as_tables_hand_them_over():
    np = pytest.importorskip("numpy")
    assert read_statistics({"vote_margin": 0.5, "entity_rarity": 3}, "toy") == QuestionStatistics(
        0.5, 3
    )
    row = {"vote_margin": np.float32(0.5), "entity_rarity": float("nan")}
    assert read_statistics(row, "toy") == QuestionStatistics(0.5, None)
    # Stage one names the subset of every row: what is null there is undefined, not unmeasured.
    nothing = {"vote_margin": None, "entity_rarity": None, "subset": "unpaired"}
    assert read_statistics(nothing, "toy") == QuestionStatistics()


@pytest.mark.parametrize(
    "info",
    [{}, {"vote_margin": None, "entity_rarity": None, "subset": ""}, {"share_true": 0.5}],
    ids=str,
)
def test_a_row_that_was_not_measured_names_itself_and_the_remedy(info):
    with pytest.raises(ValueError, match="question 4 of .*'toy' has neither vote_margin nor ent"):
        read_statistics({"index": 4} | info, "toy")
    with pytest.raises(ValueError, match="data_prep run CONFIG --out RUN.*difficulty=dataset"):
        read_statistics(info, "toy")


def test_a_row_that_nobody_trains_on_need_not_be_measured():
    for split in ("test", "selection"):
        assert read_statistics({"split": split}, "toy") == QuestionStatistics()
    with pytest.raises(ValueError, match="has neither vote_margin nor entity_rarity"):
        read_statistics({"split": "train"}, "toy")


def test_a_file_with_references_is_read_back_exactly(tmp_path):
    references = {
        "toy": QuestionReference(Spread(0.1 + 0.2, 1 / 3), Spread(math.log(3), 0.0)),
        "ünï": QuestionReference(vote_margin=Spread(1.0, 0.0)),
        "nothing": QuestionReference(),
    }
    path = tmp_path / "c.yaml"
    save_coefficients(path, dict.fromkeys([*references, "old"], TOY), references)
    assert load_references(path) == {**references, "old": None}
    assert load_coefficients(path) == dict.fromkeys([*references, "old"], TOY)


def test_a_file_from_before_references_loads(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("toy: {alpha: 1, beta: 2, gamma: 1, delta: 1.5}\n", encoding="utf-8")
    assert load_coefficients(path) == {"toy": TOY}
    assert load_references(path) == {"toy": None}


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ("1", "questions maps vote_margin and log_entity_rarity"),
        ("{margin: {mean: 0, sd: 1}}", "questions maps vote_margin and log_entity_rarity"),
        ("{vote_margin: {mean: 0}}", "questions.vote_margin must have exactly the keys mean and"),
        ("{vote_margin: 0.5}", "questions.vote_margin must have exactly the keys mean and"),
        ("{vote_margin: {mean: 0, sd: -1}}", "sd must be a finite number >= 0, got -1"),
        ("{vote_margin: {mean: x, sd: 1}}", "mean must be a finite number, got 'x'"),
    ],
)
def test_a_wrong_reference_is_an_error_that_names_file_and_dataset(tmp_path, questions, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        f"toy: {{alpha: 1, beta: 1, gamma: 1, delta: 1, questions: {questions}}}", encoding="utf-8"
    )
    for load in (load_coefficients, load_references):
        with pytest.raises(ValueError, match=f"wrong.yaml: dataset 'toy': {message}"):
            load(path)


RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1"
WRONG = "1. The digit is 8. I'm sure.\nConfidence: 1"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
INFO = {"question": "Which digit?", "question_id": "q1"}
HARD_INFO = INFO | {"vote_margin": 0.25, "entity_rarity": 4.0}


def scored(reward, response, info=None, dataset="toy"):
    sample = read_sample(data_source=dataset, ground_truth=TRUTH, extra_info=info or INFO)
    return asyncio.run(reward.score(response, sample))


def test_a_hard_question_s_reward_by_hand_from_every_door(measured):
    options = {"expert": "oracle", "coefficients": str(measured), "difficulty": "question"}
    reward = make_reward(options)
    # Right, sure, confidence 1: alpha + beta + gamma. Wrong: m = 0, so gamma - delta.
    right, wrong = 0.793624 + 2.173977 + 1.233537, 1.233537 - 1.808952
    assert scored(reward, RIGHT, HARD_INFO)["score"] == pytest.approx(right, abs=1e-5)
    assert scored(reward, WRONG, HARD_INFO)["score"] == pytest.approx(wrong, abs=1e-5)
    values = asyncio.run(compute_score("toy", RIGHT, TRUTH, HARD_INFO, **options))
    assert values["score"] == pytest.approx(right, abs=1e-5)
    assert reward.coefficients_of("toy", HARD_INFO).delta == pytest.approx(1.808952, abs=1e-6)
    # An adapter's row has them as columns.
    row = {"answer": TRUTH, "data_source": "toy", **HARD_INFO}
    adapted = asyncio.run(reward.score(RIGHT, sample_of(row, None)))
    assert adapted["score"] == pytest.approx(right, abs=1e-5)


def test_an_average_question_s_reward_and_keys_are_those_without_the_option(measured):
    plain = DifficultyReward("oracle", coefficients=measured)
    by_question = DifficultyReward("oracle", coefficients=measured, difficulty="question")
    average = INFO | {"vote_margin": 0.75, "entity_rarity": 8.0}
    for response in (RIGHT, WRONG, "no list"):
        expected = scored(plain, response, average)
        assert scored(by_question, response, average) == expected
        assert list(scored(by_question, response, HARD_INFO)) == list(expected)


def test_by_default_no_statistic_is_read_and_no_reward_moves(measured):
    for options in ({}, {"difficulty": "dataset"}):
        reward = make_reward({"expert": "oracle", "coefficients": str(measured)} | options)
        # alpha + beta + gamma, also beside statistics that could not be read.
        for more in ({}, {"vote_margin": 0.25, "entity_rarity": 4.0}, {"vote_margin": "?"}):
            assert scored(reward, RIGHT, INFO | more)["score"] == 1.0 + 2.0 + 1.0
            assert reward.coefficients_of("toy", INFO | more) == TOY


def test_a_row_that_was_not_measured_ends_the_run(measured):
    reward = DifficultyReward("oracle", coefficients=measured, difficulty="question")
    with pytest.raises(ConfigurationError, match="question q1 of dataset 'toy' has neither"):
        scored(reward, RIGHT)
    with pytest.raises(ConfigurationError, match="question q1"):
        scored(reward, RIGHT, HARD_INFO)
    reward = DifficultyReward("oracle", coefficients=measured, difficulty="question")
    with pytest.raises(ConfigurationError, match=r"question \? of dataset 'toy' has neither"):
        asyncio.run(reward.score(RIGHT, Sample("toy", "Which digit?", "QA", TRUTH)))
    # Without a row at hand the dataset's own are asked for.
    fresh = DifficultyReward("oracle", coefficients=measured, difficulty="question")
    assert fresh.coefficients_of("toy") == TOY


def test_a_dataset_without_reference_is_an_error_and_an_unlisted_one_has_the_default(measured):
    default = {"alpha": 1, "beta": 1, "gamma": 1, "delta": 1}
    options = {"coefficients": measured, "difficulty": "question", "default_coefficients": default}
    reward = DifficultyReward("oracle", **options)
    assert reward.coefficients_of("new", {}) == Coefficients(1, 1, 1, 1)
    with pytest.raises(ConfigurationError, match="dataset 'old' in .*measured.yaml has none: set"):
        reward.coefficients_of("old", HARD_INFO)


@pytest.mark.parametrize("coefficients", ["table4", "fixed", "old.yaml"])
def test_coefficients_without_references_are_an_error_at_construction(tmp_path, coefficients):
    if coefficients == "old.yaml":
        coefficients = tmp_path / "old.yaml"
        save_coefficients(coefficients, {"toy": TOY})
    with pytest.raises(ConfigurationError, match="has none: .*data_prep statistics CONFIG"):
        DifficultyReward("oracle", coefficients=coefficients, difficulty="question")


def test_an_unknown_difficulty_names_the_choices():
    with pytest.raises(ConfigurationError, match="'row': choose one of dataset, question"):
        make_reward({"expert": "oracle", "difficulty": "row"})


def test_a_changed_file_is_measured_against_anew(measured):
    reward = DifficultyReward("oracle", coefficients=measured, difficulty="question")
    before = reward.coefficients_of("toy", HARD_INFO)
    save_coefficients(measured, {"toy": TOY}, {"toy": QuestionReference()})
    os.utime(measured, ns=(1, 1))
    assert reward.coefficients_of("toy", HARD_INFO) == TOY != before
