"""`python -m eval calibration` with real models:
every protocol, the same weights in every form, a kill.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import main
from eval.protocols import PROTOCOLS
from eval.records import load_records, read_answers, read_records

pytestmark = pytest.mark.timeout(900)

REPOSITORY = Path(__file__).parents[3]
POCKET = REPOSITORY / "data_prep" / "pocket" / "base_model"
QUESTIONS, BATCH, SAMPLES = 6, 2, 3
# Small batches, so that a kill falls between two of them.
PROGRAM = f"""
import sys
from eval.asking import answers
answers.BATCH = {BATCH}
from eval.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def command(out, questions, *models):
    arguments = [part for spec in models for part in ("--model", spec)]
    arguments += ["--questions", str(questions), "--out", str(out), "--temperature", "0"]
    arguments += ["--max-tokens", "48", "--sc-samples", str(SAMPLES), "--protocols", *PROTOCOLS]
    return [sys.executable, "-c", PROGRAM, "calibration", *arguments]


def finish(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """Two questions of each of three pocket datasets."""
    import pyarrow.parquet

    out = tmp_path_factory.mktemp("pocket")
    make = [sys.executable, "-m", "data_prep.pocket", "data", "--out", str(out)]
    subprocess.run(
        [*make, "--train", "5", "--sft", "5", "--test", "10"], check=True, cwd=REPOSITORY
    )
    table = pyarrow.parquet.read_table(out / "test.parquet")
    pyarrow.parquet.write_table(table.take(list(range(QUESTIONS))), out / "questions.parquet")
    return out / "questions.parquet"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """The pocket model with one LoRA adapter in three forms:
    merged, peft's, and as verl saves it in training.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("adapted")
    base = AutoModelForImageTextToText.from_pretrained(POCKET, dtype=torch.float32)
    modules = r".*language_model.*\.(q_proj|v_proj)"
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=modules))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if (
                "lora_" in name
            ):  # verl's merger writes bfloat16: take numbers that are the same there
                weight.copy_((0.03 * torch.randn_like(weight)).bfloat16().float())
    model.save_pretrained(out / "peft")

    actor = out / "verl" / "global_step_7" / "actor"
    shutil.copytree(POCKET, actor / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(model.state_dict(), actor / "model_world_size_1_rank_0.pt")
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
    (actor / "lora_train_meta.json").write_text(
        json.dumps({"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"})
    )
    (out / "verl" / "latest_checkpointed_iteration.txt").write_text("7")

    shutil.copytree(POCKET, out / "merged")
    model.merge_and_unload().save_pretrained(out / "merged")
    return out


@pytest.fixture(scope="module")
def greedy(tmp_path_factory, questions, adapted, vllm_server):
    """Record files of five models, two sets of weights."""
    out = tmp_path_factory.mktemp("greedy")
    server = json.dumps({"kind": "openai", "model": vllm_server.model, "base_url": vllm_server.url})
    models = [f"base={POCKET}", f"server={server}", f"merged={adapted / 'merged'}"]
    models += [f"peft={POCKET}+{adapted / 'peft'}", f"rl@7={POCKET}+{adapted / 'verl'}"]
    finish(command(out, questions, *models))
    return out


def by_model(directory, protocol):
    records = [record for record in load_records(directory) if record.protocol == protocol]
    models = {record.model for record in records}
    return {model: [record for record in records if record.model == model] for model in models}


def test_every_protocol_has_a_confidence_for_every_answer(greedy):
    for name in PROTOCOLS:
        for records in by_model(greedy, name).values():
            assert len(records) == QUESTIONS
            read = [r.confidence for r in records if r.confidence is not None]
            # the pocket model knows all prompts;
            # a reply that cannot be read is rare, but may happen
            assert len(read) >= QUESTIONS - 1 and all(0 <= value <= 1 for value in read)


def test_confidences_of_sc_are_multiples_of_one_over_k(greedy):
    for records in by_model(greedy, "sc").values():
        for record in records:
            assert record.confidence == record.detail["clusters"][0] / SAMPLES
            assert len(record.texts) == sum(record.detail["clusters"]) == SAMPLES


GREEDY = [name for name in PROTOCOLS if name != "sc"]


@pytest.mark.parametrize("same", [("base", "server"), ("merged", "peft"), ("merged", "rl@7")])
@pytest.mark.parametrize("name", GREEDY)
def test_the_same_weights_give_the_same_numbers_in_every_form(greedy, same, name):
    first, second = (by_model(greedy, name)[model] for model in same)
    assert [r.response for r in first] == [r.response for r in second]
    assert [r.correct for r in first] == [r.correct for r in second]
    values = [
        [np.nan if r.confidence is None else r.confidence for r in records]
        for records in (first, second)
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-4)


def test_other_weights_give_other_numbers(greedy):
    values = {
        model: [r.confidence for r in records] for model, records in by_model(greedy, "pcr").items()
    }
    assert values["base"] != values["merged"]


def test_token_probabilities_and_tags_are_in_the_answers(greedy):
    answers = read_answers(greedy / "base.answers.jsonl")
    names = {"dp", "dp_end", "dp_answer", "dp_sequence"}
    assert all(answer.probabilities.keys() == names for answer in answers)
    assert all(answer.probability_tokens.keys() == names for answer in answers)
    well_formed = [answer for answer in answers if answer.well_formed]
    assert well_formed and all(None not in answer.tag_probabilities for answer in well_formed)
    for answer in well_formed:  # greedy: the tag that was written is the more probable one
        for claim, probability in zip(answer.claims, answer.tag_probabilities, strict=True):
            assert claim["sure"] == (probability > 0.5)


def base_files(directory):
    return {path.name: path.read_bytes() for path in directory.glob("base.*") if path.is_file()}


def kill_when(arguments, partial, lines):
    """Start a command and kill -9 it as soon as a growing file holds so many lines."""
    process = subprocess.Popen(
        arguments,
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (partial.is_file() and partial.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None, "the command ended before it could be killed"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_kill_9_and_the_same_command_end_in_identical_files(greedy, questions, tmp_path):
    again = command(tmp_path, questions, f"base={POCKET}")
    kill_when(again, tmp_path / "base.sc.jsonl.partial", BATCH)
    # Killed in SC; and the answers as a kill in the midst of a write would have left them.
    answers = (tmp_path / "base.answers.jsonl").read_text()
    assert not (tmp_path / "base.sc.jsonl").exists() and answers.count("\n") == QUESTIONS
    lines = answers.splitlines(keepends=True)
    (tmp_path / "base.answers.jsonl").unlink()
    (tmp_path / "base.answers.jsonl.partial").write_text("".join(lines[:3]) + lines[3][:50])
    finish(again)
    assert base_files(tmp_path) == base_files(greedy)
    assert (
        len({text for r in read_records(tmp_path / "base.sc.jsonl") for text in r.texts})
        > QUESTIONS
    )  # sampled


def test_a_model_without_a_processor_ends_with_one_line(questions, tmp_path, capsys):
    model = shutil.copytree(POCKET, tmp_path / "model")
    for name in ("processor_config.json", "preprocessor_config.json"):
        (model / name).unlink(missing_ok=True)
    options = ["--questions", str(questions), "--out", str(tmp_path / "out")]
    assert main(["calibration", "--model", f"base={model}", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no processor in") and error.count("\n") == 1
