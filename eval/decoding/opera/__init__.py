"""OPERA (Huang et al. 2023): beam search that mistrusts a token on which all later ones lean.

Written from the paper; where it is silent, the published code decides (README). With the last
layer's attention w, the largest over heads, each row divided by its sum, between the tokens
generated so far, the candidate x_t included:

    P_t(c)  = prod_{i = c}^{t} sigma w_{i, c}       for the last `window` columns c
    phi_t   = 1e-7 max_c P_t(c),                    at most 1e4
            = -(attention of x_t to the image)      for the first `early` tokens
    p(x_t)  = softmax[h - alpha phi]_{x_t}          x_t among a beam's likeliest `candidates`

(over-trust penalty; h are the logits). Retrospection: each beam remembers c_t = argmax_c P_t(c) of
its tokens. If one column s >= `early` stands there `threshold` times and more in every beam, the
search goes back to where x_s was the last token, and no token that followed then may follow again.
It goes back to a place `rollbacks` times at most, then to the one before.

With alpha = 0, rollbacks = 0 and candidates >= max(2, 1 + number of end tokens) beams that is
transformers' beam search.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.generation import GenerateBeamDecoderOnlyOutput

from data_prep.engines.interface import Sampling
from data_prep.engines.steering import Steering
from eval.decoding.opera.attention import last_attention
from eval.decoding.opera.search import Prompt, Search
from eval.decoding.opera.settings import OperaSettings

__all__ = ["Opera", "OperaSearch"]


class Opera(OperaSettings):
    """The method by its settings, as `--decoding opera:...` makes it."""

    def steering(
        self, model: Any, inputs: Mapping[str, Any], seeds: Sequence[int], sampling: Sampling
    ) -> Steering:
        """A search where greedy text is asked for, plain draws where samples are.

        The likeliest single token is the same by both.
        """
        if sampling.temperature > 0 or sampling.max_tokens == 1:
            return Steering()
        return Steering(search=OperaSearch(self))


class OperaSearch:
    """For `model.generate(...,
    custom_generate=OperaSearch(Opera()))`; leave its `num_beams` at 1.
    """

    def __init__(self, opera: OperaSettings) -> None:
        self._opera = opera

    def __call__(
        self,
        model: Any,
        input_ids: Any,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **model_kwargs: Any,
    ) -> Any:
        """Prompts (B, T), padded on the left, and behind them the answers, padded on the right.

        With `return_dict_in_generate` also scores: mean log p(x_t), at length_penalty 1.
        """
        image_token = getattr(model.config, "image_token_id", None)
        start = model._prefill(input_ids, generation_config, model_kwargs)
        rows, scores = [], []
        with last_attention(model) as attention:
            for row in range(len(input_ids)):
                index = torch.tensor([row], device=input_ids.device)
                cache = copy.deepcopy(start.past_key_values)
                cache.batch_select_indices(index)
                prompt = Prompt(
                    ids=input_ids[index],
                    mask=model_kwargs["attention_mask"][index],
                    position=model_kwargs["position_ids"][..., index, -1:],
                    image=input_ids[row] == image_token,
                    cache=cache,
                    logits=start.logits[index, -1],
                )
                search = Search(
                    model,
                    attention,
                    prompt,
                    self._opera,
                    logits_processor,
                    stopping_criteria,
                    generation_config,
                )
                ids, score = search.best()
                rows.append(ids)
                scores.append(score)
        pad = generation_config._pad_token_tensor
        answers = torch.nn.utils.rnn.pad_sequence(rows, True, 0 if pad is None else pad.item())
        sequences = torch.cat([input_ids, answers], 1)
        if generation_config.return_dict_in_generate:
            return GenerateBeamDecoderOnlyOutput(sequences, torch.stack(scores))
        return sequences
