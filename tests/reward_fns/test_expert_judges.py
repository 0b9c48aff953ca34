"""The judges people have: fences, thinking, reasoning models, refusals, odd labels;
through a real HTTP server.
"""

import asyncio
import base64
import json
import resource
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from judge_server import JudgeServer
from PIL import Image

from reward_fns.expert import AnswerRequest, ExpertError, make_expert
from reward_fns.expert.__main__ import main
from reward_fns.expert.keeping.store import Store
from reward_fns.expert.prompting.forms import prompt_text, prompt_version
from reward_fns.expert.requests import PairRequest
from reward_fns.expert.serving.images import image_url

PNG = b"\x89PNG\r\n\x1a\n one image"
CLAIMS = ("The digit is 7.", "The digit is 1.")
REQUEST = AnswerRequest("Which digit?", "QA", CLAIMS, "\n".join(CLAIMS), "The digit is 7.", (PNG,))
GOOD = '{"claims": [1, 0], "overall": 0}'


@pytest.fixture
def server():
    with JudgeServer() as running:
        running.keep_bodies = True
        yield running


def expert_at(server, **options):
    return make_expert(
        {
            "kind": "openai",
            "model": "judge",
            "base_url": server.url,
            "max_retries": 2,
            "backoff": 0.0,
        }
        | options
    )


def in_order(prompt, right=1, wrong=0):
    """The labels of the two claims, in the order that the prompt drew."""
    claims = prompt[prompt.index("Claims of") :]
    return [right, wrong] if claims.index("is 7") < claims.index("is 1") else [wrong, right]


def reply(prompt, right=1, wrong=0, overall=0):
    return json.dumps({"claims": in_order(prompt, right, wrong), "overall": overall})


