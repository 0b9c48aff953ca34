"""OPERA: the penalty by hand, beam search without it, scores recomputed, going back."""

from collections import Counter

import pytest
import torch
from transformers import GenerationConfig

from data_prep.engines import Sampling, ScoringRequest, open_engine
from eval.decoding import opera as module
from eval.decoding.opera import Opera, OperaSearch
from eval.decoding.opera import search as search_module
from eval.decoding.opera.attention import extended, largest, overtrusted
from reward_fns.errors import UserError

PLAIN = Opera(beams=3, candidates=6, alpha=0, rollbacks=0)
RETURNING = Opera(beams=3, candidates=3, alpha=0.5, threshold=2, rollbacks=2, early=1)
"""Goes back often in the random models and now and then in the pocket model."""


def engine(directory, cache, opera, **options):
    config = {"kind": "transformers", "model": str(directory), "decoding": opera}
    return open_engine({**config, **options}, cache)


def searched(loaded, inputs, opera, **options):
    return loaded.model.generate(
        **inputs, do_sample=False, custom_generate=OperaSearch(opera), **options
    )


def test_the_penalty_by_hand():
    # Attention of three generated tokens, one beam, one candidate a step; times sigma = 10:
    #   5
    #   2  4                P(0) = 5 * 2 * 1 = 10   P(1) = 4 * 3 = 12   P(2) = 0.5
    #   1  3  0.5
    rows = [[0.5], [0.2, 0.4], [0.1, 0.3, 0.05]]
    log_products = torch.zeros(1, 0)
    for row in rows:
        log_products = extended(log_products, torch.tensor([[row]]), sigma=10)[:, 0]
    assert log_products.exp()[0].tolist() == pytest.approx([10, 12, 0.5])
    for window, product, column in ((512, 12, 1), (2, 12, 1), (1, 0.5, 2)):
        log_phi, where = largest(log_products, window)
        assert (log_phi.exp().item(), where.item()) == (pytest.approx(product), column)


def test_a_column_must_be_named_often_enough_by_every_beam():
    locations = torch.tensor([[1, 1, 1, 2], [1, 1, 0, 1]])
    assert overtrusted(locations, 3) == 1
    assert overtrusted(locations, 4) is None
    assert overtrusted(torch.tensor([[1, 1, 1], [0, 0, 0]]), 3) is None


@pytest.mark.parametrize("options", [{}, {"length_penalty": 0.0, "early_stopping": True}])
def test_without_penalty_and_retrospection_it_is_beam_search(loaded, requests, options):
    inputs = loaded.inputs(requests)
    common = {"max_new_tokens": 16, "return_dict_in_generate": True, "output_scores": True}
    config = GenerationConfig(
        num_beams=PLAIN.beams,
        do_sample=False,
        eos_token_id=loaded.model.generation_config.eos_token_id,
        pad_token_id=loaded.processor.tokenizer.pad_token_id,
        **options,
    )
    expected = loaded.model.generate(**inputs, generation_config=config, **common)
    config.num_beams = 1
    found = loaded.model.generate(
        **inputs, generation_config=config, custom_generate=OperaSearch(PLAIN), **common
    )
    assert found.sequences.tolist() == expected.sequences.tolist()
    assert found.sequences_scores.tolist() == pytest.approx(
        expected.sequences_scores.tolist(), abs=1e-4
    )


def attention_by_recomputation(loaded, inputs, ids):
    """The normalised matrix of a prompt and the tokens `ids` behind it, of an eager model."""
    attention = loaded.logits_without_cache(inputs, ids, output_attentions=True).attentions[-1]
    largest_over_heads = attention[0].max(0).values
    return largest_over_heads / largest_over_heads.sum(-1, keepdim=True)


def penalty_by_recomputation(loaded, inputs, ids, opera):
    """phi of the last of the tokens `ids` behind a prompt."""
    rows = attention_by_recomputation(loaded, inputs, ids)
    prompt = inputs["input_ids"].shape[1]
    if len(ids) <= opera.early:
        image = inputs["input_ids"][0] == loaded.model.config.image_token_id
        return -rows[-1, :prompt][image].sum().item()
    local = opera.sigma * rows[prompt:, prompt:]
    columns = range(max(0, len(ids) - opera.window), len(ids))
    return 1e-7 * max(local[c:, c].prod().item() for c in columns)


