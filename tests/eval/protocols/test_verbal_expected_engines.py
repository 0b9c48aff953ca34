"""verbal_expected of a merged model by every engine is what brute-force enumeration
in transformers gives.
"""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.engines import GenerationRequest, NoLogprobs, Sampling, open_engine
from data_prep.engines.models import prepare
from data_prep.engines.number_values import stated_number
from data_prep.verl_rows import Question
from eval.protocols import PROTOCOLS, Asked, Options
from eval.records import Answer
from reward_fns.claims import claim_prompt, parse_response

pytestmark = pytest.mark.timeout(600)

POCKET = Path(__file__).parents[3] / "data_prep" / "pocket" / "base_model"
CLAIM = " 1. The digit is 3. I'm sure.\nConfidence: "
WRITTEN = ("0.7", "0.65", "1", "70%", "0.5\n")


def png(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def asked(number, response):
    content = [{"type": "image"}, {"type": "text", "text": "\n" + claim_prompt("Which digit?")}]
    question = Question(
        question_id=f"q{number}",
        dataset="pocket-digit",
        task="QA",
        question="Which digit?",
        image_id="im",
        entity="",
        image=png(number),
        messages=[{"role": "user", "content": content}],
        ground_truth="7",
    )
    answer = Answer(
        model="m",
        dataset="pocket-digit",
        task="QA",
        question_id=f"q{number}",
        question="Which digit?",
        image_id="im",
        entity="",
        response=response,
        correct=1.0,
        well_formed=True,
        expert="oracle",
        stated_confidence=parse_response(response).confidence,
    )
    return Asked(question, answer)


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """The pocket model with a random LoRA adapter, merged as the evaluation merges it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("merged")
    base = AutoModelForImageTextToText.from_pretrained(POCKET, dtype=torch.float32)
    targets = r".*language_model.*\.(q_proj|v_proj)"
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(out / "adapter")
    return prepare(f"{POCKET}+{out / 'adapter'}", out / "cache").path


@pytest.fixture(scope="module")
def brute(merged):
    """(expectation, mass) of an answer: a whole forward pass for every value,
    no cache, no padding.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(merged, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(merged)
    image = {}

    def log_p(item, text, behind):
        """log p of the tokens of `text` that stand after "Confidence:",
        up to the one behind the number.
        """
        chat = processor.apply_chat_template(item.question.messages, add_generation_prompt=True)
        shown = image.setdefault(
            item.answer.question_id,
            Image.open(io.BytesIO(item.question.image)).convert("RGB"),
        )
        whole = chat + text + "</s>"
        inputs = processor(text=whole, images=shown, return_tensors="pt")
        start = processor(text=chat + CLAIM.rstrip(), images=shown, return_tensors="pt")
        first = start["input_ids"].shape[1]
        ids = inputs["input_ids"][0]
        # The pocket tokenizer writes every digit, point, newline and percent sign as a token.
        last = first + len(behind)
        with torch.inference_mode():
            logp = torch.log_softmax(model(**inputs).logits[0], -1)
        return math.fsum(logp[i - 1, ids[i]].item() for i in range(first, last))

    def expected(item):
        stated = stated_number(item.answer.response, item.answer.stated_confidence)
        texts = stated.answers(item.answer.response)
        shares = [
            # " 0" is one token: so the characters of the number, and one that ends it
            math.exp(log_p(item, text, written + "|"))
            for text, (written, _) in zip(texts, stated.values, strict=True)
        ]
        mean = sum(v * p for (_, v), p in zip(stated.values, shares, strict=True))
        return mean / sum(shares), sum(shares)

    return expected


@pytest.fixture(scope="module", params=["vllm", "transformers", "server"])
def engine(request, merged, tmp_path_factory):
    if request.param != "server":
        config = {"kind": request.param, "model": str(merged)}
        with open_engine(config, tmp_path_factory.mktemp("cache")) as opened:
            yield opened
        return
    from vllm_server import VllmServer

    with VllmServer(merged, tmp_path_factory.mktemp("server") / "log.txt") as server:
        config = {"kind": "openai", "model": server.model, "base_url": server.url}
        with open_engine(config, tmp_path_factory.mktemp("cache")) as opened:
            yield opened


def test_it_is_what_brute_force_enumeration_gives(engine, brute):
    items = [asked(number, CLAIM + written) for number, written in enumerate(WRITTEN)]
    found = PROTOCOLS["verbal_expected"](Options(0, 8, 2)).confidences(engine, items)
    for item, one in zip(items, found, strict=True):
        mean, mass = brute(item)
        assert one.confidence == pytest.approx(mean, abs=1e-4)
        assert one.detail["mass"] == pytest.approx(mass, abs=1e-4)
    # The answers differ, or the comparison would say little.
    assert len({one.confidence for one in found}) == len(WRITTEN)
    assert np.ptp([one.confidence for one in found]) > 0.1


def test_the_given_text_has_the_probability_of_the_drawn_one(engine):
    """An answer as it was drawn, scored: the same tokens, the same log-probabilities,
    its end included.
    """
    from data_prep.engines import ScoringRequest

    item = asked(0, CLAIM + "0.7")
    prompt = GenerationRequest(item.question.messages, 3, item.question.image)
    ((drawn,),) = engine.generate([prompt], Sampling(1.0, 60, top_logprobs=1))
    assert drawn.tokens[-1].text == "</s>"
    request = ScoringRequest(item.question.messages, (drawn.text,), item.question.image)
    ((scored,),) = engine.score([request])
    assert [t.logprob for t in scored] == pytest.approx([t.logprob for t in drawn.tokens], abs=1e-4)


def test_a_server_that_scores_no_given_text_is_a_clear_line(tmp_path):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            model = {"id": "m", "object": "model", "created": 0, "owned_by": "me"}
            data = json.dumps({"object": "list", "data": [model]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        config = {"kind": "openai", "model": "m", "base_url": url, "retries": 0}
        with (
            open_engine(config, tmp_path) as opened,
            pytest.raises(NoLogprobs, match="no log-probabilities of given text") as caught,
        ):
            PROTOCOLS["verbal_expected"](Options(0, 8, 2)).confidences(
                opened, [asked(0, CLAIM + "0.7")]
            )
        assert "\n" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()