@pytest.mark.parametrize("json_schema", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}\n```\n",
        "```json\r\n{}\r\n```",
        "<think>Is it {{7}}?</think>\n{}",
        "It is a 7.</think>\n\n```json\n{}\n```",
        "<think></think><|begin_of_box|>{}<|end_of_box|>",
    ],
)
def test_one_fence_and_one_leading_thinking_block_are_taken_off(server, wrap, json_schema):
    server.reply = lambda prompt: wrap.format(reply(prompt))
    verdict = asyncio.run(expert_at(server, json_schema=json_schema).ask(REQUEST))
    assert (verdict.claim_labels, verdict.overall, server.total) == ((1, 0), 0.0, 1)


@pytest.mark.parametrize(
    "labels",
    [(1.0, 0.0), ("1", "0"), (True, False), ("1.0", 0)],
    ids=["float", "text", "bool", "mixed"],
)
def test_a_label_may_be_written_as_judges_write_it(server, labels):
    server.reply = lambda prompt: reply(prompt, *labels, overall=labels[1])
    verdict = asyncio.run(expert_at(server, json_schema=False).ask(REQUEST))
    assert (verdict.claim_labels, verdict.overall) == ((1, 0), 0.0)


@pytest.mark.parametrize(
    "label",
    ["1" + "0" * 400, "1" + "0" * 5000, "2", "-1", '"yes"', '"true"', '" 1"', "[1]", "1e400"],
    ids=["400 digits", "5000 digits", "2", "-1", "yes", "true", "blank", "list", "inf"],
)
def test_any_other_label_is_unreadable_and_tried_again(server, label):
    server.reply = lambda prompt: f'{{"claims": [{label}, 0], "overall": 0}}'
    expert = expert_at(server, json_schema=False)
    with pytest.raises(ExpertError) as error:
        asyncio.run(expert.ask(REQUEST))
    assert (error.value.reason, server.total) == ("unreadable", 3)


@pytest.mark.parametrize(
    ("message", "finish", "reason", "said", "calls"),
    [
        (
            {"content": None, "reasoning_content": "hm"},
            "length",
            "length",
            "max_completion_tokens",
            1,
        ),
        ({"content": '{"claims": [1,'}, "length", "length", "max_completion_tokens", 1),
        ({"content": None, "reasoning": "hm"}, "stop", "empty", "nothing but reasoning", 3),
        ({"content": None, "refusal": "I can't"}, "stop", "refusal", "refuses to judge", 1),
        ({"content": ""}, "content_filter", "content_filter", "content filter", 1),
        ({"content": '{"claims": [1,'}, "content_filter", "content_filter", "content filter", 1),
        ({"content": ""}, "stop", "empty", "no text", 3),
    ],
)
def test_a_reply_without_text_is_named_by_its_cause_and_retried_only_if_that_helps(
    server, message, finish, reason, said, calls
):
    server.message, server.finish = message, finish
    expert = expert_at(server)
    with pytest.raises(ExpertError, match=said) as error:
        asyncio.run(expert.ask(REQUEST))
    assert (error.value.reason, server.total) == (reason, calls)
    assert expert.stats.prompt_tokens == 100 * calls  # it was paid for


def test_content_as_a_list_of_parts_is_read(server):
    server.reply = reply
    message = server._completion

    def in_parts(text, prompt):
        completion = json.loads(message(text, prompt))
        completion["choices"][0]["message"]["content"] = [{"type": "text", "text": text}]
        return json.dumps(completion)

    server._completion = in_parts
    assert asyncio.run(expert_at(server).ask(REQUEST)).claim_labels == (1, 0)


def test_a_refused_parameter_is_named_with_the_command_that_finds_out(server):
    server.refuses = {"temperature": "Unsupported value: only the default (1) is supported."}
    with pytest.raises(ExpertError, match="temperature.*python -m reward_fns.expert check"):
        asyncio.run(expert_at(server).ask(REQUEST))
    server.reply = reply
    verdict = asyncio.run(expert_at(server, parameters={"temperature": None}).ask(REQUEST))
    assert verdict.claim_labels == (1, 0)
    assert "temperature" not in server.bodies[-1]


def test_check_prints_the_configuration_that_works_with_a_reasoning_judge(server, capsys):
    server.refuses = {
        "temperature": "Unsupported value",
        "max_tokens": "use max_completion_tokens",
        "response_format": "json_schema is not supported",
    }
    server.reply = lambda prompt: '{"claims": [1, 0], "overall": 1}' if "claims" in prompt else "OK"
    given = {"kind": "openai", "model": "judge", "base_url": server.url}
    assert main(["check", "--expert", json.dumps(given)]) == 0
    printed = capsys.readouterr().out
    lines = {line[:21].strip(): line[21:].split()[0] for line in printed.splitlines()[:-2]}
    assert lines == {
        "temperature": "FAILS",
        "text": "works",
        "max_completion_tokens": "works",
        "max_tokens": "FAILS",
        "image": "works",
        "json schema": "FAILS",
        "json object": "FAILS",
        "no schema": "works",
        "logprobs": "FAILS",
    }
    import yaml

    working = yaml.safe_load(printed.splitlines()[-1])["expert"]
    assert working == given | {"json_schema": False, "parameters": {"temperature": None}}
    server.reply = reply
    assert asyncio.run(make_expert(working).ask(REQUEST)).claim_labels == (1, 0)


def checked(server, capsys, **options):
    """The rows of `check` and the expert that it prints."""
    import yaml

    given = {"kind": "openai", "model": "judge", "base_url": server.url} | options
    server.reply = lambda prompt: '{"claims": [1, 0], "overall": 1}' if "claims" in prompt else "OK"
    assert main(["check", "--expert", json.dumps(given)]) == 0
    printed = capsys.readouterr().out.splitlines()
    rows = {line[:21].strip(): line[21:].split()[0] for line in printed[:-2]}
    return rows, yaml.safe_load(printed[-1])["expert"]


@pytest.mark.parametrize(
    ("refused", "given", "working"),
    [
        ({"max_tokens"}, {"max_tokens": 500}, {"max_completion_tokens": 500}),
        ({"max_completion_tokens"}, {"max_completion_tokens": 500}, {"max_tokens": 500}),
        (
            {"max_tokens", "temperature"},
            {"max_tokens": 500, "seed": 1},
            {"max_completion_tokens": 500, "seed": 1, "temperature": None},
        ),
    ],
)
def test_check_gives_a_configured_limit_the_name_that_the_endpoint_takes(
    server, capsys, refused, given, working
):
    server.refuses = dict.fromkeys(refused, "Unsupported parameter")
    rows, expert = checked(server, capsys, parameters=given)
    assert expert["parameters"] == working
    # Named as refused is what was refused, no more.
    assert ("temperature" in rows) == ("temperature" in refused)
    assert rows["max_tokens"] == ("FAILS" if "max_tokens" in refused else "works")
    server.reply = reply
    assert asyncio.run(make_expert(expert).ask(REQUEST)).claim_labels == (1, 0)


def test_a_parameter_of_ones_own_that_is_refused_is_named(server):
    server.refuses = {"reasoning_effort": "Unsupported value"}
    expert = expert_at(server, parameters={"reasoning_effort": "low"})
    with pytest.raises(ExpertError, match="does not take reasoning_effort as given.*check"):
        asyncio.run(expert.ask(REQUEST))


def test_a_prompt_that_a_content_filter_refuses_is_booked_as_that(server):
    server.refuses, server.code = {"messages": "The prompt was filtered"}, "content_filter"
    expert = expert_at(server)

    requests = [AnswerRequest(f"q{i}", "QA", CLAIMS, "r", None, (PNG,)) for i in range(9)]

    async def nine():
        return await asyncio.gather(*map(expert.ask, requests), return_exceptions=True)

    # Eight refused options would end the run; answers that a filter stops do not.
    assert [error.reason for error in asyncio.run(nine())] == ["content_filter"] * 9


def png(mode="RGB", size=(2, 1)):
    image = Image.new(mode, size)
    image.putpixel((0, 0), (255, 0, 0) if mode == "RGB" else 0)
    return image


@pytest.mark.parametrize("name", ["BMP", "TIFF", "PPM"])
def test_other_formats_are_sent_as_png(name):
    out = BytesIO()
    png().save(out, name)
    url = image_url(out.getvalue())
    assert url.startswith("data:image/png;base64,")


def test_a_grey_picture_of_16_bits_keeps_its_shades():
    """Pillow's own conversion cuts at 255: all of them would be white. 128 = 32,896 / 257."""
    out = BytesIO()
    shades = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 32_896, 65_535)):
        shades.putpixel((x, 0), value)
    shades.save(out, "TIFF")
    sent = Image.open(BytesIO(base64.b64decode(image_url(out.getvalue()).split(",")[1])))
    assert [sent.getpixel((x, 0)) for x in range(3)] == [(v, v, v) for v in (0, 128, 255)]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_picture_whose_numbers_have_no_scale_is_refused(mode):
    out = BytesIO()
    Image.new(mode, (2, 2), 1).save(out, "TIFF")
    with pytest.raises(ExpertError, match="8 bits a colour"):
        image_url(out.getvalue())


def test_a_picture_is_turned_as_a_viewer_turns_it():
    out = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.new("RGB", (16, 8)).save(out, "JPEG", exif=exif)
    sent = base64.b64decode(image_url(out.getvalue()).split(",")[1])
    assert Image.open(BytesIO(sent)).size == (8, 16)
    upright = BytesIO()
    Image.new("RGB", (16, 8)).save(upright, "JPEG")
    assert image_url(upright.getvalue()).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    "broken", [b"not an image", b"", b"\xff\xd8\xff\xe0 torn", b"RIFF....WAVE"]
)
def test_an_unreadable_image_fails_its_record_alone(server, broken):
    server.reply = reply
    expert = expert_at(server)
    bad = AnswerRequest("Which digit?", "QA", CLAIMS, "r", None, (broken,))
    with pytest.raises(ExpertError) as error:
        asyncio.run(expert.ask(bad))
    assert error.value.reason == "image"
    # It was not sent: no call is counted, no retry made.
    assert (expert.stats.calls, expert.stats.retries.total(), server.total) == (0, 0, 0)
    assert asyncio.run(expert.ask(REQUEST)).claim_labels == (1, 0)


def test_all_images_are_sent_and_the_prompt_says_how_many_there_are(server):
    server.reply = reply
    for images, said in (
        ((), "No image comes with this request"),
        ((PNG,), None),
        ((PNG, PNG + b"2"), "2 images come with this request"),
    ):
        request = AnswerRequest("Which digit?", "QA", CLAIMS, "r", None, images)
        asyncio.run(expert_at(server).ask(request))
        *pictures, text = server.bodies[-1]["messages"][0]["content"]
        assert len(pictures) == len(images)
        assert said is None or text["text"].startswith(said)
        assert (said is None) == text["text"].startswith("You judge an answer")
    one, none = (AnswerRequest("q", "QA", ("a",), "a", None, images) for images in ((PNG,), ()))
    assert prompt_version(one) != prompt_version(none)
    assert prompt_text(one) in prompt_text(none)


RECORDED = Path(__file__).parent / "data/verdicts_before_images.jsonl"
"""Exported by the code of commit 28af31f: an answer with an image, the same without one, a pair."""
OLD_ANSWER = "1. The digit is 7.\n2. The digit is 1."
OLD = [
    AnswerRequest("Which digit?", "QA", CLAIMS, OLD_ANSWER, "The digit is 7.", (PNG,)),
    AnswerRequest("Which digit?", "QA", CLAIMS, OLD_ANSWER, "The digit is 7."),
    PairRequest("Which digit?", "QA", *CLAIMS, "The digit is 7."),
]


def answers(expert):
    """What it says to the answers with and without an image and to the pair."""

    async def each():
        return [await expert.ask(request) for request in OLD]

    *judged, pair = asyncio.run(each())
    return [verdict.claim_labels for verdict in judged], pair.label


def test_verdicts_exported_before_requests_held_several_images_are_replayed():
    replay = make_expert({"kind": "replay", "recorded": str(RECORDED), "model": "judge"})
    assert answers(replay) == ([(1, 0), (1, 0)], "contradiction")


def test_a_cache_written_before_requests_held_several_images_still_answers(server, tmp_path):
    """Also where the judge is told more now: that no image comes along."""
    with Store(tmp_path) as cache:
        for line in RECORDED.read_text().splitlines():
            cache.set(json.loads(line)["key"], line)
    expert = expert_at(server, cache=str(tmp_path))
    assert answers(expert) == ([(1, 0), (1, 0)], "contradiction")
    assert (server.total, expert.stats.cache_hits) == (0, 3)
    # Whose verdict it is stays true: it names the instructions that it was given by.
    without = asyncio.run(expert.ask(OLD[1])).source.prompt_version
    assert without == "be3d2c761e6e" != prompt_version(OLD[1])


LOOPS = """
import asyncio, sys
from reward_fns.expert import AnswerRequest, make_expert
expert = make_expert({"kind": "openai", "model": "judge", "base_url": sys.argv[1]})
for number in range(300):
    asyncio.run(expert.ask(AnswerRequest(f"q{number}", "QA", (), "a", "a")))
"""


def test_a_new_event_loop_for_each_answer_leaks_no_socket(server):
    server.reply = lambda prompt: {"overall": 1}
    run = subprocess.run(
        [sys.executable, "-c", LOOPS, server.url],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert server.calls["answered"] == 300
