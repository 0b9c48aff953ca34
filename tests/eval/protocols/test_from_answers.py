"""DP, tags and stated confidences are read from the answer's own tokens;
the model is not asked again.
"""

import math

import pytest

from data_prep.engines import Completion
from eval.protocols import PROTOCOLS, Options
from eval.protocols.direct import probability_tokens, token_probabilities
from eval.protocols.tags import tag_probabilities
from eval.protocols.token_places import own_text_end
from reward_fns.claims import parse_response

OPTIONS = Options(seed=0, max_tokens=8, sc_samples=2)


def only(name, asked):
    (found,) = PROTOCOLS[name](OPTIONS).confidences(None, [asked])
    return found


def test_dp_is_the_highest_probability_at_the_last_token_with_text(tokens):
    drawn = tokens(
        ("Confidence", 0.5, {"Confidence": 0.5}),
        (": 0", 0.5, {": 0": 0.5}),
        (".7", 0.25, {".8": 0.5, ".7": 0.25}),  # another token was more probable than the one drawn
        ("</s>", 0.75, {"</s>": 0.75}),
    )
    found = token_probabilities(Completion("Confidence: 0.7", drawn))
    assert found["dp"] == 0.5 and found["dp_end"] == 0.75
    # (0.5 * 0.5 * 0.25 * 0.75) ** (1/4)
    assert found["dp_sequence"] == pytest.approx((0.5 * 0.5 * 0.25 * 0.75) ** 0.25, abs=1e-6)


@pytest.mark.parametrize("end", ["</s>", "", "\n"])
def test_end_of_sequence_and_blanks_are_no_text(tokens, end):
    drawn = tokens(("7", 0.5, {"7": 0.5}), (".", 0.9, {".": 0.9}), (end, 0.99, {end: 0.99}))
    assert token_probabilities(Completion("7.\n" if end == "\n" else "7.", drawn))["dp"] == 0.9


def test_an_answer_that_was_cut_off_has_its_last_token_as_end(tokens):
    found = token_probabilities(Completion("7", tokens(("7", 0.5, {"7": 0.5}))))
    assert found == {"dp": 0.5, "dp_end": 0.5, "dp_answer": 0.5, "dp_sequence": 0.5}


PIECES = (
    ("1. The digit is", 0.9, {}),
    (" 7", 0.4, {" 7": 0.4, " 1": 0.5}),
    (". I'm", 0.9, {}),
    (" sure", 0.8, {}),
    (".\nConfidence: 0.", 0.9, {}),
    ("3", 0.25, {"3": 0.25}),
    ("</s>", 0.99, {}),
)


def test_dp_answer_is_the_end_of_what_is_said_and_no_tag_number_or_period(tokens, make_asked):
    completion = Completion("1. The digit is 7. I'm sure.\nConfidence: 0.3", tokens(*PIECES))
    found = token_probabilities(completion)
    assert found["dp_answer"] == 0.5 and found["dp"] == 0.25
    named = probability_tokens(completion)
    assert named == {"dp": "3", "dp_end": "</s>", "dp_answer": " 7", "dp_sequence": 7}
    asked = make_asked(probabilities=found, probability_tokens=named)
    record = only("dp_answer", asked)
    assert record.confidence == 0.5 and record.detail == {"token": " 7"}
    assert only("dp", asked).detail == {"token": "3"}
    assert only("dp_sequence", asked).detail == {"tokens": 7}


@pytest.mark.parametrize(
    ("response", "last"),
    [
        ("1. A dog. I'm sure.\n2. It is big. I'm not sure.\nConfidence: 0.3", "big"),
        ("1. A dog,\n   black. I'm sure.\nConfidence: 0.3", "black"),
        ("A dog. It is big", "big"),  # free text
        ("3\nConfidence: 0.3", "3"),  # the answer's 3, not that of the number
        ("**Dakota.** I am sure.", "Dakota"),
        ("Confidence: 0.3", None),
        ("", None),
    ],
)
def test_the_end_of_what_an_answer_says(response, last):
    end = own_text_end(response)
    if last is None:
        assert end is None
    else:
        assert end == response.index(last) + len(last) - 1


