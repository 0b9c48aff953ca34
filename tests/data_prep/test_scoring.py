"""The ids of a given answer, and a server's chat template that may change it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data_prep.engines import NoLogprobs, ScoringRequest
from data_prep.engines.scoring import answer_ids, shared_start
from data_prep.engines.served_scoring import ChangedAnswer, ServedScorer, read_tokenizer

POCKET = str(Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model")


@pytest.fixture(scope="module")
def llama():
    """A tokenizer of the Llama kind in small: a blank is put before any text,
    and written as part of a word.
    """
    vocab = {p: i for i, p in enumerate(["</s>", "▁", "A", ":", "1", ".", "▁A", "▁1"])}
    tokenizer = Tokenizer(models.BPE(vocab, [("▁", "A"), ("▁", "1")]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


@pytest.mark.parametrize("answer", [" 1.", "1."])
def test_an_answer_of_the_llama_kind_begins_with_its_one_blank(llama, answer):
    """Decoded by vLLM it has the blank, by transformers it has lost it;
    the tokens are "▁1" and ".".
    """
    ids = answer_ids(llama, "A:", answer)
    assert llama.convert_ids_to_tokens(ids) == ["▁1", ".", "</s>"]


@pytest.mark.parametrize(
    ("sequences", "shared"), [([[1, 2], [1, 2, 3]], 2), ([[1], [2]], 0), ([[4, 4]], 2)]
)
def test_the_start_that_all_share(sequences, shared):
    assert shared_start(sequences) == shared


class Template:
    """A vLLM server whose template makes `write(text)` of an assistant's turn;
    probability 1 / 2 a token.
    """

    def __init__(self, write):
        self.write, self.tokenizer, self.sent = write, AutoTokenizer.from_pretrained(POCKET), []

    def post(self, turns, image, fields):
        self.sent.append(fields)
        text = "USER: Which? ASSISTANT:"
        if turns[-1]["role"] == "assistant":
            text += self.write(turns[-1]["content"][0]["text"])
        ids = self.tokenizer(text).input_ids
        choices = [None, *({str(i): {"logprob": -0.5}} for i in ids[1:])]
        return SimpleNamespace(prompt_token_ids=ids, prompt_logprobs=choices)

    def score(self, *answers):
        scorer = ServedScorer(self.tokenizer, self.post, "m at http://x")
        turn = {"role": "user", "content": [{"type": "text", "text": "Which?"}]}
        return scorer.scored(ScoringRequest([turn], answers))


@pytest.mark.parametrize("write", [lambda text: text, lambda text: " " + text])
def test_an_answer_is_put_in_as_it_was_generated_whatever_blank_the_template_writes(write):
    server = Template(write)
    first, second = server.score(" The digit is 7.", " The digit is 8.")
    tokens = server.tokenizer.convert_ids_to_tokens([token.id for token in first])
    assert tokens == ["ĠThe", "Ġdigit", "Ġis", "Ġ7", ".", "</s>"] and len(second) == 6
    assert {token.logprob for token in first} == {-0.5}


@pytest.mark.parametrize(
    "write", [lambda text: "<think></think>" + text, lambda text: text.replace("\n", " ")]
)
def test_an_answer_that_a_template_changes_is_refused(write):
    with pytest.raises(ChangedAnswer, match="m at http://x changes an answer"):
        Template(write).score(" It is\n7.")


def test_a_server_without_token_ids_and_a_tokenizer_that_is_not_here_are_clear_lines(tmp_path):
    server = Template(str)
    server.post = lambda *_: SimpleNamespace()
    with pytest.raises(NoLogprobs, match="names no token ids"):
        server.score("7")
    with pytest.raises(NoLogprobs, match="which is served, cannot be read here"):
        read_tokenizer(str(tmp_path / "nothing"))