def test_an_answers_score_equals_a_recomputation_without_a_cache(directory, load, requests):
    """With a sigma at which the products of the random models, too, are of the size of logits."""
    opera = Opera(beams=2, candidates=3, sigma=5000, early=3, window=3, rollbacks=0)
    loaded = load(directory)
    inputs = loaded.inputs(requests)
    output = searched(loaded, inputs, opera, max_new_tokens=7, return_dict_in_generate=True)
    end = loaded.model.generation_config.eos_token_id
    loaded.model.set_attn_implementation("eager")
    sizes = []
    for row, request in enumerate(requests):
        alone, total = loaded.inputs([request]), 0.0
        ids = output.sequences[row, inputs["input_ids"].shape[1] :].tolist()
        ids = ids[: ids.index(end) + 1] if end in ids else ids
        for step, token in enumerate(ids):
            logits = loaded.logits_without_cache(alone, ids[:step]).logits[0, -1].clone()
            for candidate in logits.topk(opera.candidates).indices.tolist():
                phi = penalty_by_recomputation(loaded, alone, [*ids[:step], candidate], opera)
                logits[candidate] -= opera.alpha * phi
                sizes.append(phi)
            total += torch.log_softmax(logits, -1)[token].item()
        assert output.sequences_scores[row].item() == pytest.approx(total / len(ids), abs=1e-4)
    assert max(sizes) > 0.1 and min(sizes) < -0.01  # else a search without penalties would pass


class Watched(module.Search):
    """A search that tells what it does."""

    seen: list["Watched"] = []

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.logits, self.replayed, self.bans = {}, [], []
        Watched.seen.append(self)

    def _step(self, state, logits):
        self.logits[state.n] = logits
        advanced, *rest = super()._step(state, logits)
        self.last = advanced
        return advanced, *rest

    def _replay(self, state):
        logits = super()._replay(state)
        self.replayed.append((self.logits[state.n], logits))
        return logits

    def _ban(self, before, after):
        super()._ban(before, after)
        self.bans.append((before, list(self._banned[before.n])))


@pytest.fixture
def watched(monkeypatch):
    Watched.seen = []
    monkeypatch.setattr(module, "Search", Watched)
    return Watched.seen


def test_where_every_beam_leans_on_one_token_the_search_goes_back_behind_it(
    loaded, requests, watched, monkeypatch
):
    """Constructed: from the sixth token on all name column 2, until it has gone back twice."""

    def leaning(locations, threshold):
        gone_back = sum(watched[-1].rolled_back.values())
        return 2 if locations.shape[1] >= 6 and gone_back < 2 else None

    monkeypatch.setattr(search_module, "overtrusted", leaning)
    opera = Opera(beams=2, candidates=4, rollbacks=5, early=1)
    without_end = {"max_new_tokens": 9, "min_new_tokens": 9}
    inputs = loaded.inputs(requests)
    output = searched(loaded, inputs, opera, **without_end)
    start = inputs["input_ids"].shape[1]
    for search, sequence in zip(watched, output, strict=True):
        assert search.rolled_back == Counter({3: 2})  # columns 0, 1, 2 are kept
        for before, now in search.replayed:
            assert now.numpy() == pytest.approx(before.numpy(), abs=1e-4)
        state, banned = search.bans[-1]
        assert len(banned) == len(set(banned)) == 4  # two beams, twice: never the same token
        beams = (state.running[0, :, start : start + 3] == sequence[start : start + 3]).all(-1)
        (beam,) = beams.nonzero().flatten().tolist()
        assert (beam, sequence[start + 3].item()) not in banned


def test_it_goes_back_to_a_place_so_many_times_then_to_the_one_before(
    loaded, requests, watched, monkeypatch
):
    monkeypatch.setattr(search_module, "overtrusted", lambda locations, threshold: 2)
    opera = Opera(beams=2, candidates=2, rollbacks=2, early=1)
    searched(loaded, loaded.inputs(requests[:1]), opera, max_new_tokens=6, min_new_tokens=6)
    assert watched[0].rolled_back == Counter({3: 2, 2: 2})