def test_records_without_the_tokens_are_read_as_before(make_asked):
    assert only("dp", make_asked(probabilities={"dp": 0.25})).detail == {}
    assert only("dp_answer", make_asked(probabilities={"dp": 0.25})).confidence is None


def test_dp_without_token_probabilities_is_a_parse_failure(make_asked):
    assert token_probabilities(Completion("7")) == {}
    assert only("dp", make_asked()).confidence is None
    assert only("dp", make_asked(probabilities={"dp": 0.25})).confidence == 0.25


TEXT = "1. It is 7. I'm sure.\n2. It is red. I am not sure."


def claims_of(text):
    return parse_response(text + "\nConfidence: 0.5").claims


def test_p_sure_is_read_at_each_tag(tokens):
    drawn = tokens(
        ("1. It is 7. I'm", 1, {}),
        (" sure", 0.6, {" sure": 0.6, " not": 0.2, " the": 0.1}),
        (".\n2. It is red. I am", 1, {}),
        (" not", 0.5, {" sure": 0.25, " not": 0.5}),
        (" sure.", 1, {}),
    )
    # 0.6 / (0.6 + 0.2) and 0.25 / (0.25 + 0.5)
    expected = [0.75, pytest.approx(1 / 3, abs=1e-6)]
    assert tag_probabilities(Completion(TEXT, drawn), claims_of(TEXT)) == expected


def test_a_blank_may_be_a_token_of_its_own_and_words_may_come_in_pieces(tokens):
    drawn = tokens(
        ("1. It is 7. I'm", 1, {}),
        (" ", 1, {}),
        ("su", 0.5, {"su": 0.5, "n": 0.25, "un": 0.25}),
        ("re.\n2. It is red. I am not sure.", 1, {}),
    )
    found = tag_probabilities(Completion(TEXT, drawn), claims_of(TEXT))
    assert found == [0.5, None]  # no token begins at the second tag


def test_pieces_may_come_without_their_blanks(tokens):
    drawn = tokens(
        ("1. It is 7. I'm", 1, {}),
        ("sure", 0.6, {"sure": 0.6, "not": 0.2}),
        (".", 1, {}),
        ("2. It is red. I am", 1, {}),
        ("not", 0.5, {"sure": 0.25, "not": 0.5}),
        ("sure", 1, {}),
        (".", 1, {}),
        ("</s>", 1, {}),
    )
    assert tag_probabilities(Completion(TEXT, drawn), claims_of(TEXT)) == [
        0.75,
        pytest.approx(1 / 3, abs=1e-6),
    ]


def test_tags_that_do_not_match_the_claims_say_nothing(tokens):
    text = "I'm sure about this.\n1. It is 7. I'm sure."
    assert tag_probabilities(Completion(text, tokens((text, 1, {}))), claims_of(text)) == [None]
    assert tag_probabilities(Completion(text), claims_of(text)) == []


def test_tags_protocol_takes_probabilities_where_all_are_known_and_tags_else(make_asked):
    found = only("tags", make_asked(tag_probabilities=[0.9, 0.2]))
    assert found.confidence == pytest.approx(0.55) and found.detail == {"read": "probability"}
    found = only("tags", make_asked(tag_probabilities=[0.9, None]))
    assert found.confidence == 0.5 and found.detail == {"read": "tag"}
    assert only("tags", make_asked(claims=[])).confidence is None


def test_verbal_is_what_the_answer_states(make_asked):
    assert only("verbal", make_asked(stated_confidence=0.7)).confidence == 0.7
    assert only("verbal", make_asked()).confidence is None


def test_probabilities_do_not_exceed_one(tokens):
    drawn = tokens(("7", math.nextafter(1, 2), {"7": math.nextafter(1, 2)}))
    assert token_probabilities(Completion("7", drawn))["dp"] == 1.0
