"""EasyR1's reward function (`worker.reward.reward_function=my_reward.py:compute_score`).

    # my_reward.py
    from reward_fns.adapters.easyr1 import make_compute_score
    judge = {"kind": "openai", "model": "gpt-4o"}
    compute_score = make_compute_score(expert=judge, data_source="VQAv2")

EasyR1 hands over `response`, `response_length` and `ground_truth`: neither question nor images.
So the answer column is a JSON text with `question` and `ground_truth`, and `data_source` and
`task` where they differ. A response without a verdict gets its group's mean (`rows.Filling`):
there is no "none" here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_fns.adapters.background import run
from reward_fns.adapters.rows import Filling, row_of, sample_of, scored
from reward_fns.reward import make_reward

ComputeScore = Callable[..., Any]


def make_compute_score(*, data_source: str | None = None, **options: Any) -> ComputeScore:
    """A reward function with its options; takes one reward input, or a list
    (``reward_type=batch``).

    Args:
        data_source: dataset of answers that name none.
        options: see `reward.DifficultyReward`; ``expert`` is needed.

    Raises:
        ConfigurationError: an option that cannot work.
    """
    reward, filling = make_reward(options), Filling()

    def compute_score(
        reward_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]], **kwargs: Any
    ) -> dict[str, float] | list[dict[str, float]]:
        one = isinstance(reward_inputs, Mapping)
        inputs = [reward_inputs] if isinstance(reward_inputs, Mapping) else reward_inputs
        rows = [
            (given["response"], sample_of({**given, **row_of(given["ground_truth"])}, data_source))
            for given in inputs
        ]
        values = run(scored(reward, rows))
        overall = filling.filled(values, [(s.question, s.ground_truth) for _, s in rows])
        scores = [
            {**terms, "overall": total, "format": terms["well_formed"], "accuracy": terms["acc"]}
            for terms, total in zip(values, overall, strict=True)
        ]
        return scores[0] if one else scores

    return compute_score
