"""The main job as a user runs it: `--quick`, killed in the middle of GRPO,
then the same command again.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from reference_means import expected_means, questions_of_step

from data_prep.engines.verl_checkpoint import kept_checkpoint
from data_prep.verl_rows import load_questions
from recipe.difficulty_calib.alarms import BOUNDS
from recipe.difficulty_calib.number_map import NumberMap
from recipe.difficulty_calib.progress import step_line

pytestmark = pytest.mark.timeout(2400)

ROOT = Path(__file__).parents[1]
RUN = ROOT / "outputs" / "test-main-job"
ROLLOUTS = "trainer.rollout_data_dir=${trainer.default_local_dir}/rollouts"
COMMAND = ["bash", "examples/run_llava_grpo.sh", "--quick", ROLLOUTS]
ENVIRONMENT = os.environ | {"RUN": RUN.name, "DIFFICULTY_CALIB_DEVICE": "cpu"}
MODELS = {"base", "sft", "r_tuning", "rl", "rl_segments", "rl_on_base"}
STAGE = "recipe.difficulty_calib.stage"
PROTOCOLS = {"dp", "sc", "pcr", "verbal", "vcap"}


def kill_grpo_after_its_first_step(script: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + 1500
    while not (log.is_file() and "step:1 - " in log.read_text(errors="replace")):
        assert script.poll() is None, "the script ended before GRPO took a step"
        assert time.monotonic() < deadline, "GRPO took no step in 25 minutes"
        time.sleep(0.2)
    for process in psutil.Process(script.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone since it was listed
            command = process.cmdline()
            if "recipe.difficulty_calib.train" in command and STAGE not in command:
                process.kill()


@pytest.fixture(scope="module")
def interrupted() -> tuple[int, str]:
    """Exit code and output of the first call, whose GRPO driver is killed after a step."""
    shutil.rmtree(RUN, ignore_errors=True)
    script = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # By segments, which has more to take up again than the paper's rule: its map of numbers.
    kill_grpo_after_its_first_step(script, RUN / "logs" / "rl_segments.log")
    output, _ = script.communicate(timeout=300)
    return script.returncode, output


@pytest.fixture(scope="module")
def finished(interrupted) -> subprocess.CompletedProcess[str]:
    """The second call of the same command."""
    return subprocess.run(
        COMMAND, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=1500
    )


def log_of(stage: str) -> str:
    return (RUN / "logs" / f"{stage}.log").read_text(errors="replace")


def test_a_killed_driver_fails_the_script_with_a_clear_last_line(interrupted):
    code, output = interrupted
    assert code != 0
    assert output.strip().splitlines()[-1].startswith("FAILED: stage rl_segments:")


def test_the_same_command_skips_what_is_done_and_ends_well(finished):
    assert finished.returncode == 0, finished.stderr[-2000:]
    for stage in (
        "questions",
        "stage_one",
        "sft",
        "sft_export",
        "r_tuning",
        "r_tuning_export",
        "rl",
    ):
        assert f"[{stage}] already done" in finished.stdout


def test_grpo_resumes_after_its_last_checkpoint(finished):
    # A log is appended to; a line that begins with === parts the calls.
    first, second = log_of("rl_segments").split("\n=== ")
    assert "step:1 - " in first
    # verl reports the validation before the first step, too, as one of the step resumed from.
    steps = [found[0] for line in second.splitlines() if (found := step_line(line))]
    assert steps and min(steps) == 2, "the second call must not take step 1 again"


def test_numbers_are_fitted_to_the_means_of_the_model_that_the_training_began_from(finished):
    """Also at the second step, after an update and the kill."""
    means: list[list[float]] = [[]]
    for step in (1, 2):
        saved = RUN / "grpo_segments" / f"global_step_{step}" / NumberMap.FILE
        means.append(json.loads(saved.read_text())["means"])
        assert means[-1][: len(means[-2])] == means[-2], "each step adds to the answers before"
        added = means[-1][len(means[-2]) :]
        expected = expected_means(
            RUN / "models" / "sft",
            questions_of_step(RUN / "stage_one" / "rl_train.parquet", step, batch_size=8, seed=0),
            RUN / "grpo_segments" / "rollouts" / f"{step}.jsonl",
            added,
            RUN / "engine",
        )
        assert len(expected) > 10
        assert sorted(added) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("rule", ["paper", "segments"])
def test_each_checkpoint_was_validated_on_the_questions_set_aside(finished, rule):
    """And the model before training."""
    checkpoints = RUN / f"grpo_{rule}"
    log = log_of("rl" if rule == "paper" else f"rl_{rule}")
    told = json.loads((checkpoints / "selection.json").read_text())
    questions = {q.question_id for q in load_questions(RUN / "questions" / "selection.parquet")}
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


def test_rollouts_come_from_vllm_and_agree_with_the_actor(finished):
    for stage in ("rl", "rl_segments"):
        log = log_of(stage)
        assert "vLLMHttpServer" in log
        assert "timing_s/update_weights" in log
        correlations = [float(value) for value in re.findall(r"probs_pearson_corr:([\d.]+)", log)]
        assert correlations and min(correlations) >= 0.9999


def test_every_component_of_the_reward_is_logged_each_step(finished):
    line = next(line for line in log_of("rl").splitlines() if "step:2 - " in line)
    for name in (
        "reward/factuality",
        "reward/alignment",
        "reward/consistency",
        "reward/penalty",
        "expert/failed",
    ):
        assert name in line
    for name in ("response/well_formed", "confidence/mean", "confidence/at_0_or_1"):
        assert name in line


def test_the_report_has_every_model_and_dataset(finished):
    report = json.loads((RUN / "report.json").read_text())
    assert report["models"].keys() == MODELS
    for model in MODELS:
        assert report["models"][model].keys() >= PROTOCOLS
        for protocol in PROTOCOLS:
            by_dataset = report["models"][model][protocol]
            assert {"pooled", "pocket-digit", "pocket-scene", "pocket-emblem"} <= by_dataset.keys()
            assert {"ece", "auroc", "brier", "accuracy", "n", "parse_failures"} <= by_dataset[
                "pooled"
            ].keys()
            assert by_dataset["pooled"]["n"] == 100
    assert report["stage_seconds"].keys() >= {
        "stage_one",
        "sft",
        "r_tuning",
        "rl",
        "rl_segments",
        "evaluation",
    }
    assert report["versions"] and report["config"]["seed"] == "0"
    assert (RUN / "reliability.png").stat().st_size > 10_000
    assert (RUN / "report.html").stat().st_size > 100_000


def test_the_hallucination_of_every_model_stands_beside_the_report(finished):
    found = json.loads((RUN / "hallucination" / "hallucination.json").read_text())
    assert found["models"].keys() == MODELS | {"rl_segments_on_base", "vcd"}
    assert 'id="hallucination"' in (RUN / "report.html").read_text(encoding="utf-8")
    assert found["benchmarks"] == ["mmhal", "objhal", "pope"]


def test_stage_one_left_coefficients_and_statistics_of_its_own(finished):
    made = RUN / "stage_one"
    statistics = json.loads((made / "statistics.json").read_text())
    assert "pocket-emblem" in (made / "table1.md").read_text()
    assert (made / "coefficients.yaml").is_file() and statistics


@pytest.mark.parametrize("backbone", ["sft", "base"])
def test_the_adapter_loads_with_peft_on_sft_and_on_the_base(finished, backbone):
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    path = (
        RUN / "models" / "sft"
        if backbone == "sft"
        else ROOT / "data_prep" / "pocket" / "base_model"
    )
    model = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(path), RUN / "models" / "rl"
    )
    adapted = {name for name, _ in model.named_parameters() if "lora_B" in name}
    assert adapted and not [name for name in adapted if "vision_tower" in name]
    assert any(
        weight.abs().max() > 0 for name, weight in model.named_parameters() if "lora_B" in name
    )


def test_a_third_call_installs_and_trains_nothing(finished):
    again = subprocess.run(
        COMMAND, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert again.returncode == 0
    assert (
        "[evaluation] already done" in again.stdout
        and "started, log" not in again.stdout.split("[report]")[0]
    )
