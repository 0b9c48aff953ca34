"""SFT's expected Brier score of the number, against brute force, and the trainer without it."""

from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils import tensordict_utils as tu
from verl.workers.utils.losses import sft_loss

from recipe.difficulty_calib import sft
from recipe.difficulty_calib.sft import CalibratedSFTTrainer, NumberAims, loss_with_number

POCKET = "data_prep/pocket/base_model"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(POCKET)


def batch_of(tokenizer, *numbers):
    """A batch of verl's SFT: prompts of three and four tokens, loss on the answers."""
    ids, masks = [], []
    for length, number in enumerate(numbers, 3):
        text = f"1. The digit is 7. I'm sure.\nConfidence: {number}"
        answer = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        ids.append(torch.tensor([tokenizer.bos_token_id] * length + answer))
        masks.append(torch.tensor([0] * length + [1] * len(answer)))
    nested = {
        name: torch.nested.as_nested_tensor(tensors, layout=torch.jagged)
        for name, tensors in (("input_ids", ids), ("loss_mask", masks))
    }
    return TensorDict(nested, batch_size=len(numbers))


def loss_of(data, logits):
    """As verl's engine: the logits first, then the loss of what is kept of them."""
    tokens = int(data["loss_mask"].values().sum())
    tu.assign_non_tensor(data, batch_num_tokens=tokens, dp_size=1)
    of_next = torch.log_softmax(logits[0], -1).gather(
        -1, torch.roll(data["input_ids"].values(), -1).unsqueeze(-1)
    )
    offsets = data["input_ids"].offsets()
    output = {
        name: torch.nested.nested_tensor_from_jagged(values.squeeze(), offsets)
        for name, values in (
            ("log_probs", of_next),
            ("number_losses", loss_with_number(None, data, student_logits=logits)["number_losses"]),
        )
    }
    total, metrics = loss_with_number(None, data, output)
    return total - sft_loss(None, output, data)[0], metrics["number_loss"], tokens


def test_the_number_adds_its_expected_brier_score_against_what_the_answer_states(tokenizer):
    data = batch_of(tokenizer, "0.7", "0.2")
    NumberAims(tokenizer, weight=4.0).add_to(data)
    total = len(data["input_ids"].values())
    logits = torch.randn(1, total, len(tokenizer), generator=torch.Generator().manual_seed(0))
    added, metric, tokens = loss_of(data, logits)
    point, digits = (
        [tokenizer.convert_tokens_to_ids(token) for token in text] for text in (".", "0123456789")
    )
    by_hand = 0.0
    for row, stated in enumerate((0.7, 0.2)):
        end = int(data["input_ids"].offsets()[row + 1])  # behind: digit, end of sequence
        chances = torch.softmax(logits[0, end - 3], -1)
        by_hand += sum(
            float(chances[token]) * ((digit / 10 - stated) ** 2 - 1)
            for digit, token in enumerate(digits)
        )
        by_hand -= float(torch.softmax(logits[0, end - 4], -1)[point[0]])  # the point has itself
    assert float(added) == pytest.approx(4.0 * by_hand / tokens, rel=1e-4)
    assert metric == pytest.approx(float(added), rel=1e-4)


def test_an_answer_without_a_number_is_learned_as_by_verl(tokenizer):
    data = batch_of(tokenizer, "unknown", "1.7")
    NumberAims(tokenizer, weight=4.0).add_to(data)
    total = len(data["input_ids"].values())
    added, *_ = loss_of(data, torch.randn(1, total, len(tokenizer)))
    assert float(added) == 0


def test_weight_0_is_verls_own_trainer(monkeypatch):
    client = SimpleNamespace(train_batch=object())
    monkeypatch.setattr(
        SFTTrainer, "_build_engine", lambda self: setattr(self, "training_client", client)
    )
    trainer = object.__new__(CalibratedSFTTrainer)
    trainer.config = SimpleNamespace(number_brier=0.0)
    before = client.train_batch
    trainer._build_engine()
    assert client.train_batch is before and not hasattr(client, "set_loss_fn")


@pytest.mark.parametrize("weight", [-1.0, "abc", None, True, float("nan")])
def test_what_is_no_weight_is_refused(monkeypatch, weight):
    monkeypatch.setattr(SFTTrainer, "_build_engine", lambda self: None)
    trainer = object.__new__(CalibratedSFTTrainer)
    trainer.config = SimpleNamespace(number_brier=weight)
    with pytest.raises(sft.ConfigurationError, match="number_brier"):
        trainer._build_engine()


def test_a_refused_key_is_one_line(monkeypatch, capsys):
    def refuse(config):
        raise sft.ConfigurationError("number_brier is a weight >= 0, got -1.0")

    monkeypatch.setattr(sft.sft_trainer, "run_sft", refuse)
    with pytest.raises(SystemExit) as end:
        sft.main.__wrapped__(None)
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: number_brier is a weight >= 0, got -1.0\n"
