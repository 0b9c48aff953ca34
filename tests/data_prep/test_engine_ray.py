"""The Ray Data path on a Ray of its own on this machine, with a logical GPU."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.engines import (
    GenerationRequest,
    RefusedRequests,
    Sampling,
    ScoringRequest,
    open_engine,
)
from data_prep.engines.models import ReadyModel
from data_prep.engines.ray_data import RayEngine
from reward_fns.errors import UserError

POCKET = str(Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model")


def ask(number, text):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)).save(
        buffer, "PNG"
    )
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    return GenerationRequest([{"role": "user", "content": parts}], 10 * number, buffer.getvalue())


@pytest.fixture
def ray_at_the_end():
    yield
    import ray

    ray.shutdown()


def test_answers_of_the_cluster_are_those_of_this_machine(
    tmp_path, placeholder_llava, ray_at_the_end
):
    # A model that says `<image>` nearly always: neither may draw it.
    model = str(placeholder_llava)
    requests = [ask(i, "Which digit is it?") for i in range(5)]
    sampling = Sampling(max_tokens=10, n=2, top_logprobs=3)
    answers = (" It is 7.", " It is a red 7.")
    given = [ScoringRequest(r.messages, answers, r.image) for r in requests[:2]]
    with open_engine(model, tmp_path) as engine:
        here = engine.generate(requests, sampling)
        scored_here = engine.score(given)
    too_long = ask(5, "digit " * 1100)
    with open_engine(
        {"kind": "ray", "model": model, "concurrency": 1, "batch_size": 4}, tmp_path
    ) as engine:
        with pytest.raises(RefusedRequests, match="1 of 6 requests refused, .*1024") as caught:
            engine.generate([*requests, too_long], sampling)
        scored_there = engine.score(given)
    *there, refusal = caught.value.answers
    assert isinstance(refusal, UserError)
    for ours, theirs in zip(here, there, strict=True):
        assert [c.text for c in ours] == [c.text for c in theirs]
        assert [c.finish_reason for c in ours] == [c.finish_reason for c in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert [t.logprob for t in a.tokens] == pytest.approx(
                [t.logprob for t in b.tokens], abs=1e-4
            )
            assert [set(t.top) for t in a.tokens] == [set(t.top) for t in b.tokens]
    for ours, theirs in zip(scored_here, scored_there, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert [t.id for t in a] == [t.id for t in b]
            assert [t.logprob for t in a] == pytest.approx([t.logprob for t in b], abs=1e-4)
    drawn = {t.text for completions in there for c in completions for t in c.tokens}
    assert len(drawn) > 1 and "<image>" not in drawn


def test_a_scored_row_becomes_the_answers_tokens():
    """The rows that go to the replicas, and what is kept of vLLM's reply; without a cluster."""
    from transformers import AutoProcessor

    from data_prep.engines.ray_data import _kept_scores

    engine = RayEngine(ReadyModel(Path(POCKET), "x"))
    engine._processor = AutoProcessor.from_pretrained(POCKET)
    request = ScoringRequest(ask(0, "Which digit is it?").messages, (" It is 7.", " 8"), b"png")
    first, second = engine._scoring_rows(4, request)
    tokenizer = engine._processor.tokenizer
    length = first["answer_length"]
    assert tokenizer.decode(first["tokenized_prompt"][-length:]) == " It is 7.</s>"
    assert (first["number"], first["sample"], second["sample"]) == (4, 0, 1)
    assert first["tokenized_prompt"][:-length] == second["tokenized_prompt"][:-2]
    # vLLM widens the image's token, and replies for every token of the prompt but the first.
    ids = [9, 9, 9, *second["tokenized_prompt"]]
    choices = [None, *({i: {"logprob": -float(n)}} for n, i in enumerate(ids[1:], start=1))]
    kept = _kept_scores(second | {"prompt_token_ids": ids, "prompt_logprobs": choices})
    last = len(ids) - 1
    assert kept["number"] == 4 and kept["sample"] == 1
    assert json.loads(kept["answer"]) == [[ids[-2], -float(last - 1)], [ids[-1], -float(last)]]


def test_why_an_answer_ended_is_told_by_its_last_token():
    from transformers import AutoTokenizer

    from data_prep.engines.ray_data import _completion, _end_ids

    ends = _end_ids(Path(POCKET), AutoTokenizer.from_pretrained(POCKET))
    assert ends == {2}  # </s>
    reasons = [_completion({"text": "7", "ids": i}, 0, ends).finish_reason for i in ([9, 2], [9])]
    assert reasons == ["stop", "length"]


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"batch_size": 0}])
def test_options_out_of_range(options):
    with pytest.raises(UserError, match="concurrency >= 1 and batch_size >= 1"):
        RayEngine(ReadyModel(Path(POCKET), "x"), **options)
