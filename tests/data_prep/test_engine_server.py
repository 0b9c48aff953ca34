"""The client of OpenAI-compatible servers against small real ones:
what is sent, missing choices, clear errors.
"""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from data_prep.engines import (
    Completion,
    GenerationRequest,
    NoLogprobs,
    RefusedRequests,
    Sampling,
    open_engine,
)
from reward_fns.errors import UserError

_buffer = io.BytesIO()
Image.new("RGB", (2, 2)).save(_buffer, "PNG")
PNG = _buffer.getvalue()
ASK = GenerationRequest(
    [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}], 5, PNG
)


@pytest.fixture
def serve():
    """`serve(answer, owner)` starts a server, gives its address and what it got; `answer(body)`:
    status and reply.
    """
    running = []

    def start(answer, owner="me"):
        got = []

        class Handler(BaseHTTPRequestHandler):
            def reply(self, status, content):
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                self.reply(
                    200,
                    {
                        "object": "list",
                        "data": [{"id": "m", "object": "model", "created": 0, "owned_by": owner}],
                    },
                )

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got.append(body)
                self.reply(*answer(body))

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", got

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def reply(*answers):
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(answers)
    ]
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": choices,
    }


def engine(url, tmp_path, **options):
    return open_engine(
        {"kind": "openai", "model": "m", "base_url": url, "retries": 0} | options, tmp_path
    )


def test_the_image_travels_as_a_data_url_and_parameters_are_explicit(serve, tmp_path):
    url, got = serve(lambda body: reply("a", "b"))
    with engine(url, tmp_path) as asked:
        assert [c.text for c in asked.generate([ASK], Sampling(0.5, 7, 2))[0]] == ["a", "b"]
        assert asked.fingerprint == f"m at {url}"
    (body,) = got
    image, text = body["messages"][0]["content"]
    assert (
        image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
        and text["text"] == "What?"
    )
    assert {k: body[k] for k in ("n", "seed", "temperature", "top_p", "max_tokens")} == {
        "n": 2, "seed": 5, "temperature": 0.5, "top_p": 1.0, "max_tokens": 7,
    }  # fmt: skip
    assert "logprobs" not in body and "add_special_tokens" not in body


def test_a_vllm_server_is_told_to_begin_the_sequence_and_own_fields_win(serve, tmp_path):
    url, got = serve(lambda body: reply("a"), owner="vllm")
    engine(url, tmp_path).generate([ASK], Sampling())
    engine(url, tmp_path, extra_body={"add_special_tokens": False, "top_k": 0}).generate(
        [ASK], Sampling()
    )
    assert [(body["add_special_tokens"], body.get("top_k")) for body in got] == [
        (True, None),
        (False, 0),
    ]


def test_where_the_served_model_cannot_be_read_its_placeholders_are_asked_for(
    serve, tmp_path, caplog
):
    url, got = serve(lambda body: reply("a"), owner="vllm")
    with caplog.at_level("WARNING"):
        engine(url, tmp_path).generate([ASK], Sampling())
    assert "name its placeholder tokens in extra_body" in caplog.text
    given = {"bad_words": ["<image>"]}
    engine(url, tmp_path, extra_body=given).generate([ASK], Sampling())
    assert [body.get("bad_words") for body in got] == [None, ["<image>"]]


def test_choices_that_a_server_leaves_out_are_asked_for_with_seeds_of_their_own(serve, tmp_path):
    url, got = serve(lambda body: reply(f"seed {body['seed']}"))
    answers = engine(url, tmp_path).generate([ASK], Sampling(n=3))
    assert [c.text for c in answers[0]] == ["seed 5", "seed 6", "seed 7"] and [
        b["n"] for b in got
    ] == [3, 2, 1]


def test_a_server_without_log_probabilities(serve, tmp_path):
    url, _ = serve(lambda body: reply("a"))
    with pytest.raises(UserError, match="m at http.* gives no log-probabilities") as caught:
        engine(url, tmp_path).generate([ASK], Sampling(0, 1, 1, 20))
    assert not isinstance(caught.value, RefusedRequests)


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_refuses_the_parameter_gives_none_either(serve, tmp_path, status):
    why = {"error": {"message": "logprobs are not supported with this model", "code": "x"}}
    url, _ = serve(lambda body: (status, why) if "logprobs" in body else reply("a"))
    with pytest.raises(NoLogprobs, match="gives no log-probabilities: .*not supported"):
        engine(url, tmp_path).generate([ASK], Sampling(0, 1, 1, 5))
    assert engine(url, tmp_path).generate([ASK], Sampling())[0][0].text == "a"


