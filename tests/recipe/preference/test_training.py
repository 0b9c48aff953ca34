"""A few steps of each method on a random LLaVA, and the adapter as any command loads it."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, TrainerCallback

from data_prep.engines import Sampling, open_engine
from data_prep.engines.interface import GenerationRequest, ScoringRequest
from data_prep.verl_rows import chat_content, preference_row, preference_writer, sft_writer
from recipe.difficulty_calib.preference import trainer
from recipe.difficulty_calib.preference.__main__ import main
from recipe.difficulty_calib.preference.examples import Collator, preference_examples, sft_examples
from recipe.difficulty_calib.preference.losses import IGNORED
from recipe.difficulty_calib.preference.trainer import Settings, train
from reward_fns.errors import UserError

CHOSEN, REJECTED = "The digit is 7.", "The digit is 1. I'm sure."


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def preferences(tmp_path):
    path = tmp_path / "preferences.parquet"
    with preference_writer(path) as out:
        for i in range(4):
            turns = [("user", "Which digit?")]
            out.write(preference_row(turns, png(i), CHOSEN, REJECTED, "toy", f"q{i}"))
    return path


@pytest.fixture
def sft(tmp_path):
    path = tmp_path / "sft.parquet"
    with sft_writer(path, "bytes") as out:
        for i in range(4):
            user = {"role": "user", "content": "<image>\nWhich digit?"}
            turns = [user, {"role": "assistant", "content": CHOSEN}]
            row = {"messages": turns, "images": [{"bytes": png(i)}]}
            out.write(row | {"data_source": "toy", "question_id": f"q{i}"})
    return path


def scores(model, tmp_path):
    """log p of the two answers, by the engine that evaluates."""
    messages = [{"role": "user", "content": chat_content("<image>\nWhich digit?")}]
    request = ScoringRequest(messages, (f" {CHOSEN}", f" {REJECTED}"), png(0))
    spec = {"kind": "transformers", "model": str(model)}
    with open_engine(spec, tmp_path / "cache") as engine:
        (found,) = engine.score([request])
        asked = GenerationRequest(messages, 0, png(0))
        assert len(engine.generate([asked], Sampling(0.0, 4))[0]) == 1
    return [sum(token.logprob for token in answer) for answer in found]


def settings(method, **changes):
    return replace(Settings(method, 5e-3, steps=6, batch_size=4, rank=4), **changes)


@pytest.mark.parametrize("method", ["dpo", "povid"])
def test_preferences_move_the_model_and_the_adapter_reloads(
    tiny_llava, preferences, tmp_path, method
):
    log = train(
        str(tiny_llava), preference_examples(preferences), tmp_path / "out", settings(method)
    )
    before = scores(tiny_llava, tmp_path)
    after = scores(f"{tiny_llava}+{tmp_path / 'out'}", tmp_path)
    assert after[0] - after[1] > before[0] - before[1]
    assert any("rewards/margins" in line for line in log)
    assert not list(tmp_path.glob(".out.*"))


@pytest.mark.parametrize("method", ["sft", "less_is_more"])
def test_sft_rows_raise_their_answer(tiny_llava, sft, tmp_path, method):
    train(str(tiny_llava), sft_examples(sft), tmp_path / "out", settings(method))
    after = scores(f"{tiny_llava}+{tmp_path / 'out'}", tmp_path)
    assert after[0] > scores(tiny_llava, tmp_path)[0]


def test_the_adapter_is_on_the_language_model_alone_and_the_same_seed_gives_the_same(
    tiny_llava, preferences, tmp_path
):
    examples = preference_examples(preferences)
    for name in ("a", "b"):
        train(str(tiny_llava), examples, tmp_path / name, settings("povid", steps=2))
    a, b = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all("language_model" in name for name in a)
    assert len(a) == 2 * 7 * 4  # A and B, seven projections, four layers


class Killed(Exception):
    """What stands for a kill: nothing after it runs."""


class KilledAt(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            raise Killed


def test_an_interrupted_training_goes_on_and_ends_as_an_uninterrupted_one(
    tiny_llava, preferences, tmp_path, monkeypatch
):
    examples = preference_examples(preferences)
    asked = settings("povid", steps=4, save_steps=2, batch_size=2)
    train(str(tiny_llava), examples, tmp_path / "whole", asked)
    with monkeypatch.context() as patched:
        begun = trainer.PreferenceTrainer.__init__

        def killed(self, *arguments, **options):
            begun(self, *arguments, **options)
            self.add_callback(KilledAt())

        patched.setattr(trainer.PreferenceTrainer, "__init__", killed)
        with pytest.raises(Killed):
            train(str(tiny_llava), examples, tmp_path / "cut", asked)
    assert not (tmp_path / "cut").exists()
    log = train(str(tiny_llava), examples, tmp_path / "cut", asked)
    assert log[-1]["step"] == 4
    a, b = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("whole", "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_labels_are_the_answer_and_its_end_alone(tiny_llava, preferences):
    processor = AutoProcessor.from_pretrained(tiny_llava)
    batch = Collator(processor, 1024)(preference_examples(preferences)[:2])
    assert batch["input_ids"].shape[0] == 4
    assert batch["pixel_values"].shape[0] == 4
    texts = [processor.tokenizer.decode(row[row != IGNORED]) for row in batch["labels"]]
    assert [text.strip() for text in texts] == [f"{CHOSEN}</s>"] * 2 + [f"{REJECTED}</s>"] * 2


def test_at_the_start_dpo_and_povid_have_ln_2(tiny_llava, preferences, tmp_path):
    for method in ("dpo", "povid"):
        log = train(
            str(tiny_llava),
            preference_examples(preferences),
            tmp_path / method,
            settings(method, steps=1),
        )
        assert log[-1]["train_loss"] == pytest.approx(np.log(2), abs=1e-5)


def test_the_weight_of_sft_adds_the_better_answer_s_cross_entropy(
    tiny_llava, preferences, tmp_path
):
    found = []
    for weight in (0.0, 0.5, 1.0):
        log = train(
            str(tiny_llava),
            preference_examples(preferences),
            tmp_path / str(weight),
            settings("dpo", steps=1, sft_weight=weight),
        )
        found.append(log[-1]["train_loss"])
    chosen, _ = scores(tiny_llava, tmp_path)
    processor = AutoProcessor.from_pretrained(tiny_llava)
    tokens = len(processor.tokenizer(f" {CHOSEN}", add_special_tokens=False).input_ids)
    assert found[2] - found[1] == pytest.approx(found[1] - found[0], rel=1e-3)
    # of a random model every token, the end too, is about as surprising
    assert found[2] - found[0] == pytest.approx(-chosen / tokens, rel=0.3)
    with pytest.raises(UserError, match="weight of SFT must not be below 0"):
        settings("dpo", sft_weight=-1.0)


def test_the_filter_drops_the_answers_that_go_on_where_the_model_would_end(tiny_llava, sft):
    from transformers import AutoModelForImageTextToText

    examples = sft_examples(sft)
    short = replace(examples[0], answers=("7",))
    long = replace(examples[1], answers=(" ".join([CHOSEN] * 8),))
    model = AutoModelForImageTextToText.from_pretrained(tiny_llava)
    collator = Collator(AutoProcessor.from_pretrained(tiny_llava), 4096)
    asked = settings("less_is_more", keep=0.5, batch_size=1)
    end = model.generation_config.eos_token_id
    # of a model that knows nothing each further token that is no end costs the same
    kept = trainer.filtered(model, collator, [long, short], asked, [end])
    assert kept == [short]
    for wrong in (0.0, 1.5):
        with pytest.raises(UserError, match="above 0 and at most 1"):
            settings("sft", keep=wrong)
    with pytest.raises(UserError, match="dpo keeps all pairs"):
        settings("dpo", keep=0.8)


def test_what_cannot_be_trained_on_is_named(tiny_llava, preferences, sft, tmp_path, monkeypatch):
    processor = AutoProcessor.from_pretrained(tiny_llava)
    with pytest.raises(
        UserError, match=r"q0: prompt and answer have \d+ tokens, the model takes 8"
    ):
        Collator(processor, 8)(preference_examples(preferences))
    with pytest.raises(UserError, match="no SFT rows at .*make it by stage one"):
        sft_examples(tmp_path / "none.parquet")
    with pytest.raises(UserError, match="lacks the column messages"):
        sft_examples(preferences)
    with pytest.raises(UserError, match="exists: name another --out"):
        train(str(tiny_llava), preference_examples(preferences), tmp_path, settings("dpo"))
    with pytest.raises(UserError, match="noise steps 1 to 1000"):
        settings("povid", noise_steps=0)


def test_an_example_that_cannot_be_used_is_left_out_and_ends_no_training(
    tiny_llava, preferences, tmp_path, capsys
):
    good, long, torn, *_ = preference_examples(preferences)
    long = replace(long, answers=(" ".join([CHOSEN] * 4000), REJECTED))

    class Torn:
        def read(self):
            return png(0)[:-40]

    torn = replace(torn, image=Torn())
    log = train(str(tiny_llava), [long, good, torn], tmp_path / "out", settings("dpo", steps=1))
    assert log[-1]["step"] == 1
    said = capsys.readouterr().out
    assert "2 of 3 examples cannot be used and are left out" in said
    assert "q1: prompt and answer have" in said and "q2: the image of a request cannot be" in said
    with pytest.raises(UserError, match="2 of 2 examples cannot be used: the first, q1"):
        train(str(tiny_llava), [long, torn], tmp_path / "none", settings("dpo", steps=1))


def test_one_command_trains_qwen_too(tiny_qwen, preferences, tmp_path, monkeypatch, capsys):
    arguments = ["povid", "--model", tiny_qwen, "--data", preferences, "--out", tmp_path / "out"]
    arguments += ["--steps", 1, "--rank", 2, "--batch-size", 2]
    monkeypatch.setattr("sys.argv", ["preference", *map(str, arguments)])
    assert main() == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert main() == 1
    assert "exists: name another --out" in capsys.readouterr().err


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt  # what Ctrl-C raises, wherever the training is

    monkeypatch.setattr("recipe.difficulty_calib.preference.__main__._train", interrupted)
    arguments = ["preference", "dpo", "--model", "m", "--data", "d", "--out", "o"]
    monkeypatch.setattr("sys.argv", arguments)
    assert main() == 130
    said = capsys.readouterr().err
    assert said == "interrupted: the same command goes on from its last checkpoint\n"
