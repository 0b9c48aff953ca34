import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_fns.claims import (
    DEFECTS,
    FORMAT_INSTRUCTION,
    MAX_CLAIM_CHARS,
    MAX_CLAIMS,
    Claim,
    ParsedResponse,
    claim_prompt,
    normalise,
    parse_response,
    render_response,
)
from reward_fns.response_text import SPECIAL_TOKENS

SEVEN = Claim("The digit is 7.", True)
RED = Claim("Its colour is red.", False)


def test_the_documented_example_is_read():
    text = "1. The digit is 7. I'm sure.\n2. Its colour is red. I'm not sure.\nConfidence: 0.7"
    assert parse_response(text) == ParsedResponse((SEVEN, RED), 0.7, ())
    assert render_response((SEVEN, RED), 0.7) == text


def test_the_prompt_is_the_question_and_the_instruction():
    assert claim_prompt("Which digit?") == "Which digit?\n" + FORMAT_INSTRUCTION
    assert FORMAT_INSTRUCTION == (
        "Answer in numbered claims, one fact each. "
        'End each claim with "I\'m sure." or "I\'m not sure." '
        'Finish with "Confidence: " and a number from 0 to 1.'
    )


@pytest.mark.parametrize(
    ("tag", "sure"),
    [
        ("I'm sure.", True),
        ("I’m sure.", True),
        ("I‘m sure", True),
        ("I am sure.", True),
        ("i'm SURE!", True),
        ("(I'm sure)", True),
        ("**I'm sure.**", True),
        ('"I\'m sure."', True),
        ("I'm not sure.", False),
        ("I’m not sure.", False),
        ("I am not sure", False),
        ("I AM NOT SURE.", False),
        ("I'm unsure.", False),
        ("I’m Unsure.", False),
        ("I am unsure.", False),
    ],
)
def test_every_written_form_of_a_tag_is_read(tag, sure):
    assert parse_response(f"1. The digit is 7. {tag}\nConfidence: 0.5") == ParsedResponse(
        (Claim("The digit is 7.", sure),), 0.5
    )


@pytest.mark.parametrize("bullet", ["1.", "1)", "(1)", "-", "*", "•", "  1.", "12."])
def test_every_bullet_starts_a_claim(bullet):
    assert parse_response(f"{bullet} The digit is 7. I'm sure.\nConfidence: 0.5").claims == (SEVEN,)


@pytest.mark.parametrize(
    ("line", "confidence"),
    [
        ("Confidence: 0.7", 0.7),
        ("Confidence: 85%", 0.85),
        ("Confidence: 85 %", 0.85),
        ("Overall confidence = .85", 0.85),
        ("overall confidence: 1", 1.0),
        ("CONFIDENCE: 0", 0.0),
        ("**Confidence:** 0.7", 0.7),
        ("**Confidence: 0.7**", 0.7),
        ("- Confidence: 0.7", 0.7),
        ("2. Confidence: 0.7.", 0.7),
        ("My confidence: 1.", 1.0),
        ("Confidence: 100%", 1.0),
        ("Confidence: 33.3%", 0.333),
        ("Confidence: -0", 0.0),
    ],
)
def test_every_written_form_of_a_confidence_is_read(line, confidence):
    assert parse_response(f"1. The digit is 7. I'm sure.\n{line}") == ParsedResponse(
        (SEVEN,), confidence
    )


@pytest.mark.parametrize(
    "text",
    [
        "Sure! Looking at the image:\n\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
        "1.The digit is 3.\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
        "1. The digit is 7. I'm sure.\nIn short: 3.\nConfidence: 0.5",
        "1. The digit is 7. I'm sure.\nConfidence: 0.5\nHope this helps!",
        "1. The digit is 7. I'm sure.\nConfidence: 0.5\n# 3",
        "```text\n1. The digit is 7. I'm sure.\nConfidence: 0.5\n```",
        "三\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
        "③\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
        "❌\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
        "\U000e0033\n1. The digit is 7. I'm sure.\nConfidence: 0.5",
    ],
)
def test_whatever_is_said_outside_the_claims_is_a_defect(text):
    assert parse_response(text) == ParsedResponse((SEVEN,), 0.5, ("text_outside_claims",))


