"""Where tokens stand in an answer, and what a piece of it was worth to the model."""

import math

import pytest

from data_prep.engines import GenerationRequest, Sampling, open_engine
from data_prep.engines.interface import Token
from data_prep.engines.token_places import span_logprob, token_places
from data_prep.verl_rows import chat_content
from reward_fns.claims import claim_prompt, parse_response
from reward_fns.errors import UserError

from ..scripted import png


def tokens(*texts):
    return [Token(text, -1.0, {}) for text in texts]


@pytest.mark.parametrize(
    ("text", "pieces", "places"),
    [
        ("A 3.", ("A", " 3", "."), [(0, 1), (1, 3), (3, 4)]),
        # SentencePiece puts a blank before the first word, and decoding drops it.
        ("A 3.", (" A", " 3", "."), [(0, 1), (1, 3), (3, 4)]),
        # Some servers give pieces without their blanks.
        ("A 3.", ("A", "3", "."), [(0, 1), (1, 3), (3, 4)]),
        # The end of sequence has no place.
        ("A", ("A", "</s>"), [(0, 1), (1, 1)]),
        # Two tokens share a character's bytes: it belongs to what follows.
        ("A é.", ("A", " ", "\ufffd", "\ufffd", "."), [(0, 1), (1, 2), (2, 2), (2, 2), (2, 4)]),
        # vLLM holds a part of a character back as an empty text, and may never complete it.
        ("of\ufffd 0", ("of", "", " 0"), [(0, 2), (2, 2), (2, 5)]),
    ],
)
def test_places(text, pieces, places):
    assert token_places(text, tokens(*pieces)) == places


def test_tokens_that_do_not_spell_the_text_are_an_error():
    with pytest.raises(UserError, match="do not spell"):
        token_places("A 3.", tokens("A", " 4", "."))


def test_a_span_is_worth_the_tokens_that_touch_it():
    said = [
        Token("1.", -8.0, {}),
        Token(" A", -1.0, {}),
        Token(" 3.", -2.0, {}),
        Token(" I", -4.0, {}),
    ]
    places = token_places("1. A 3. I", said)
    assert span_logprob((3, 7), places, said) == -3.0


@pytest.mark.parametrize(
    ("text", "pieces", "span", "logprob"),
    [
        ("It is \u6f22.", ("It", " is", " ", "", "", "\u6f22", "."), (0, 8), -7.0),
        # The blank before the span is none of it.
        ("1. \u6f22 is.", ("1.", " ", "", "", "\u6f22", " is", "."), (3, 8), -5.0),
    ],
)
def test_the_bytes_of_a_character_count_where_it_stands_first_too(text, pieces, span, logprob):
    said = tokens(*pieces)
    assert span_logprob(span, token_places(text, said), said) == logprob


def test_a_claim_is_worth_what_the_model_gave_its_tokens():
    """The real pocket model: the claims' log-probabilities add up to the text's,
    by its own tokens.
    """
    request = GenerationRequest(
        [
            {
                "role": "user",
                "content": chat_content(f"<image>\n{claim_prompt('Describe the image.')}"),
            }
        ],
        3,
        png(),
    )
    model = {"kind": "transformers", "model": "data_prep/pocket/base_model"}
    with open_engine(model, None) as engine:
        (answers,) = engine.generate([request], Sampling(1.0, 64, 8, 1))
    seen = 0
    for answer in answers:
        parsed = parse_response(answer.text, spans=True)
        if not parsed.well_formed:
            continue
        places = token_places(answer.text, answer.tokens)
        for claim in parsed.claims:
            start, end = claim.text_span
            inside = [
                t for t, (a, b) in zip(answer.tokens, places, strict=True) if a < end and b > start
            ]
            assert "".join(t.text for t in inside).strip() == claim.text
            expected = math.fsum(t.logprob for t in inside)
            assert span_logprob(claim.text_span, places, answer.tokens) == pytest.approx(expected)
            seen += 1
    assert seen >= 4
