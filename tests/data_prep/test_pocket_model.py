"""The shipped base model, and the way it is built, saved and trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from data_prep.pocket import base, check, corpus, datasets, emblems, model
from reward_fns import claims

SHIPPED = Path(model.__file__).parent / "base_model"


@pytest.fixture(scope="module")
def shipped():
    torch.set_num_threads(2)
    return model.load(SHIPPED)


@pytest.fixture(scope="module")
def tokenizer():
    return model.build_tokenizer(corpus.tokenizer_corpus())


def test_the_shipped_model_is_small_and_holds_no_pickle():
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 10_000_000
    assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}


def test_the_weights_are_named_as_on_the_hub():
    with safe_open(SHIPPED / "model.safetensors", "pt") as file:
        names = list(file.keys())
    vision = [name for name in names if name.startswith("vision_tower.")]
    assert vision and all(name.startswith("vision_tower.vision_model.") for name in vision)
    assert {name.split(".")[0] for name in names} == {
        "vision_tower",
        "multi_modal_projector",
        "language_model",
    }


def test_all_weights_are_loaded(shipped):
    # a renamed weight would be left at its random start:
    # the embedding of the file must be the model's
    net, _ = shipped
    with safe_open(SHIPPED / "model.safetensors", "pt") as file:
        there = file.get_tensor(
            "vision_tower.vision_model.embeddings.position_embedding.weight"
        ).float()
    assert torch.equal(net.model.vision_tower.embeddings.position_embedding.weight.detach(), there)


def test_the_shipped_model_answers_a_drawn_image_in_the_claim_format(shipped):
    net, processor = shipped
    torch.manual_seed(0)
    drawn = datasets.draw_batch("pocket-digit", "test", 8, np.random.default_rng(0))
    answers = check.sample(
        net, processor, drawn.images, [claims.claim_prompt("Which digit is shown?")] * 8
    )
    assert sum(claims.parse_response(answer.text).well_formed for answer in answers) >= 7


def test_the_shipped_model_reads_most_clean_digits(shipped):
    net, processor = shipped
    torch.manual_seed(0)
    drawn = datasets.draw_batch("pocket-digit", "test", 64, np.random.default_rng(1))
    question = "Which digit is shown?"
    answers = check.sample(net, processor, drawn.images, [claims.claim_prompt(question)] * 64)
    right = [
        check.judge(a.text, question, t, "QA")[1]
        for a, t in zip(answers, drawn.things, strict=True)
    ]
    assert np.mean(right) > 0.45


def test_the_words_of_answers_are_single_tokens(shipped, tokenizer):
    words = [
        *emblems.NAMES,
        *datasets.COLOURS,
        *map(str, range(10)),
        "digit",
        "emblem",
        "sure",
        "left",
        "bottom",
    ]
    for each in (shipped[1].tokenizer, tokenizer):
        assert [len(ids) for ids in each([f" {word}" for word in words])["input_ids"]] == [1] * len(
            words
        )


def test_the_processor_expands_the_image_and_normalises_as_training_does(shipped):
    _, processor = shipped
    image = datasets.draw_batch("pocket-scene", "test", 1, np.random.default_rng(0)).images
    made = processor(
        images=[Image.fromarray(image[0])],
        text=[model.prompt_text("What digit is this?")],
        return_tensors="pt",
    )
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert int((made["input_ids"] == token).sum()) == model.IMAGE_TOKENS
    torch.testing.assert_close(
        made["pixel_values"].float(), model.pixel_values(image), atol=1e-5, rtol=1e-5
    )


def test_the_chat_template_takes_text_and_parts_alike(tokenizer):
    text = [{"role": "user", "content": "<image>\nWhich digit is shown?"}]
    parts = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "\nWhich digit is shown?"}],
        }
    ]
    expected = model.prompt_text("Which digit is shown?")
    for messages in (text, parts):
        assert (
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            == expected
        )


def test_turns_tokenised_one_by_one_are_the_whole_conversation(tokenizer):
    turns = [
        {"role": "user", "content": "<image>\n" + claims.claim_prompt("Which digit is shown?")},
        {"role": "assistant", "content": "1. The digit is 7. I'm sure.\nConfidence: 0.7"},
    ]
    render = [
        tokenizer.apply_chat_template(part, tokenize=False)
        for part in (turns, turns[:1], turns[1:])
    ]
    whole, user, answer = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in render
    )
    assert whole == user + answer
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert whole[: len(prompt_ids)] == prompt_ids
    assert whole[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    "text",
    ["Zürich, 3.14 — 東京!", "a  b\n\nc\t", "The digit is 7. I'm not sure.\nConfidence: 0.75"],
)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_prompts_and_answers_are_short(tokenizer):
    rng = np.random.default_rng(0)
    for name in datasets.DATASETS:
        batch = corpus.examples(name, "claims", 40, rng)
        prompts = tokenizer([model.prompt_text(text) for text in batch.prompts])["input_ids"]
        answers = tokenizer([f" {text}</s>" for text in batch.answers])["input_ids"]
        assert max(map(len, prompts)) <= 75
        assert max(map(len, answers)) <= 60


def test_only_answers_carry_labels(tokenizer):
    batch = corpus.examples("pocket-digit", "plain", 3, np.random.default_rng(0))
    made = base.collate(batch, tokenizer, 1.0, "plain")
    for row, answer in enumerate(batch.answers):
        kept = made.labels[row][made.labels[row] != -100].tolist()
        assert tokenizer.decode(kept) == f" {answer}</s>"
    image = tokenizer.convert_tokens_to_ids("<image>")
    assert ((made.tokens == image).sum(1) == model.IMAGE_TOKENS).all()


@pytest.mark.parametrize("plan", [base.answers_plan, base.verdicts_plan])
def test_a_step_sees_the_same_data_whenever_it_is_made(tokenizer, plan):
    phase = base.Phase("answers", 10, 1e-3, plan)
    first, again = (phase.batches(5, 0, tokenizer) for _ in range(2))
    assert all(
        torch.equal(a.tokens, b.tokens) and torch.equal(a.pixels, b.pixels)
        for a, b in zip(first, again, strict=True)
    )


def test_a_short_statement_is_called_true_exactly_when_the_image_holds_it():
    rng = np.random.default_rng(0)
    things = datasets.draw_batch("pocket-scene", "base", 300, rng).things
    verdicts = []
    for scene in things:
        prompt, verdict = corpus.KINDS["statement"](
            corpus.Scene("Detail", "Describe the image.", scene), rng
        )
        said = prompt.removeprefix("True or false? ").replace(". ", ".|").split("|")
        assert (verdict == "True") == (set(said) <= set(datasets.sentences(scene, "Detail")))
        verdicts.append(verdict)
    # About half of each, so that neither word is the better guess:
    # 5 standard deviations of 300 fair coins are 43.
    assert 107 <= verdicts.count("True") <= 193


def test_saving_and_loading_keeps_every_weight(tokenizer, tmp_path):
    torch.manual_seed(0)
    net = model.build_model(tokenizer)
    model.save(net, model.build_processor(tokenizer), tmp_path / "m")
    loaded, _ = model.load(tmp_path / "m")
    for (name, a), b in zip(net.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_an_interrupted_training_ends_with_the_same_weights_and_refuses_other_settings(
    tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(base, "SAVE_SECONDS", 0.0)

    def plan(step, steps, rng):
        return [("plain", 2, 1.0)]

    def interrupted(step, steps, rng):
        if step == 2:
            raise KeyboardInterrupt
        return plan(step, steps, rng)

    def run(name, seed=0):
        torch.manual_seed(0)
        net, processor = model.build_model(tokenizer), model.build_processor(tokenizer)
        return base._Run(net, processor, tmp_path / name, seed, {"steps": 3})

    whole = run("whole")
    whole.train(base.Phase("answers", 3, 1e-3, plan))
    with pytest.raises(KeyboardInterrupt):
        run("cut").train(base.Phase("answers", 3, 1e-3, interrupted))
    assert run("cut").saved_phase() == "answers"
    resumed = run("cut")
    resumed.train(base.Phase("answers", 3, 1e-3, plan))
    for (name, a), b in zip(
        whole.net.state_dict().items(), resumed.net.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    with pytest.raises(ValueError, match="'seed': 0"):
        run("cut", seed=1).saved_phase()


def test_a_missing_model_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_prep.pocket base"):
        model.load(tmp_path / "none")


def test_auroc_of_a_hand_example():
    # right 0.9, 0.5; wrong 0.5, 0.1: pairs (1 + 1 + 0.5 + 1) / 4
    scores, right = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert check.auroc(scores, right) == pytest.approx(0.875)
    assert np.isnan(check.auroc(scores, np.ones(4, dtype=bool)))