def test_decoration_outside_the_claims_says_nothing():
    text = "```\n---\n1. The digit is 7. I'm sure.\n\u200b\n***\nConfidence: 0.5\n✅ …\n```"
    assert parse_response(text) == ParsedResponse((SEVEN,), 0.5)


@pytest.mark.parametrize(
    "ending", ["", ".", ";", "。", ". ✅", "!)", ".**", "…", ".\u200b", ". ---"]
)
def test_behind_a_tag_its_line_may_hold_silent_characters(ending):
    text = (
        f"1. The digit is 7. I'm sure{ending}\n2. Its colour is red. I'm not sure.\nConfidence: 0.5"
    )
    assert parse_response(text) == ParsedResponse((SEVEN, RED), 0.5)


@pytest.mark.parametrize("ending", [". 7", ". 👎", "、七", " ③", ".\U000e0037"])
def test_behind_a_tag_its_line_may_say_nothing(ending):
    text = f"1. The digit is 7. I'm sure{ending}\nConfidence: 0.5"
    assert not parse_response(text).well_formed


def test_a_symbol_before_the_tag_stays_in_the_claim():
    assert parse_response("1. The digit is 7 ❌ I'm sure.\nConfidence: 0.5").claims == (
        Claim("The digit is 7 ❌", True),
    )


@pytest.mark.parametrize("value", ["0.", "0.**", "00..", "-0.", " 0. "])
def test_a_confidence_that_the_length_limit_cut_off_is_a_defect(value):
    assert parse_response(f"1. The digit is 7. I'm sure.\nConfidence: {value}") == ParsedResponse(
        (SEVEN,), None, ("cut_confidence",)
    )


@pytest.mark.parametrize("value", ["0.95%", "0.5 %", ".9%", "0.001%"])
def test_a_percentage_below_one_may_mean_either_scale_and_is_not_read(value):
    assert parse_response(f"1. The digit is 7. I'm sure.\nConfidence: {value}") == ParsedResponse(
        (SEVEN,), None, ("unreadable_confidence",)
    )


@pytest.mark.parametrize("value", [("0%", 0.0), ("0.0%", 0.0), ("1%", 0.01), ("1.5%", 0.015)])
def test_other_percentages_are_read(value):
    written, confidence = value
    text = f"1. The digit is 7. I'm sure.\nConfidence: {written}"
    assert parse_response(text) == ParsedResponse((SEVEN,), confidence)


@pytest.mark.parametrize("token", [*SPECIAL_TOKENS, "<|im_end|>\n<|endoftext|>", " </s> </s>\n"])
def test_special_tokens_at_the_end_do_not_count(token):
    text = f"1. The digit is 7. I'm sure.\nConfidence: 0.7{token}"
    assert parse_response(text) == ParsedResponse((SEVEN,), 0.7)


def test_special_tokens_elsewhere_are_text():
    text = "1. The digit is 7. I'm sure.</s>\nConfidence: 0.7</s>"
    assert parse_response(text).defects == ("missing_tag",)


THINKING = ("<think>", "</think>")
ANSWER = "1. The digit is 7. I'm sure.\nConfidence: 0.7"


@pytest.mark.parametrize(
    "block",
    [
        "<think>A 3?</think>",
        "\n<think>\n1. It is 3. I'm sure.\nConfidence: 0\n</think>\n\n",
        "The prompt opened the block. 3?</think>",
    ],
)
def test_a_named_thinking_block_before_the_answer_is_left_out(block):
    parsed = parse_response(block + ANSWER, thinking=THINKING, spans=True)
    assert parsed == ParsedResponse((SEVEN,), 0.7)
    start, end = parsed.claims[0].text_span
    assert (block + ANSWER)[start:end] == "The digit is 7."


