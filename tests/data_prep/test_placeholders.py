"""Which tokens are placeholders, by the models' own configurations; no engine draws one,
however probable it is.
"""

import math

import pytest
from asked import POCKET, ask

from data_prep.engines import Sampling, open_engine
from data_prep.engines.placeholders import placeholder_ids, placeholder_texts_of


def test_llavas_placeholder_is_its_image_token():
    assert placeholder_texts_of(POCKET) == ["<image>"]


def test_the_placeholders_of_qwen_are_those_of_images_and_videos_but_no_other_special_token():
    from transformers import Qwen2_5_VLConfig

    config = Qwen2_5_VLConfig(
        image_token_id=10,
        video_token_id=11,
        vision_start_token_id=12,
        vision_end_token_id=13,
        text_config={"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3},
    )
    assert placeholder_ids(config) == (10, 11, 12, 13)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({"image_token_index": 32000, "text_config": {"vocab_size": 32064}}, (32000,)),
        ({"image_token_index": -200, "vocab_size": 32000}, ()),  # LLaVA's first checkpoints
        ({"boi_token_index": 5, "eoi_token_index": 6, "image_token_index": 7}, (5, 6, 7)),  # Gemma
        ({"thinker_config": {"audio_token_index": 8, "audio_start_token_id": 9}}, (8, 9)),  # Omni
        ({"eos_token_id": 2, "pad_token_id": None, "image_seq_length": 16}, ()),
    ],
)
def test_ids_come_from_every_part_of_a_configuration(config, ids):
    assert placeholder_ids(config) == ids


REQUESTS = [ask(i) for i in range(8)]
SAMPLING = Sampling(max_tokens=12, n=2, top_logprobs=3)


def drawn(answers):
    return [
        token.text for answer in answers for completion in answer for token in completion.tokens
    ]


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_placeholder_that_is_the_most_probable_token_is_not_drawn(
    kind, temperature, placeholder_llava, tmp_path
):
    sampling = Sampling(temperature, max_tokens=12, top_logprobs=1)
    with open_engine({"kind": kind, "model": str(placeholder_llava)}, tmp_path) as engine:
        answers = engine.generate(REQUESTS, sampling)
    tokens = [token for (answer,) in answers for token in answer.tokens]
    # The log-probabilities are the model's own, so they still show what the model would have said.
    likely = [token for token in tokens if token.top.get("<image>", -math.inf) > math.log(0.5)]
    assert len(likely) > len(tokens) / 2
    assert "<image>" not in drawn(answers)


def test_without_it_the_others_have_the_probabilities_that_the_model_gives_them(
    placeholder_llava, tmp_path
):
    """Only the head's row of `<image>` differs,
    so what remains is the pocket model's distribution.
    """
    texts = []
    for model in (str(placeholder_llava), POCKET):
        with open_engine(model, tmp_path) as engine:
            answers = engine.generate(REQUESTS, SAMPLING)
            texts.append([[completion.text for completion in answer] for answer in answers])
    assert texts[0] == texts[1]


def test_a_vllm_server_is_told_too(vllm_server, tmp_path):
    # The server adds 100 to the logit of `<image>` (id 4): without the ban it says nothing else.
    config = {"kind": "openai", "model": vllm_server.model, "base_url": vllm_server.url}
    pushed = {"logit_bias": {"4": 100}}
    with open_engine(config | {"extra_body": pushed | {"bad_words": []}}, tmp_path) as engine:
        assert set(drawn(engine.generate(REQUESTS[:1], SAMPLING))) == {"<image>"}
    with open_engine(config | {"extra_body": pushed}, tmp_path) as engine:
        tokens = drawn(engine.generate(REQUESTS, SAMPLING))
    assert len(tokens) > len(REQUESTS) and "<image>" not in tokens