def test_an_empty_answer_has_no_token_and_is_no_fault_of_the_server(serve, tmp_path):
    status, content = reply("")
    content["choices"][0] |= {"logprobs": {"content": []}, "finish_reason": "length"}
    url, _ = serve(lambda body: (status, content))
    ((answer,),) = engine(url, tmp_path).generate([ASK], Sampling(0, 1, 1, 5))
    assert answer == Completion("", (), "length")


def test_a_refused_request_is_named_and_the_others_are_answered(serve, tmp_path):
    refusal = {
        "error": {"message": "image input is not supported", "type": "BadRequestError", "code": 400}
    }
    url, _ = serve(lambda body: (400, refusal) if body["seed"] == 5 else reply("a"))
    other = GenerationRequest(ASK.messages, 6, PNG)
    with pytest.raises(RefusedRequests, match="1 of 2 .*image input is not supported") as caught:
        engine(url, tmp_path).generate([ASK, other], Sampling())
    assert [c.text for c in caught.value.answers[1]] == ["a"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "refuses the API key"), (500, "failed: .*500"), (429, "failed: .*429")],
)
def test_what_ends_the_run_is_one_line(serve, tmp_path, status, message):
    url, _ = serve(lambda body: (status, {"error": {"message": "no"}}))
    with pytest.raises(UserError, match=message) as caught:
        engine(url, tmp_path).generate([ASK], Sampling())
    assert "\n" not in str(caught.value) and not isinstance(caught.value, RefusedRequests)


def test_a_passing_failure_is_asked_again(serve, tmp_path):
    failures = iter([(503, {}), (429, {})])
    url, got = serve(lambda body: next(failures, reply("a")))
    assert (
        engine(url, tmp_path, retries=3).generate([ASK], Sampling())[0][0].text == "a"
        and len(got) == 3
    )


def test_no_server(tmp_path):
    with pytest.raises(UserError, match="no server at http://127.0.0.1:9/v1 .*start it"):
        engine("http://127.0.0.1:9/v1", tmp_path).generate([ASK], Sampling())


def test_a_model_that_is_not_served(serve, tmp_path):
    url, _ = serve(lambda body: reply("a"))
    with pytest.raises(UserError, match="serves no model 'x'; it serves m"):
        engine(url, tmp_path, model="x").generate([ASK], Sampling())


def test_no_key(tmp_path, monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UserError, match="set the environment variable SOME_KEY"):
        open_engine({"kind": "openai", "model": "gpt-4o", "api_key_env": "SOME_KEY"}, tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"kind": "llama.cpp", "model": "m"},
            "no engine of kind 'llama.cpp': name vllm, transformers, ray, openai",
        ),
        ({"kind": "vllm"}, "needs the key model"),
        (
            {"kind": "openai", "model": "m", "base_url": "http://x/v1", "modle": 1},
            "keyword argument 'modle'",
        ),
        (
            {"kind": "openai", "model": "m", "base_url": "http://x/v1", "concurrency": 0},
            "concurrency >= 1",
        ),
        ({"kind": "nowhere.at:All"}, "cannot be opened: No module named 'nowhere'"),
        ("nowhere", "no model directory nowhere"),
    ],
)
def test_configurations_that_cannot_be_opened(config, message, tmp_path):
    with pytest.raises(UserError, match=message):
        open_engine(config, tmp_path)


def test_half_of_a_surrogate_pair_in_an_answer_can_be_written(serve, tmp_path):
    """JSON can name it, a file cannot hold it:
    the batch that held it ended with a traceback each time.
    """
    token = {"token": "\ud83d", "logprob": -1.0, "bytes": None}
    message = {"role": "assistant", "content": "a\ud83d b \U0001f5fc"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    choice["logprobs"] = {"content": [token | {"top_logprobs": [token]}]}
    whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    url, _ = serve(lambda body: (200, whole | {"choices": [choice]}))
    with engine(url, tmp_path) as asked:
        ((answer,),) = asked.generate([ASK], Sampling(top_logprobs=1))
    assert answer.text == "a\ufffd b \U0001f5fc"
    assert answer.tokens[0].text == "\ufffd" and list(answer.tokens[0].top) == ["\ufffd"]