def test_a_thinking_block_is_text_unless_it_is_named_leads_and_is_alone():
    block = "<think>A 3?</think>\n"
    assert parse_response(block + ANSWER).defects == ("text_outside_claims",)
    assert parse_response(ANSWER + block, thinking=THINKING).defects != ()
    assert parse_response(2 * block + ANSWER, thinking=THINKING).defects == ("text_outside_claims",)
    assert parse_response("7 " + block + ANSWER, thinking=THINKING).defects == (
        "text_outside_claims",
    )


def test_a_thinking_block_without_an_end_is_a_defect():
    parsed = parse_response("<think>" + ANSWER, thinking=THINKING)
    assert parsed == ParsedResponse((), None, ("unclosed_thinking", "no_claims", "no_confidence"))
    assert parse_response(ANSWER, thinking=THINKING) == ParsedResponse((SEVEN,), 0.7)


def test_a_claim_that_a_judge_would_not_see_whole_is_a_defect():
    for length, defects in ((MAX_CLAIM_CHARS, ()), (MAX_CLAIM_CHARS + 1, ("too_long",))):
        parsed = parse_response(f"1. {'a' * length} I'm sure.\nConfidence: 0.5")
        assert parsed.defects == defects


def test_an_answer_that_a_judge_would_not_see_whole_is_a_defect():
    # Ten claims of 1,590 characters and ten bullets with line breaks fit into 16,000: 15,900 + 40.
    for length, defects in ((1_590, ()), (1_599, ("too_long",))):
        claims = [f"{i}. {'a' * length} I'm sure." for i in range(1, 11)]
        assert parse_response("\n".join([*claims, "Confidence: 0.5"])).defects == defects


def test_spans_name_the_pieces_in_the_response():
    text = (
        "1. The digit\n   is  7. (I'm\n not sure)\n- It is red, I’m sure。\nConfidence:  70 %.</s>"
    )
    parsed = parse_response(text, spans=True)
    pieces = [
        (text[slice(*claim.text_span)], text[slice(*claim.tag_span)]) for claim in parsed.claims
    ]
    assert pieces == [("The digit\n   is  7.", "I'm\n not sure"), ("It is red", "I’m sure")]
    assert text[slice(*parsed.confidence_span)] == "70"
    assert Claim("The digit is 7.", False) == parsed.claims[0]


def test_a_confidence_that_is_stated_twice_has_two_spans():
    text = "1. The digit is 7. I'm sure.\nConfidence: 70%\nOverall confidence: 0.7"
    found = parse_response(text)
    assert [text[slice(*span)] for span in found.confidence_spans] == ["70", "0.7"]
    assert found.confidence_span == found.confidence_spans[-1]


def test_a_claim_goes_on_over_lines_until_its_tag():
    text = (
        "1. The digit\n   is 7.\n\n   I'm\n   sure.\n"
        "2. Its colour is red.\r\nI'm not sure.\nConfidence: 0.5"
    )
    assert parse_response(text) == ParsedResponse((SEVEN, RED), 0.5)


def test_the_punctuation_that_joins_a_tag_is_not_part_of_the_claim():
    for joined in (
        "The digit is 7, I'm sure.",
        "The digit is 7 - I'm sure.",
        "The digit is 7 (I'm sure).",
    ):
        assert parse_response(f"1. {joined}\nConfidence: 0.5").claims == (
            Claim("The digit is 7", True),
        )


_WORDS = ("text_outside_claims", "unreadable_confidence")


