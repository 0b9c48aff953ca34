"""`python -m eval records` through vLLM with a random LLaVA: two models after each other, resume, settings."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from data_prep.questions import load_questions
from eval.__main__ import main
from eval.records import read_records

REPOSITORY = Path(__file__).parents[2]


def records_command(out, questions, *models, temperature=1):
    specs = [part for spec in models for part in ("--model", spec)]
    options = ["--questions", str(questions), "--out", str(out), "--max-tokens", "16"]
    options += ["--temperature", str(temperature)]
    command = [sys.executable, "-m", "eval", "records", *specs, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=REPOSITORY)


@pytest.fixture
def questions(question_rows, write_questions):
    return write_questions(question_rows(6))


def test_two_models_after_each_other_and_resume(tiny_llava, lora_adapter, questions, tmp_path):
    specs = (f"base={tiny_llava}", f"rl={tiny_llava}+{lora_adapter}")
    done = records_command(tmp_path / "whole", questions, *specs)
    assert done.returncode == 0, done.stderr[-3000:]
    base = read_records(tmp_path / "whole" / "base.verbal.jsonl")
    adapted = read_records(tmp_path / "whole" / "rl.verbal.jsonl")
    assert [r.question_id for r in base] == [r.question_id for r in adapted] == [f"q{i}" for i in range(6)]
    assert len({r.response for r in base}) > 1  # sampled, each with a seed of its own
    assert [r.response for r in base] != [r.response for r in adapted]
    settings = json.loads((tmp_path / "whole" / "base.verbal.settings.json").read_text())
    assert settings["temperature"] == 1.0 and len(settings["model_sha256"]) == 64

    # What a kill after two answers leaves; the same command completes it with the same answers.
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    lines = (cut / "base.verbal.jsonl").read_text().splitlines(keepends=True)
    (cut / "base.verbal.jsonl").unlink()
    (cut / "base.verbal.jsonl.partial").write_text("".join(lines[:2]) + lines[2][:40])
    again = records_command(cut, questions, *specs)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "6 questions, 4 of them new" in again.stdout and "6 questions, 0 of them new" in again.stdout
    assert read_records(cut / "base.verbal.jsonl") == base


def test_greedy_answers_are_those_of_transformers(tiny_llava, questions, tmp_path):
    done = records_command(tmp_path, questions, f"base={tiny_llava}", temperature=0)
    assert done.returncode == 0, done.stderr[-3000:]

    model = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tiny_llava)
    for question, record in zip(load_questions(questions), read_records(tmp_path / "base.verbal.jsonl"), strict=True):
        prompt = processor.apply_chat_template(question.messages, add_generation_prompt=True, tokenize=False)
        image = Image.open(io.BytesIO(question.image)).convert("RGB")
        inputs = processor(images=image, text=prompt, return_tensors="pt")
        output = model.generate(**inputs, do_sample=False, max_new_tokens=16)
        answer = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        # vLLM holds back the bytes of an unfinished character at the end, transformers shows them as U+FFFD.
        assert record.response.rstrip("\ufffd") == answer.rstrip("\ufffd") != ""


def test_models_need_names_of_their_own(tmp_path, capsys):
    models = ["--model", "base=a", "--model", "base=b"]
    assert main(["records", *models, "--questions", "none.parquet", "--out", str(tmp_path)]) == 1
    assert "same name" in capsys.readouterr().err


def test_model_without_a_processor_ends_with_one_line(tiny_llava, questions, tmp_path):
    model = shutil.copytree(tiny_llava, tmp_path / "model")
    (model / "processor_config.json").unlink()
    done = records_command(tmp_path / "out", questions, f"base={model}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no processor in") and done.stderr.count("\n") == 1
