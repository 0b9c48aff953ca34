"""PC-R, Verbal by asking, and VCAP: what the model is asked,
and what its replies make of the confidence.
"""

import pytest

from data_prep.engines import Completion, GenerationRequest, RefusedRequests, Sampling
from eval.protocols import PROTOCOLS, Options, ask
from reward_fns.errors import UserError

OPTIONS = Options(seed=0, max_tokens=8, sc_samples=2)


def run(name, engine, *asked):
    return PROTOCOLS[name](OPTIONS).confidences(engine, asked)


def test_the_answer_is_shown_without_tags_and_confidence(make_asked, rule_engine):
    engine = rule_engine(lambda prompt: "0.5")
    run("verbal_asked", engine, make_asked())
    (request,) = engine.requests
    text = request.messages[0]["content"][1]["text"]
    assert "The digit is 7. It is red." in text and "sure" not in text and "0.7" not in text
    assert request.image == b"png" and request.messages[0]["content"][0] == {"type": "image"}
    assert not text.startswith("\n")  # the chat template writes the newline after the image


def test_an_unreadable_response_is_shown_as_it_is_and_holds_no_second_image(
    make_asked, rule_engine
):
    engine = rule_engine(lambda prompt: "0.5")
    run("verbal_asked", engine, make_asked(claims=[], response=" see <image> {question} "))
    text = engine.requests[0].messages[0]["content"][1]["text"]
    assert "Answer: see < image > {question}\n" in text and "<image>" not in text


def test_verbal_asked_reads_the_number_or_counts_a_failure(make_asked, rule_engine):
    replies = iter(["0.25", "no idea"])
    found = run(
        "verbal_asked",
        rule_engine(lambda prompt: next(replies)),
        make_asked("q0"),
        make_asked("q1"),
    )
    assert [c.confidence for c in found] == [0.25, None] and [c.texts for c in found] == [
        ["0.25"],
        ["no idea"],
    ]


def first_token(tokens, **top):
    return Completion("x", tokens(("x", 0.1, {k.replace("_", " "): v for k, v in top.items()})))


def test_pcr_takes_each_words_highest_probability_over_the_prompts(make_asked, rule_engine, tokens):
    replies = iter(
        [
            first_token(tokens, Yes=0.2, _yes=0.1, No=0.5),  # variants are added: yes 0.3
            first_token(tokens, **{"True": 0.2, "False": 0.1, "Maybe": 0.6}),
            first_token(tokens, Yes=0.25, no=0.6, NO=0.1),  # no 0.7
        ]
    )
    engine = rule_engine(lambda prompt: next(replies))
    (found,) = run("pcr", engine, make_asked())
    # (0.3 + 0.2) / (0.3 + 0.7 + 0.2 + 0.1)
    assert found.confidence == pytest.approx(0.5 / 1.3, abs=1e-6)
    assert found.detail == {"yes": 0.3, "true": 0.2, "no": 0.7, "false": 0.1}
    assert (
        len(engine.requests) == 3
        and len({r.messages[0]["content"][1]["text"] for r in engine.requests}) == 3
    )
    assert engine.samplings == [Sampling(temperature=0, max_tokens=1, top_logprobs=20)]


def test_pcr_without_any_of_the_four_words_is_a_parse_failure(make_asked, rule_engine, tokens):
    (found,) = run("pcr", rule_engine(lambda prompt: first_token(tokens, Maybe=0.9)), make_asked())
    assert found.confidence is None


@pytest.mark.parametrize("task", ["QA", "Detail"])
def test_vcap_shows_round_one_to_round_two(make_asked, rule_engine, task):
    def reply(prompt):
        if prompt.startswith("Step 1"):
            return "A red 7.\nVisual confidence: 0.9"
        assert (
            "A red 7.\nVisual confidence: 0.9" in prompt and "The digit is 7. It is red." in prompt
        )
        return "Answer confidence: 0.6"

    engine = rule_engine(reply)
    (found,) = run("vcap", engine, make_asked(task=task))
    assert found.confidence == 0.6 and found.detail == {"visual_confidence": 0.9}
    assert found.texts == ["A red 7.\nVisual confidence: 0.9", "Answer confidence: 0.6"]
    assert [r.image for r in engine.requests] == [b"png", b"png"]
    assert (
        "proposed description" in engine.requests[1].messages[0]["content"][1]["text"].lower()
    ) == (task == "Detail")


def test_vcap_looks_once_for_two_answers_to_a_question(make_asked, rule_engine):
    engine = rule_engine(lambda prompt: "Answer confidence: 0.6")
    found = run("vcap", engine, make_asked("q0"), make_asked("q0", sample=1), make_asked("q1"))
    assert len(engine.requests) == 2 + 3 and [c.key for c in found] == ["q0#0", "q0#1", "q1#0"]


def test_a_refused_request_is_an_unreadable_reply_and_the_others_are_kept(capsys):
    class Engine:
        def generate(self, requests, sampling):
            raise RefusedRequests([[Completion("0.5")], UserError("prompt too long")])

    answers = ask(Engine(), [GenerationRequest([], 0)] * 2, Sampling())
    assert [a[0].text for a in answers] == ["0.5", ""]
    assert "1 of 2 requests refused" in capsys.readouterr().out


def test_an_engine_that_refuses_everything_is_an_error():
    class Engine:
        def generate(self, requests, sampling):
            raise RefusedRequests([UserError("no image, please")])

    with pytest.raises(UserError, match="no image, please"):
        ask(Engine(), [GenerationRequest([], 0)], Sampling())


def test_every_prompt_and_answer_has_a_seed_of_its_own(make_asked):
    seeds = {
        make_asked(q, sample=sample).request(prompt, seed, question="", answer="").seed
        for q in ("q0", "q1")
        for sample in (0, 1)
        for prompt in ("pcr_1", "pcr_2")
        for seed in (0, 1)
    }
    assert len(seeds) == 16 and all(0 <= seed < 2**32 for seed in seeds)
