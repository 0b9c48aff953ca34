"""Short GRPO runs through real verl, Ray and vLLM: the errors that must end one,
and another architecture.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from data_prep.engines import ScoringRequest, open_engine
from data_prep.engines.number_values import expectation, score_values, stated_number
from data_prep.engines.verl_checkpoint import kept_checkpoint
from data_prep.verl_rows import Question, load_questions
from recipe.difficulty_calib.alarms import BOUNDS
from recipe.difficulty_calib.number_map import NumberMap
from recipe.difficulty_calib.progress import step_line
from recipe.difficulty_calib.selection import overrides
from reward_fns.claims import parse_response

pytestmark = pytest.mark.timeout(1200)

Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path, pocket_data, run_on_cpu) -> Train:
    """Takes a model and Hydra overrides; gives the exit code and log of two GRPO
    steps of four prompts.
    """

    def run(model: Path, *overrides: str) -> tuple[int, str]:
        coefficients = pocket_data / "coefficients.yaml"
        command = [sys.executable, "-m", "recipe.difficulty_calib.train", "--config-name", "pocket"]
        command += [f"data.train_files={pocket_data / 'rl_train.parquet'}"]
        command += [f"data.val_files={pocket_data / 'test.parquet'}"]
        command += [f"reward.custom_reward_function.reward_kwargs.coefficients={coefficients}"]
        command += [
            f"actor_rollout_ref.model.path={model}",
            f"trainer.default_local_dir={tmp_path / 'checkpoints'}",
        ]
        command += [
            "trainer.total_training_steps=2",
            "trainer.save_freq=-1",
            "trainer.logger=[console]",
        ]
        command += ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
        command += [
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=32",
            f"hydra.run.dir={tmp_path}",
        ]
        command += [
            f"actor_rollout_ref.{part}.log_prob_micro_batch_size_per_gpu=32"
            for part in ("rollout", "ref")
        ]
        return run_on_cpu([*command, *overrides])

    return run


def test_dynamic_sampling_ends_with_an_error_when_all_groups_tie(train, pocket_model):
    # No expert fails here, so every group ties on this metric.
    code, log = train(
        pocket_model,
        "algorithm.filter_groups.metric=expert_failed",
        "algorithm.filter_groups.max_num_gen_batches=3",
    )
    assert code != 0
    assert "DynamicSamplingError" in log and "had answers that differ in 'expert_failed'" in log


def test_another_architecture_trains_by_naming_its_overlay(train, tiny_qwen):
    # A random model states nothing readable: no dynamic sampling,
    # the malformed floor is its reward.
    code, log = train(
        tiny_qwen,
        "vlm=qwen2_5_vl",
        "algorithm.filter_groups.enable=false",
        "data.max_response_length=16",
    )
    assert code == 0, log[-3000:]
    steps = [reported[0] for line in log.splitlines() if (reported := step_line(line))]
    assert steps == [1, 2]


@pytest.fixture
def one_question(pocket_data, tmp_path) -> Path:
    """A parquet of four times the same question:
    the rollouts' texts alone then say what was asked.
    """
    rows = pd.read_parquet(pocket_data / "rl_train.parquet")
    path = tmp_path / "one_question.parquet"
    pd.concat([rows.head(1)] * 4).to_parquet(path)
    return path


def mean_numbers(model: Path, question: Question, texts: list[str], work: Path) -> Iterator[float]:
    """Of each text that is well-formed, by `verbal_expected`'s own way: all its numbers, scored."""
    with open_engine({"kind": "transformers", "model": str(model)}, work) as engine:
        for text in texts:
            parsed = parse_response(text)
            stated = stated_number(text, parsed.confidence) if parsed.well_formed else None
            if stated is None:
                continue
            asked = ScoringRequest(question.messages, stated.answers(text), question.image)
            (scored,) = score_values(engine, [asked])
            values = [value for _, value in stated.values]
            mean, _ = expectation(values, scored)
            if parsed.confidence == 1:
                # The pass of the reference does not see what would stand behind a 0.
                is_one = [float(value == 1) for value in values]
                chance, _ = expectation(is_one, scored)
                mean = chance + (1 - chance) * 0.9
            yield mean


def check_selection(checkpoints: Path, log: str, pocket_data: Path) -> None:
    """Each checkpoint, and the model before training, was validated on the questions set aside."""
    told = json.loads((checkpoints / "selection.json").read_text())
    questions = {q.question_id for q in load_questions(pocket_data / "selection.parquet")}
    assert told["losses"].keys() == told["brier"].keys() == {"0", "1", "2"}
    assert all(losses.keys() == questions for losses in told["losses"].values())
    assert all(0 < brier < 1 for brier in told["brier"].values()), told["brier"]
    chosen = checkpoints / f"global_step_{told['chosen']}" / "actor"
    assert kept_checkpoint(checkpoints) == chosen
    assert f"chosen: step {told['chosen']}" in log
    # In the tracker too, and every alarm beside them.
    last = next(line for line in log.splitlines() if "step:2 - " in line)
    assert f"selection/brier:{told['brier']['2']:.3f}"[:-1] in last
    assert all(f"alarm/{name}:0.0" in last for name in BOUNDS)


def test_numbers_are_fitted_to_the_means_of_the_model_that_the_training_began_from(
    train, pocket_model, pocket_data, one_question, tmp_path
):
    rollouts = tmp_path / "rollouts"
    code, log = train(
        pocket_model,
        "rule=segments",
        f"data.train_files={one_question}",
        "actor_rollout_ref.actor.optim.lr=2e-3",  # the second step's policy is another
        "trainer.save_freq=1",
        f"trainer.rollout_data_dir={rollouts}",
        *overrides(pocket_data / "selection.parquet", pocket_data / "test.parquet"),
    )
    assert code == 0, log[-3000:]
    check_selection(tmp_path / "checkpoints", log, pocket_data)
    found = []
    for step in (1, 2):
        saved = tmp_path / "checkpoints" / f"global_step_{step}" / NumberMap.FILE
        found.append(json.loads(saved.read_text())["means"])
    assert found[1][: len(found[0])] == found[0], "each step adds to the answers before"
    question = load_questions(pocket_data / "rl_train.parquet")[0]
    for step, means in ((1, found[0]), (2, found[1][len(found[0]) :])):
        lines = (rollouts / f"{step}.jsonl").read_text().splitlines()
        texts = [json.loads(line)["output"] for line in lines]
        expected = sorted(mean_numbers(pocket_model, question, texts, tmp_path / "engine"))
        assert len(expected) > 10
        assert sorted(means) == pytest.approx(expected, abs=0.005)