def test_beams_remember_the_columns_of_their_own_attention(pocket, load, requests, watched):
    loaded = load(pocket)
    opera = Opera(beams=3, candidates=3, rollbacks=0, sigma=20)
    inputs = loaded.inputs(requests)
    searched(loaded, inputs, opera, max_new_tokens=9, min_new_tokens=9)
    loaded.model.set_attn_implementation("eager")
    start, named = inputs["input_ids"].shape[1], set()
    for request, search in zip(requests, watched, strict=True):
        alone = loaded.inputs([request])
        prompt = alone["input_ids"].shape[1]
        for sequence, columns in zip(search.last.running[0], search.last.locations, strict=True):
            ids = sequence[start : start + search.last.n].tolist()
            rows = attention_by_recomputation(loaded, alone, ids)[prompt:, prompt:] * opera.sigma
            for t in range(len(ids)):
                products = torch.stack([rows[c : t + 1, c].prod() for c in range(t + 1)])
                assert columns[t] == products.argmax()
            named.add(tuple(columns.tolist()))
    assert len(named) > 1  # else beams with each other's columns would pass


def test_attention_itself_makes_it_go_back(directory, load, requests, watched):
    loaded = load(directory)
    opera = Opera(beams=2, candidates=2, threshold=3, early=0, rollbacks=1)
    searched(loaded, loaded.inputs(requests), opera, max_new_tokens=12, min_new_tokens=12)
    assert any(search.rolled_back for search in watched)


@pytest.mark.parametrize("opera", [Opera(), RETURNING])
def test_a_batch_equals_one_at_a_time(directory, requests, tmp_path, opera):
    sampling = Sampling(0, 14)
    with engine(directory, tmp_path, opera) as together:
        batch = together.generate(requests, sampling)
    with engine(directory, tmp_path, opera, batch_size=1) as alone:
        assert [alone.generate([request], sampling)[0] for request in requests] == batch


def test_log_probabilities_are_the_models_own(pocket, requests, tmp_path):
    with engine(pocket, tmp_path, Opera()) as searching:
        answers = searching.generate(requests, Sampling(0, 24, top_logprobs=2))
        for request, [answer] in zip(requests, answers, strict=True):
            scoring = ScoringRequest(request.messages, (answer.text,), request.image)
            [[scored]] = searching.score([scoring])
            assert [t.logprob for t in answer.tokens] == pytest.approx(
                [t.logprob for t in scored], abs=1e-4
            )
            assert all(max(t.top.values()) >= t.logprob - 1e-6 for t in answer.tokens)


def test_a_placeholder_is_never_searched(placeholder_llava, requests, tmp_path):
    with engine(placeholder_llava, tmp_path, Opera()) as searching:
        answers = searching.generate(requests, Sampling(0, 8, top_logprobs=1))
    texts = [token.text for [answer] in answers for token in answer.tokens]
    assert texts and "<image>" not in texts


def test_samples_are_drawn_plainly_and_the_model_is_left_as_it_was(loaded, requests, tmp_path):
    decoder = loaded.model.get_decoder()
    before = decoder.config._attn_implementation
    searched(loaded, loaded.inputs(requests[:1]), PLAIN, max_new_tokens=2)
    assert decoder.config._attn_implementation == before != "eager"
    assert not decoder.layers[-1].self_attn._forward_hooks
    assert Opera().steering(loaded.model, {}, [0], Sampling(1.0, 8)).search is None
    assert Opera().steering(loaded.model, {}, [0], Sampling(0, 8)).search is not None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beams": 1}, "beams of at least 2, got 1"),
        ({"candidates": 0}, "candidates, threshold and window of at least 1"),
        ({"early": -1}, "rollbacks and early of at least 0"),
        ({"sigma": 0.0}, "sigma > 0"),
    ],
)
def test_a_value_out_of_range_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        Opera(**wrong)
