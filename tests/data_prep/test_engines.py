"""vLLM offline, vLLM's server and transformers with the shipped pocket model:
the same answers, seeds, refusals.
"""

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.engines import GenerationRequest, RefusedRequests, Sampling, open_engine
from reward_fns.errors import UserError

POCKET = str(Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model")
GREEDY = Sampling(temperature=0, max_tokens=12, top_logprobs=20)


def png(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def ask(number, text="Which digit is it?", image=b"", with_image=True):
    parts = [{"type": "image"}] * with_image + [{"type": "text", "text": text}]
    return GenerationRequest(
        [{"role": "user", "content": parts}],
        10 * number,
        (image or png(number)) if with_image else None,
    )


REQUESTS = [ask(i, "Describe the picture." if i % 2 else "Which digit is it?") for i in range(4)]
REQUESTS += [ask(4, "What colour has an emblem?", with_image=False)]
TOO_LONG, UNREADABLE = ask(5, "digit " * 1100), ask(6, image=b"not a PNG")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory):
    with open_engine(POCKET, tmp_path_factory.mktemp("cache")) as engine:
        yield engine


@pytest.fixture(scope="module")
def others(vllm, vllm_server, tmp_path_factory):
    """vLLM is loaded first: it sets the number of threads of this process."""
    vllm.generate(REQUESTS[:1], Sampling(max_tokens=1))
    server = {
        "kind": "openai",
        "model": vllm_server.model,
        "base_url": vllm_server.url,
        "concurrency": 4,
    }
    configs = {
        "transformers": {"kind": "transformers", "model": POCKET, "batch_size": 3},
        "server": server,
    }
    return {
        name: open_engine(config, tmp_path_factory.mktemp(name)) for name, config in configs.items()
    }


@pytest.fixture(params=["vllm", "transformers", "server"])
def engine(request, vllm, others):
    return vllm if request.param == "vllm" else others[request.param]


def texts(answers):
    return [[completion.text for completion in answer] for answer in answers]


@pytest.mark.parametrize("name", ["transformers", "server"])
def test_greedy_answers_and_log_probabilities_are_those_of_vllm_offline(vllm, others, name):
    ours, theirs = vllm.generate(REQUESTS, GREEDY), others[name].generate(REQUESTS, GREEDY)
    assert texts(ours) == texts(theirs) and len({text for (text,) in texts(ours)}) > 1
    for (our,), (their,) in zip(ours, theirs, strict=True):
        assert [token.text for token in our.tokens] == [token.text for token in their.tokens]
        for a, b in zip(our.tokens, their.tokens, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
            # The last of the listed may change places with the first that is not:
            # compare those with a margin.
            floor = min(a.top.values()) + 1e-3
            assert {t: p for t, p in a.top.items() if p > floor} == pytest.approx(
                {t: p for t, p in b.top.items() if p > floor}, abs=1e-4
            )


@pytest.mark.parametrize("name", ["transformers", "server"])
def test_on_a_cpu_all_engines_draw_the_same_samples(vllm, others, name):
    sampling = Sampling(temperature=0.7, max_tokens=12, n=3)
    drawn = texts(vllm.generate(REQUESTS, sampling))
    assert texts(others[name].generate(REQUESTS, sampling)) == drawn
    assert len({text for answer in drawn for text in answer}) > len(REQUESTS)


def test_a_sample_depends_on_its_seed_alone(engine):
    whole = texts(engine.generate(REQUESTS, Sampling(max_tokens=8, n=3)))
    backwards = texts(engine.generate(REQUESTS[::-1], Sampling(max_tokens=8, n=2)))[::-1]
    assert backwards == [answer[:2] for answer in whole]
    # Sample j has seed + j: the second and third of seed s are the first two of seed s + 1.
    later = [GenerationRequest(r.messages, r.seed + 1, r.image) for r in REQUESTS]
    assert texts(engine.generate(later, Sampling(max_tokens=8, n=2))) == [
        answer[1:] for answer in whole
    ]


def test_tokens_hold_the_most_probable_choices_of_the_model_at_temperature_one(engine):
    (greedy,), (hot,) = (
        engine.generate(REQUESTS[:1], Sampling(temperature, 1, 1, top_logprobs=5))[0]
        for temperature in (0, 2.0)
    )
    assert len(greedy.tokens) == 1 and len(greedy.tokens[0].top) == 5
    assert greedy.tokens[0].logprob == max(greedy.tokens[0].top.values())
    assert sum(map(math.exp, greedy.tokens[0].top.values())) <= 1
    assert hot.tokens[0].top == pytest.approx(greedy.tokens[0].top, abs=1e-4)
    assert engine.generate(REQUESTS[:1], Sampling(0, 1))[0][0].tokens == ()


def test_the_end_of_sequence_is_the_last_token_and_no_text(engine):
    ((answer,),) = engine.generate([ask(0, "Which digit is it?")], Sampling(0, 200, top_logprobs=1))
    assert answer.tokens[-1].text == "</s>" and "</s>" not in answer.text
    assert "".join(token.text for token in answer.tokens[:-1]) == answer.text
    assert answer.finish_reason == "stop"
    ((cut,),) = engine.generate([ask(0, "Which digit is it?")], Sampling(0, 3))
    assert cut.finish_reason == "length"


def test_a_refused_request_does_not_take_the_others_with_it(engine):
    batch = [REQUESTS[0], TOO_LONG, REQUESTS[1], UNREADABLE]
    with pytest.raises(
        RefusedRequests, match="^2 of 4 requests refused, the first: .*1024"
    ) as caught:
        engine.generate(batch, GREEDY)
    first, too_long, second, unreadable = caught.value.answers
    assert texts([first, second]) == texts(engine.generate(REQUESTS[:2], GREEDY))
    assert isinstance(too_long, UserError) and isinstance(unreadable, UserError)
    assert "image of a request cannot be read" in str(unreadable) and "\n" not in str(too_long)
    # Nothing of the refused batch comes back with the next one.
    assert len(engine.generate(REQUESTS[:1], GREEDY)) == 1


LONG = ask(7, "digit " * 490, with_image=False)
"""Of the model's 1024 positions few are left after it: " digit" is one token."""
UNENDING = Sampling(2.0, 1000, top_logprobs=1)


@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_an_answer_ends_where_the_model_has_no_more_positions(vllm, others, name):
    ((answer,),) = (others | {"vllm": vllm})[name].generate([LONG], UNENDING)
    assert 0 < len(answer.tokens) < 1000


def test_a_server_that_refuses_more_tokens_than_positions_is_quoted(others):
    with pytest.raises(RefusedRequests, match="maximum context length is 1024 tokens"):
        others["server"].generate([LONG], UNENDING)


def test_nothing_to_ask(engine):
    assert engine.generate([], GREEDY) == []


def test_vllm_leaves_no_setting_behind_for_processes_started_later(vllm):
    vllm.generate(REQUESTS[:1], Sampling(max_tokens=1))
    assert not {"VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_LOGGING_LEVEL"} & os.environ.keys()


def test_models_follow_each_other_and_the_same_files_have_the_same_fingerprint(
    tiny_llava, tmp_path
):
    before = []
    for model in (tiny_llava, POCKET, tiny_llava):
        with open_engine(str(model), tmp_path) as engine:
            before.append((engine.fingerprint, texts(engine.generate(REQUESTS[:1], GREEDY))))
    assert before[0] == before[2] != before[1]
