"""VCD: the noise, the contrast by hand, every contrasted logit recomputed without a cache."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from data_prep.engines import Sampling, ScoringRequest, open_engine
from data_prep.engines.diffusion_noise import kept_signal
from eval.decoding.vcd import Vcd, VisualContrast, contrasted, noised
from reward_fns.errors import UserError

SEEDS = [3, 14, 15]


def engine(directory, cache, vcd=None, **options):
    decoding = {} if vcd is None else {"decoding": vcd}
    return open_engine(
        {"kind": "transformers", "model": str(directory), **decoding, **options}, cache
    )


def test_the_schedule_by_hand():
    assert kept_signal(0) == 1
    # b_1 = 1e-5 + 0.00499 / (1 + e^6) = 1e-5 + 0.00499 * 0.00247262 = 2.23384e-5
    assert 1 - kept_signal(1) == pytest.approx(2.23384e-5, rel=1e-4)
    # Sigmoids at opposite points sum to 1: sum b = 1000 * 1e-5 + 500 * 0.00499 = 2.505.
    # The second order, sum b^2 / 2, is below 1000 * 0.005^2 / 2 = 0.0125.
    assert math.exp(-2.505 - 0.0125) < kept_signal(1000) < math.exp(-2.505)


def test_a_contrast_by_hand():
    logits, noise = torch.tensor([2.0, 1.0, -3.0]), torch.tensor([1.0, 2.0, 0.0])
    # 2 l - l' = 3, 0, -6; kept where l >= 2 + log 0.1 = -0.3
    assert contrasted(logits, noise, 1, 0.1).tolist() == [3, 0, -math.inf]
    assert contrasted(logits, noise, 1, 0).tolist() == [3, 0, -6]
    assert contrasted(logits, noise, 0.5, 1).tolist() == [2.5, -math.inf, -math.inf]


def test_the_noised_image_has_the_share_of_noise_that_the_schedule_says(loaded, requests):
    inputs = loaded.inputs(requests)
    blurred = noised(inputs, SEEDS, 500, loaded.model.config)["pixel_values"]
    kept = kept_signal(500)
    noise = (blurred - math.sqrt(kept) * inputs["pixel_values"]) / math.sqrt(1 - kept)
    # 9,216 normal values or more, half of them copies at Qwen's: standard errors below 0.02
    assert abs(noise.mean()) < 0.08 and abs(noise.std() - 1) < 0.08
    alone = noised(loaded.inputs(requests[1:2]), SEEDS[1:2], 500, loaded.model.config)
    rows = len(blurred) // 3
    assert torch.equal(alone["pixel_values"], blurred[rows : 2 * rows])  # whatever else is asked


def test_both_copies_of_a_still_image_get_the_same_noise(tiny_qwen, load, requests):
    qwen = load(tiny_qwen)
    blurred = noised(qwen.inputs(requests), SEEDS, 900, qwen.model.config)["pixel_values"]
    first, second = blurred.view(len(blurred), 3, 2, 14, 14).unbind(2)
    assert torch.equal(first, second)


class Noted(LogitsProcessor):
    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores.clone())
        return scores


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_contrasted_logits_equal_a_recomputation_without_a_cache(loaded, requests, alpha):
    inputs, vcd, noted = loaded.inputs(requests), Vcd(alpha=alpha, beta=0), Noted()
    config = loaded.model.config
    contrast = VisualContrast(loaded.model, noised(inputs, SEEDS, vcd.steps, config), vcd)
    output = loaded.model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=8,
        logits_processor=LogitsProcessorList([contrast, noted]),
    )
    ids = output[:, inputs["input_ids"].shape[1] :].tolist()
    matters = 0.0
    for row, (request, seed) in enumerate(zip(requests, SEEDS, strict=True)):
        alone = loaded.inputs([request])
        blurred = noised(alone, [seed], vcd.steps, config)
        for step, scores in enumerate(noted.steps):
            clear = loaded.logits_without_cache(alone, ids[row][:step]).logits[0, -1]
            noise = loaded.logits_without_cache(blurred, ids[row][:step]).logits[0, -1]
            expected = (1 + alpha) * clear - alpha * noise
            assert scores[row].numpy() == pytest.approx(expected.numpy(), abs=1e-4)
            matters = max(matters, (clear - noise).abs().max().item())
    assert matters > 0.01  # else a branch that sees the clear image would pass


@pytest.mark.parametrize(
    ("vcd", "sampling"),
    [
        (Vcd(alpha=0, beta=0), Sampling(1.0, 12, n=2, top_logprobs=3)),
        (Vcd(alpha=0), Sampling(0, 12, top_logprobs=3)),
    ],
)
def test_without_a_contrast_it_is_plain_decoding(directory, requests, tmp_path, vcd, sampling):
    with engine(directory, tmp_path) as plain, engine(directory, tmp_path, vcd) as other:
        assert other.generate(requests, sampling) == plain.generate(requests, sampling)


def test_a_batch_equals_one_at_a_time(directory, requests, tmp_path):
    sampling = Sampling(1.0, 12, n=2)
    with engine(directory, tmp_path, Vcd()) as together:
        batch = together.generate(requests, sampling)
    with engine(directory, tmp_path, Vcd(), batch_size=1) as alone:
        assert [alone.generate([request], sampling)[0] for request in requests] == batch


def test_log_probabilities_are_the_models_own_and_answers_are_not(pocket, requests, tmp_path):
    sampling = Sampling(0, 24, top_logprobs=1)
    with engine(pocket, tmp_path, Vcd(alpha=3)) as contrasting, engine(pocket, tmp_path) as plain:
        answers = [completion for (completion,) in contrasting.generate(requests, sampling)]
        assert [a.text for a in answers] != [a.text for [a] in plain.generate(requests, sampling)]
        asked = [
            ScoringRequest(r.messages, (a.text,), r.image)
            for r, a in zip(requests, answers, strict=True)
        ]
        for answer, (scored,) in zip(answers, plain.score(asked), strict=True):
            assert [t.logprob for t in answer.tokens] == pytest.approx(
                [t.logprob for t in scored], abs=1e-4
            )


def test_a_prompt_without_an_image_is_decoded_plainly(pocket, requests, tmp_path):
    blind = [
        replace(r, image=None, messages=[{"role": "user", "content": r.messages[0]["content"][1:]}])
        for r in requests
    ]
    sampling = Sampling(1.0, 8)
    with engine(pocket, tmp_path) as plain, engine(pocket, tmp_path, Vcd()) as other:
        assert other.generate(blind, sampling) == plain.generate(blind, sampling)


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"beta": 2}, {"steps": 1001}])
def test_a_value_out_of_range_is_refused(wrong):
    with pytest.raises(UserError, match="vcd needs alpha >= 0"):
        Vcd(**wrong)