@pytest.mark.parametrize(
    ("text", "defects"),
    [
        ("", ("no_claims", "no_confidence")),
        ("The digit is 7.\nConfidence: 0.5", ("no_claims", "text_outside_claims")),
        ("The digit is 7. I'm sure.\nConfidence: 0.5", ("no_claims", "extra_tag")),
        ("1.The digit is 3. I'm sure.\n2. It is 7. I'm sure.\nConfidence: 1", ("extra_tag",)),
        ("**1.** The digit is 3. I'm sure.\n2. It is 7. I'm sure.\nConfidence: 1", ("extra_tag",)),
        ("a) The digit is 3. I'm sure.\n2. It is 7. I'm sure.\nConfidence: 1", ("extra_tag",)),
        ("1. The digit is 7.\nConfidence: 0.5", ("missing_tag",)),
        ("1. The digit is 7. I'm pretty sure.\nConfidence: 0.5", ("missing_tag",)),
        ("1. I'm sure the digit is 7.\nConfidence: 0.5", ("missing_tag",)),
        ("1. The digit is 7. I'm sure. Confidence: 0.5", ("missing_tag", "no_confidence")),
        ("1. I'm sure.\nConfidence: 0.5", ("empty_claim",)),
        ("1. The digit is 7. I'm sure.\n2.\nConfidence: 0.5", ("empty_claim",)),
        ("1. ... I'm sure.\nConfidence: 0.5", ("empty_claim",)),
        ("1. The digit is 7. I'm sure. I'm not sure.\nConfidence: 0.5", ("extra_tag",)),
        ("1. The digit is 7. I'm sure.\nI'm not sure.\nConfidence: 0.5", ("extra_tag",)),
        ("1. The digit is 7. I'm sure. 2. It is red. I'm sure.\nConfidence: 0.5", ("extra_tag",)),
        ("1. The digit is 7. I'm sure.", ("no_confidence",)),
        ("1. The digit is 7. I'm sure.\nConfidence: high", _WORDS),
        ("1. The digit is 7. I'm sure.\nConfidence:", ("unreadable_confidence",)),
        ("1. The digit is 7. I'm sure.\nConfidence: 0.7 or 0.8", _WORDS),
        ("1. The digit is 7. I'm sure.\nConfidence: 8/10", ("unreadable_confidence",)),
        ("1. The digit is 7. I'm sure.\nConfidence: nan", _WORDS),
        ("1. The digit is 7. I'm sure.\nConfidence: 1e-1", _WORDS),
        ("1. The digit is 7. I'm sure.\nConfidence: 0.9. It is 3.", _WORDS),
        ("1. The digit is 7. I'm sure.\n2. Confidence\n: 3\nConfidence: 1", _WORDS),
        ("1. The digit is 7. I'm sure.\nConfidence: 85", ("confidence_out_of_range",)),
        ("1. The digit is 7. I'm sure.\nConfidence: 1.01", ("confidence_out_of_range",)),
        ("1. The digit is 7. I'm sure.\nConfidence: -0.1", ("confidence_out_of_range",)),
        ("1. The digit is 7. I'm sure.\nConfidence: 101%", ("confidence_out_of_range",)),
        (
            "1. The digit is 7. I'm sure.\nConfidence: 0.5\nConfidence: 0.6",
            ("conflicting_confidences",),
        ),
        (
            "1. The digit is 7. I'm sure.\n" * (MAX_CLAIMS + 1) + "Confidence: 0.5",
            ("too_many_claims",),
        ),
    ],
)
def test_a_defect_is_listed_by_name_and_never_guessed(text, defects):
    parsed = parse_response(text)
    assert parsed.defects == defects
    assert not parsed.well_formed
    assert (parsed.confidence is None) == any(
        "confiden" in name or name == "too_many_claims" for name in defects
    )


def test_the_same_confidence_twice_is_no_conflict():
    assert parse_response(
        "Confidence: 50%\n1. The digit is 7. I'm sure.\nConfidence: 0.50"
    ) == ParsedResponse((SEVEN,), 0.5)


def test_what_can_be_read_of_a_malformed_response_is_kept():
    parsed = parse_response("1. The digit is 7. I'm sure.\n2. Its colour is red.\nConfidence: 2")
    assert parsed == ParsedResponse((SEVEN,), None, ("missing_tag", "confidence_out_of_range"))


