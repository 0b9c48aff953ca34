"""verbal_expected by hand: which values an answer's format allows,
and what their tokens make of the mean.
"""

import math

import pytest

from data_prep.engines import NoLogprobs, RefusedRequests, ScoredToken
from data_prep.engines.number_values import expectation, stated_number
from eval.protocols import PROTOCOLS, Options
from reward_fns.errors import UserError

OPTIONS = Options(seed=0, max_tokens=8, sc_samples=2)
CLAIM = "1. The digit is 7. I'm sure.\n"


@pytest.mark.parametrize(
    ("response", "stated", "name", "n", "last"),
    [
        (CLAIM + "Confidence: 0.7", 0.7, "one decimal", 11, "1.0"),
        (CLAIM + "Confidence: 0.70", 0.7, "two decimals", 101, "1.00"),
        (CLAIM + "Confidence: 1", 1.0, "up to one decimal", 13, "1.0"),
        (CLAIM + "Confidence: 70%", 0.7, "percent", 101, "100"),
        (CLAIM + "Confidence: .75", 0.75, "two decimals, no leading zero", 101, "1.00"),
        ("Seven.\n## Confidence: 0.7", 0.7, "one decimal", 11, "1.0"),  # read leniently
    ],
)
def test_the_values_are_those_of_the_answers_own_format(response, stated, name, n, last):
    found = stated_number(response, stated)
    assert found.format == name and len(found.values) == n and found.values[-1] == (last, 1.0)
    answers = found.answers(response)
    assert response in answers and len(set(answers)) == n
    begin, end = found.span
    assert {a[:begin] for a in answers} == {response[:begin]}
    assert all(a.endswith(response[end:]) for a in answers)


@pytest.mark.parametrize(
    ("response", "stated"),
    [
        (CLAIM, None),
        (CLAIM + "Confidence: 0.875", 0.875),
        (CLAIM + "Confidence: 70.5%", 0.705),
        # Given the first line the second is certain.
        (CLAIM + "Confidence: 0.7\nOverall confidence: 0.7", 0.7),
        # Read leniently, and 0.7 stands there twice: which of them is it?
        ("It is 0.7 m long.\n## Confidence: 0.7", 0.7),
    ],
)
def test_what_is_not_located_for_certain_has_no_expectation(response, stated):
    assert stated_number(response, stated) is None


def answer(*tokens):
    return tuple(ScoredToken(token, math.log(p)) for token, p in tokens)


A, NOUGHT, ONE, DOT, SEVEN, FIVE, END, NEXT = range(8)


def test_by_hand():
    # "0." is shared by no more than the first two; before it A is shared by all and does not count.
    scored = [
        answer((A, 0.1), (NOUGHT, 0.8), (DOT, 0.5), (SEVEN, 0.25), (END, 0.5), (NEXT, 0.9)),
        answer((A, 0.1), (NOUGHT, 0.8), (DOT, 0.5), (FIVE, 0.5), (END, 0.25), (NEXT, 0.1)),
        answer((A, 0.1), (ONE, 0.1), (END, 0.5), (NEXT, 0.3)),
    ]
    # 0.8 * 0.5 * 0.25 * 0.5 = 0.05; 0.8 * 0.5 * 0.5 * 0.25 = 0.05; 0.1 * 0.5 = 0.05.
    # NEXT, behind the end of the number, is not about it.
    mean, mass = expectation([0.7, 0.5, 1.0], scored)
    assert mean == pytest.approx((0.7 + 0.5 + 1.0) / 3) and mass == pytest.approx(0.15)


def test_a_number_must_end():
    """0.7 goes on to 0.75 with 0.9: the tokens of "0.7" alone would give it nine
    times its probability.
    """
    scored = [
        answer((NOUGHT, 1.0), (DOT, 1.0), (SEVEN, 1.0), (END, 0.1)),
        answer((NOUGHT, 1.0), (DOT, 1.0), (SEVEN, 1.0), (FIVE, 0.9), (END, 1.0)),
    ]
    mean, mass = expectation([0.7, 0.75], scored)
    assert mean == pytest.approx(0.1 * 0.7 + 0.9 * 0.75) and mass == pytest.approx(1.0)


class Scoring:
    """P(value 0.7) = 0.6, P(0.8) = 0.3, of the rest nothing; refuses what the rule says."""

    def __init__(self, refuse=()):
        self.refuse, self.requests = refuse, []

    def score(self, requests):
        self.requests += requests
        found = []
        for number, request in enumerate(requests):
            if number in self.refuse:
                found.append(UserError("prompt too long"))
                continue
            shares = {"0.7": 0.6, "0.8": 0.3}
            end = [text[text.index("Confidence: ") + 12 :] for text in request.answers]
            found.append(
                [
                    (ScoredToken(n, math.log(shares.get(text, 1e-300))), ScoredToken(99, 0.0))
                    for n, text in enumerate(end)
                ]
            )
        if any(isinstance(one, UserError) for one in found):
            raise RefusedRequests(found)
        return found


def run(engine, *asked):
    return PROTOCOLS["verbal_expected"](OPTIONS).confidences(engine, asked)


def test_the_record_holds_mean_mass_and_format(make_asked):
    engine = Scoring()
    found, none = run(engine, make_asked(stated_confidence=0.7), make_asked("q1", response="7"))
    assert found.confidence == pytest.approx((0.7 * 0.6 + 0.8 * 0.3) / 0.9, abs=1e-6)
    assert found.detail == {"format": "one decimal", "mass": pytest.approx(0.9, abs=1e-6)}
    assert none.confidence is None and none.key == "q1#0"
    (request,) = engine.requests
    assert request.image == b"png" and request.messages == make_asked().question.messages


def test_a_refused_answer_is_a_failure_and_the_others_are_kept(make_asked, capsys):
    both = [make_asked(q, stated_confidence=0.7) for q in ("q0", "q1")]
    refused, kept = run(Scoring(refuse=[0]), *both)
    assert refused.confidence is None and kept.confidence is not None
    assert "1 of 2 requests refused" in capsys.readouterr().out


def test_an_engine_that_cannot_score_is_a_clear_line(make_asked, rule_engine):
    with pytest.raises(NoLogprobs, match="RuleEngine has no method `score`"):
        run(rule_engine(lambda prompt: ""), make_asked(stated_confidence=0.7))
