"""How noisy the gradient of the number's tokens is, by what pays them; same answers for all.

    MODEL=DIR python -m pytest tests/benchmarks/test_gradient_variance.py -s

A group is eight answers to one question. Its gradient is sum_i A_i grad log p(number_i) / 8, of the
language model's last block and head. Over eight groups a question: noise, the trace of their
covariance; signal, the squared norm of their mean less noise / 8 (its bias). `number only` draws
the eight numbers behind one answer of the group, `expectation` takes all values at once.
"""

import asyncio
import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from data_prep.engines import GenerationRequest, Sampling, open_engine
from data_prep.engines.chat import chat_text, open_image
from data_prep.engines.scoring import shared_start
from data_prep.pocket.data import rows
from data_prep.verl_rows import chat_content
from recipe.difficulty_calib.segments import NUMBER, Rollout, SegmentOptions, segment_advantages
from reward_fns.claims import parse_response
from reward_fns.reward import DifficultyReward
from reward_fns.sample import read_sample

MODEL = os.environ.get("MODEL", "data_prep/pocket/base_model")
QUESTIONS, GROUPS, SIZE = 20, 8, 8
VALUES = [f"{value / 10:.1f}" for value in range(11)]
ONE_TOKEN = np.array([NUMBER], dtype=np.int8)


@dataclass
class Answer:
    text: str
    reward: dict[str, float]
    total: float


class Policy:
    """Gradients of the log-probability of a number behind an answer."""

    def __init__(self, path):
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(path)
        last = self.model.model.language_model.layers[-1]
        self.parameters = [*last.parameters(), *self.model.lm_head.parameters()]

    def ids(self, text):
        return self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]

    def logprob(self, request, answer, value):
        """log p(value | question, answer up to its number), with its graph."""
        start, end = parse_response(answer, spans=True).confidence_span
        prompt = chat_text(self.processor, request.messages)
        inputs = self.processor(
            text=[prompt], images=[[open_image(request.image)]], return_tensors="pt"
        )
        said = self.ids(answer[:start] + value)
        other = self.ids(answer[:start] + ("1" if value[0] == "0" else "0"))
        whole = torch.cat([inputs["input_ids"], torch.tensor([said])], dim=1)
        logits = self.model(input_ids=whole, pixel_values=inputs["pixel_values"]).logits[0]
        logprobs = torch.log_softmax(logits, -1)
        first = inputs["input_ids"].shape[1] + shared_start([said, other])
        places = torch.arange(first, whole.shape[1])
        return logprobs[places - 1, whole[0, places]].sum()

    def gradient(self, logprob):
        parts = torch.autograd.grad(logprob, self.parameters)
        return torch.cat([part.reshape(-1) for part in parts]).numpy()


def requests():
    drawn = [
        row
        for name in ("pocket-digit", "pocket-scene")
        for row in rows(name, "rl_train", QUESTIONS // 2, 0)
    ]
    return drawn, [
        GenerationRequest(
            [{"role": "user", "content": chat_content(row["prompt"][0]["content"])}],
            1_000 * index,
            row["images"][0]["bytes"],
        )
        for index, row in enumerate(drawn)
    ]


def judged(row, texts):
    """Well-formed answers that state one decimal, with their rewards."""
    reward = DifficultyReward(expert="oracle", rule="proper", coefficients="fixed")
    sample = read_sample(
        data_source=row["data_source"],
        ground_truth=row["reward_model"]["ground_truth"],
        extra_info=row["extra_info"],
    )
    found = []
    for text in texts:
        parsed = parse_response(text, spans=True)
        if parsed.well_formed and text[slice(*parsed.confidence_span)] in VALUES:
            values = asyncio.run(reward.score(text, sample))
            found.append(Answer(text, values, values["score"]))
    return found


def group_gradients(policy, request, group, rng):
    """Estimator -> the gradient of one group."""
    own = [policy.gradient(policy.logprob(request, a.text, stated(a.text))) for a in group]
    totals = np.array([a.total for a in group])
    found = {"whole response": (totals - totals.mean()) @ np.array(own) / SIZE}
    for target in ("instance", "hybrid", "group"):
        rollouts = [Rollout("q", ONE_TOKEN, a.reward, 1.0) for a in group]
        options = SegmentOptions(target=target, number=1.0)
        paid = np.concatenate(segment_advantages(rollouts, options))
        found[f"segment, {target}"] = paid @ np.array(own) / SIZE
    found |= number_only(policy, request, group[0], rng)
    return {name: gradient.astype(np.float64) for name, gradient in found.items()}


def stated(text):
    return text[slice(*parse_response(text, spans=True).confidence_span)]


def number_only(policy, request, answer, rng):
    logprobs = [policy.logprob(request, answer.text, value) for value in VALUES]
    chance = np.exp([float(p.detach()) for p in logprobs])
    chance /= chance.sum()
    gradients = np.array([policy.gradient(p) for p in logprobs])
    reward = -((np.array(VALUES, dtype=float) - answer.reward["acc"]) ** 2)
    drawn = rng.choice(len(VALUES), SIZE, p=chance)
    sampled = (reward[drawn] - reward[drawn].mean()) @ gradients[drawn] / SIZE
    # Against the mean of eight, of which each is one: the factor that makes both estimate the same.
    exact = (chance * (reward - chance @ reward)) @ gradients * (SIZE - 1) / SIZE
    return {"number only": sampled, "expectation": exact}


@pytest.mark.timeout(3600)
def test_what_pays_the_number_decides_how_noisy_its_gradient_is(capsys):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    policy = Policy(MODEL)
    drawn, asked = requests()
    with open_engine({"kind": "transformers", "model": MODEL, "batch_size": 64}, None) as engine:
        texts = engine.generate(asked, Sampling(1.0, 64, 2 * GROUPS * SIZE))
    noise, signal, used = {}, {}, 0
    for row, request, completions in zip(drawn, asked, texts, strict=True):
        answers = judged(row, [completion.text for completion in completions])
        if len(answers) < GROUPS * SIZE:
            continue
        used += 1
        groups = [answers[i * SIZE : (i + 1) * SIZE] for i in range(GROUPS)]
        found = [group_gradients(policy, request, group, rng) for group in groups]
        for name in found[0]:
            all_of = np.array([gradients[name] for gradients in found])
            spread = all_of.var(axis=0, ddof=1).sum()
            noise.setdefault(name, []).append(spread)
            signal.setdefault(name, []).append((all_of.mean(axis=0) ** 2).sum() - spread / GROUPS)
    assert used >= QUESTIONS // 2
    with capsys.disabled():
        print(f"\n{MODEL}: {used} questions, {GROUPS} groups of {SIZE}")
        for name in noise:
            ratio = np.mean(noise[name]) / np.mean(noise["whole response"])
            print(
                f"  {name:18} noise {np.mean(noise[name]):9.4f} ({ratio:.3f} x whole)"
                f"  signal {np.mean(signal[name]):9.4f}"
            )
    mean = {name: np.mean(values) for name, values in noise.items()}
    assert mean["segment, instance"] < mean["whole response"]
    assert mean["segment, group"] < mean["segment, instance"]
    assert mean["expectation"] < mean["number only"]