def test_the_longest_list_is_read():
    claims = tuple(Claim(f"Fact {i}.", i % 2 == 0) for i in range(MAX_CLAIMS))
    assert parse_response(render_response(claims, 0.25)) == ParsedResponse(claims, 0.25)
    with pytest.raises(ValueError, match="too_many_claims"):
        render_response((*claims, SEVEN), 0.25)


@pytest.mark.parametrize(
    ("confidence", "written"),
    [
        (0.7, "0.7"),
        (1.0, "1.0"),
        (0, "0.0"),
        (0.75, "0.75"),
        (1e-5, "0.00001"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_confidence_is_written_with_the_fewest_decimals_that_round_trip(confidence, written):
    assert render_response([SEVEN], confidence).endswith(f"\nConfidence: {written}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "...",
        "two  spaces",
        " leading",
        "a\nb",
        "a\n2. b",
        "I'm sure.",
        "a. I'm not sure.",
        "Confidence: 1",
        "a,",
    ],
)
def test_a_claim_that_would_be_read_differently_is_not_rendered(text):
    with pytest.raises(ValueError, match="claim"):
        render_response([Claim(text, True)], 0.5)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_confidence_out_of_range_is_not_rendered(confidence):
    with pytest.raises(ValueError, match="outside"):
        render_response([SEVEN], confidence)


def test_no_claims_are_not_rendered():
    with pytest.raises(ValueError, match="no_claims"):
        render_response([], 0.5)


def test_normalised_texts_ignore_case_spaces_and_the_final_period():
    assert normalise("  The  Digit is 7. ") == normalise("the digit is 7") == "the digit is 7"


words = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=8
)
texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
confidences = st.floats(0, 1) | st.sampled_from([i / 100 for i in range(101)])


@given(st.lists(st.builds(Claim, texts, st.booleans()), min_size=1, max_size=5), confidences)
def test_whatever_can_be_rendered_is_read_back_the_same(claims, confidence):
    try:
        text = render_response(claims, confidence)
    except ValueError:
        return
    assert parse_response(text) == ParsedResponse(tuple(claims), confidence, ())


plain = st.lists(
    st.sampled_from("the digit is seven 7 red not sure I'm é 中 left. of (a) 0.5".split()),
    min_size=1,
)
sentences = plain.map(lambda words: "A " + " ".join(words) + " dog.")


@given(
    st.lists(st.builds(Claim, sentences, st.booleans()), min_size=1, max_size=MAX_CLAIMS),
    confidences,
)
def test_ordinary_claims_can_always_be_rendered(claims, confidence):
    assert parse_response(render_response(claims, confidence)) == ParsedResponse(
        tuple(claims), confidence, ()
    )


fragments = st.sampled_from(
    [
        *"\n\n\n \r\t\u2028.,:-*_()%=7a",
        "1. ",
        "2) ",
        "- ",
        "* ",
        "I'm sure",
        "I’m not sure.",
        "I am unsure",
        "not",
        "sure",
    ]
    + [
        "Confidence: ",
        "overall confidence = ",
        "0.5",
        "85%",
        "1.2",
        "The dog. ",
        "\nConfidence: 0.5",
        "1. A. I'm sure.\n",
    ]
)
almost_responses = st.lists(fragments, max_size=30).map("".join)


@settings(max_examples=500)
@given(
    almost_responses
    | almost_responses.map(lambda text: f"1. A dog. I'm sure.\n{text}\nConfidence: 0.5")
)
def test_what_is_read_as_well_formed_can_be_rendered_and_read_back(text):
    parsed = parse_response(text)
    assert set(parsed.defects) <= set(DEFECTS)
    assert parsed.well_formed == (not parsed.defects)
    if parsed.well_formed:
        assert parse_response(render_response(parsed.claims, parsed.confidence)) == parsed


@given(st.text())
def test_any_text_is_read(text):
    parsed = parse_response(text)
    assert parsed.well_formed == (not parsed.defects)
