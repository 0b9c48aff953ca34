"""The beam search behind one prompt, with its way back (see the package's text)."""

import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch

from eval.decoding.opera.attention import Attention, extended, largest, overtrusted
from eval.decoding.opera.settings import OperaSettings

_UNIT, _LARGEST = 1e-7, 1e4


@dataclass(frozen=True)
class Prompt:
    """One prompt after its forward pass."""

    ids: Any  # (1, T)
    mask: Any  # (1, T), 0 at the padding
    position: Any  # (..., 1, 1) of the last token
    image: Any  # (T,), whether a token is the image's
    cache: Any  # a row
    logits: Any  # (1, V) of the next token


@dataclass(frozen=True)
class _State:
    """R beams before a step, `n` tokens behind the prompt; M is the longest length."""

    n: int
    running: Any  # (1, R, M) token ids
    scores: Any  # (1, R) sums of log p
    finished: Any  # (1, R, M)
    finished_scores: Any  # (1, R)
    finished_lengths: Any  # (1, R, 2), see `Search._advanced`
    is_finished: Any  # (1, R)
    improvable: Any  # (1, 1)
    log_products: Any  # (R, n), log P of the columns
    locations: Any  # (R, n), argmax column of each token


class Search:
    """The search behind one prompt; the cache holds it and all tokens of the running beams."""

    def __init__(
        self,
        model: Any,
        attention: Attention,
        prompt: Prompt,
        opera: OperaSettings,
        logits_processor: Any,
        stopping_criteria: Any,
        config: Any,
    ) -> None:
        self._model, self._attention, self._prompt, self._opera = model, attention, prompt, opera
        self._processor, self._criteria, self._config = logits_processor, stopping_criteria, config
        self._length = prompt.ids.shape[1]
        self._banned: dict[int, list[tuple[int, int]]] = {}  # n -> (beam, token)
        self._cache: Any = None
        self.rolled_back: Counter[int] = Counter()  # n -> times

    def best(self) -> tuple[Any, Any]:
        """The ids of the best answer, and its score."""
        state = self._start()
        states = [state]  # states[n] has n tokens
        logits = self._prompt.logits.repeat(self._opera.beams, 1)
        self._cache = self._prompts()
        going = True
        while going:
            state, logits, going = self._step(state, logits)
            states.append(state)
            if going and (place := self._place_to_return(state)) is not None:
                self.rolled_back[place] += 1
                self._ban(states[place], states[place + 1])
                del states[place + 1 :]
                state = states[place]
                logits = self._replay(state)
        length = int(state.finished_lengths[0, 0, 1])
        ids = state.finished[0, 0, self._length : self._length + length]
        return ids, state.finished_scores[0, 0]

    def _prompts(self) -> Any:
        """A cache of the prompt alone, a row a beam."""
        cache = copy.deepcopy(self._prompt.cache)
        cache.batch_repeat_interleave(self._opera.beams)
        return cache

    def _start(self) -> _State:
        beams, device = self._opera.beams, self._prompt.ids.device
        pad = self._config._pad_token_tensor
        fill = 0 if pad is None else pad.item()
        running = torch.full((1, beams, self._config.max_length), fill, device=device)
        running[:, :, : self._length] = self._prompt.ids
        scores = torch.full((1, beams), -1e9, device=device)
        first_alone = scores.clone()  # all beams are the same yet
        first_alone[:, 0] = 0
        return _State(
            n=0,
            running=running,
            scores=first_alone,
            finished=running.clone(),
            finished_scores=scores,
            finished_lengths=torch.zeros((1, beams, 2), dtype=torch.long, device=device),
            is_finished=torch.zeros((1, beams), dtype=torch.bool, device=device),
            improvable=torch.ones((1, 1), dtype=torch.bool, device=device),
            log_products=torch.zeros((beams, 0), device=device),
            locations=torch.zeros((beams, 0), dtype=torch.long, device=device),
        )

    def _step(self, state: _State, logits: Any) -> tuple[_State, Any, bool]:
        """One token more: the next state, its logits (R, V), and whether the search goes on."""
        beams, opera = self._opera.beams, self._opera
        ids = state.running[0, :, : self._length + state.n]
        logits = logits.float()
        allowed = self._processor(ids, torch.log_softmax(logits, -1))
        for beam, token in self._banned.get(state.n, ()):
            allowed[beam, token] = -torch.inf
        candidates = allowed.topk(opera.candidates, -1).indices  # (R, C)
        self._cache.batch_repeat_interleave(opera.candidates)
        next_logits, attended = self._feed(candidates.reshape(-1, 1), state.n)
        attended = attended.view(beams, opera.candidates, -1)  # (R, C, T + n + 1)
        own = attended[..., self._length :]
        log_products = extended(state.log_products, own, opera.sigma)  # (R, C, n + 1)
        log_phi, locations = largest(log_products, opera.window)
        if state.n < opera.early:
            penalty = -attended[..., : self._length][..., self._prompt.image].sum(-1)
        else:
            penalty = (log_phi.exp() * _UNIT).clamp(max=_LARGEST)
        penalised = logits.scatter_add(-1, candidates, -opera.alpha * penalty)
        chances = self._processor(ids, torch.log_softmax(penalised, -1)).gather(-1, candidates)
        chances = chances.masked_fill(allowed.gather(-1, candidates) == -torch.inf, -torch.inf)
        scores = (chances + state.scores[0, :, None]).view(1, -1)  # (1, R C)
        state, rows, going = self._advanced(state, candidates, scores)
        self._cache.batch_select_indices(rows)
        earlier = state.locations[rows // opera.candidates]
        state = replace(
            state,
            n=state.n + 1,
            log_products=log_products.flatten(0, 1)[rows],
            locations=torch.cat([earlier, locations.view(-1, 1)[rows]], 1),
        )
        return state, next_logits[rows], going

    def _advanced(self, state: _State, candidates: Any, scores: Any) -> tuple[_State, Any, bool]:
        """transformers' own bookkeeping of beams and finished answers, on the candidates.

        Returns:
            The state, but for attention and count; which (R,) of the R C candidates run on;
            whether they do.
        """
        model, config, beams = self._model, self._config, self._opera.beams
        length = self._length + state.n
        ends = config._eos_token_tensor
        kept = max(2, 1 + (0 if ends is None else len(ends))) * beams
        kept = min(kept, scores.shape[1])
        top, rows = scores.topk(kept)  # (1, K)
        sequences = model._gather_beams(state.running, rows // self._opera.candidates)
        sequences[:, :, length] = candidates.reshape(1, -1).gather(1, rows)
        # Where transformers keeps beam indices: the candidate's row and the number of tokens.
        marks = torch.stack([rows, torch.full_like(rows, state.n + 1)], -1)
        stops = self._criteria(sequences[0, :, : length + 1], None)[None]  # (1, K)
        running, running_scores, running_marks = model._get_running_beams_for_next_iteration(
            topk_log_probs=top,
            topk_running_sequences=sequences,
            topk_running_beam_indices=marks,
            next_token_hits_stopping_criteria=stops,
            num_beams=beams,
        )
        finished, finished_scores, finished_lengths, is_finished = model._update_finished_beams(
            sequences=state.finished,
            topk_running_sequences=sequences,
            beam_scores=state.finished_scores,
            topk_log_probs=top,
            beam_indices=state.finished_lengths,
            topk_running_beam_indices=marks,
            is_early_stop_heuristic_unsatisfied=state.improvable,
            is_sent_finished=state.is_finished,
            next_token_hits_stopping_criteria=stops,
            top_num_beam_mask=torch.arange(kept, device=top.device) < beams,
            num_beams=beams,
            cur_len=length,
            decoder_prompt_len=self._length,
            length_penalty=config.length_penalty,
            early_stopping=config.early_stopping,
        )
        improvable = model._check_early_stop_heuristic(
            is_early_stop_heuristic_unsatisfied=state.improvable,
            running_beam_scores=running_scores,
            beam_scores=finished_scores,
            is_sent_finished=is_finished,
            cur_len=length + 1,
            max_length=config.max_length,
            decoder_prompt_len=self._length,
            early_stopping=config.early_stopping,
            length_penalty=config.length_penalty,
        )
        going = model._beam_search_has_unfinished_sequences(
            improvable, is_finished, stops, config.early_stopping
        )
        advanced = replace(
            state,
            running=running,
            scores=running_scores,
            finished=finished,
            finished_scores=finished_scores,
            finished_lengths=finished_lengths,
            is_finished=is_finished,
            improvable=improvable,
        )
        return advanced, running_marks[0, :, 0], bool(going)

    def _feed(self, tokens: Any, before: int) -> tuple[Any, Any]:
        """Tokens (S, U) behind the prompt and `before` generated ones in the cache's S rows.

        Returns:
            Logits (S, V) and normalised attention (S, T + before + U) of the last token.
        """
        rows, more = tokens.shape
        mask = self._prompt.mask.new_ones((rows, self._length + before + more))
        mask[:, : self._length] = self._prompt.mask
        behind = before + 1 + torch.arange(more, device=tokens.device)
        position = self._prompt.position + behind
        output = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=position.expand(*position.shape[:-2], rows, more),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1], self._attention.of_last_token()

    def _place_to_return(self, state: _State) -> int | None:
        """Where to go on instead: the number of tokens that are kept; None to go on here."""
        found = overtrusted(state.locations, self._opera.threshold)
        if found is None or found < self._opera.early:
            return None
        for place in (found + 1, found):  # x_s kept, or up to the token before it
            if 0 < place < state.n and self.rolled_back[place] < self._opera.rollbacks:
                return place
        return None

    def _ban(self, before: _State, after: _State) -> None:
        """What followed the beams of this place may not follow them again; later bans are void."""
        self._banned = {n: pairs for n, pairs in self._banned.items() if n <= before.n}
        end = self._length + before.n
        for sequence in after.running[0]:
            same = (before.running[0, :, :end] == sequence[:end]).all(-1).nonzero()
            pair = (int(same[0]), int(sequence[end]))
            self._banned.setdefault(before.n, []).append(pair)

    def _replay(self, state: _State) -> Any:
        """The cache of an earlier state, made anew, and its logits (R, V)."""
        self._cache = self._prompts()
        tokens = state.running[0, :, self._length : self._length + state.n]
        return self._feed(tokens, 0)[0]
