"""The configured reward: what `compute_score`, verl's reward manager and every adapter call.

    reward = DifficultyReward(expert={"kind": "openai", "model": "gpt-4o"}, rule="proper")
    values = await reward.score(response, read_sample(data_source=..., ground_truth=...))

What ends a run
---------------
A `ConfigurationError`: wrong options (at construction), a dataset without coefficients, or a
dataset whose ground truths the expert cannot read. And a `FatalExpertError`: the expert cannot be
asked any more. Each is kept: every later call of the same object raises it again, so that a trainer
that drops a sample whose reward raised, as verl's does, runs out of samples instead of training on
those that happen to be left.

One broken row or a wrong dataset: `UNREADABLE_ROWS` different rows of a dataset without readable
ground truth, and not one verdict on that dataset, are a wrong dataset. After a verdict an
unreadable row is that row's failure alone (`expert_failed`).
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reward_fns.coefficients_file import Coefficients
from reward_fns.difficulty import check_coefficients, find_coefficients
from reward_fns.errors import ConfigurationError
from reward_fns.expert import Expert, FatalExpertError, make_expert
from reward_fns.expert.oracle import UNREADABLE_TRUTH
from reward_fns.judging import JudgedResponse, judge_response, reward_dict
from reward_fns.plain import plain
from reward_fns.question_difficulty import (
    check_references,
    find_reference,
    question_coefficients,
    read_statistics,
)
from reward_fns.sample import Sample
from reward_fns.scoring import RULES

logger = logging.getLogger(__name__)

UNREADABLE_ROWS = 3
"""So many different rows that the expert cannot read, and no verdict: the dataset is wrong."""

DIFFICULTIES = ("dataset", "question")
"""Whether the coefficients depend on the dataset alone, or on the question as well."""

_REPLACED = {"scheme": "coefficients", "coefficients_file": "coefficients"}
_NO_EXPERT = (
    "no expert is named, and there is no default: set expert={kind: openai, model: ..., "
    "base_url: ...} for a judge (in verl +reward.custom_reward_function.reward_kwargs.expert), or "
    "expert=oracle for data whose ground truths list the facts"
)


@dataclass(frozen=True)
class RewardOutcome:
    """One response's reward: the `values` of `judging.reward_dict`, and the verdict behind them."""

    judged: JudgedResponse
    values: dict[str, float]


class DifficultyReward:
    """Algorithm 1 for the responses of one run.

    Args:
        expert: an expert, its name, or its options (`expert.make_expert`); required.
        rule: "paper", "proper" or "log" (`scoring`).
        coefficients: a scheme of `difficulty`, or a YAML file that lists all datasets of the run.
        default_coefficients: alpha, beta, gamma and delta of a dataset that is not listed; None
            ends the run at its first sample.
        thinking: opening and closing tag of a thinking block before the answer, which is then
            neither read nor judged (`claims.parse_response`); None for a model without.
        difficulty: "dataset": every question of a dataset has its coefficients; "question": its own
            vote margin and entity rarity move them (`question_difficulty`). That needs the
            coefficients file of stage one and its rows. The questions of a dataset that is not
            listed all have the default.
        reward_router_address: host:port of the reward model that verl serves; an "openai" expert
            without ``base_url`` asks that model.

    Raises:
        ConfigurationError: an option is missing or wrong; names it.
    """

    def __init__(
        self,
        expert: str | Mapping[str, Any] | Expert | None = None,
        rule: str = "paper",
        coefficients: str | os.PathLike[str] = "table4",
        default_coefficients: Mapping[str, float] | Coefficients | None = None,
        thinking: Sequence[str] | None = None,
        difficulty: str = "dataset",
        reward_router_address: str | None = None,
    ) -> None:
        if expert is None:
            raise ConfigurationError(_NO_EXPERT)
        if rule not in RULES:
            raise ConfigurationError(f"unknown rule {rule!r}: choose one of {', '.join(RULES)}")
        if difficulty not in DIFFICULTIES:
            raise ConfigurationError(
                f"unknown difficulty {difficulty!r}: choose one of {', '.join(DIFFICULTIES)}"
            )
        try:
            check_coefficients(coefficients)
            if difficulty == "question":
                check_references(coefficients)
            self.expert = expert_for(expert, reward_router_address)
            self._default = _read_default(default_coefficients)
            self.thinking = _read_thinking(thinking)
        except (OSError, ValueError) as error:
            raise ConfigurationError(str(error)) from error
        self.rule = rule
        self.coefficients = coefficients
        self.difficulty = difficulty
        self._ended: ConfigurationError | FatalExpertError | None = None
        self._judged: set[str] = set()
        self._unreadable: dict[str, set[tuple[str, str | None]]] = {}

    async def score(self, response: str, sample: Sample) -> dict[str, float]:
        """The reward of a response, under the keys `judging.REWARD_KEYS`.

        A failed expert call is no error here: ``expert_failed`` is 1, and the caller leaves the
        response out.

        Raises:
            ConfigurationError, FatalExpertError: the run has to end (module docstring).
        """
        outcome = await self.outcome(response, sample)
        if outcome.judged.fatal:
            raise FatalExpertError(str(outcome.judged.error))
        if outcome.judged.error is not None:
            logger.warning("no verdict for %s: %s", sample.question_id, outcome.judged.error)
        return outcome.values

    async def outcome(self, response: str, sample: Sample) -> RewardOutcome:
        """The reward with the verdict behind it; what the expert does is told in it, not raised.

        Raises:
            ConfigurationError: the run has to end.
            FatalExpertError: an earlier outcome was fatal.
        """
        if self._ended is not None:
            raise self._ended
        coefficients = self.coefficients_of(sample.dataset, sample.extra_info)
        judged = await judge_response(
            response=response,
            question=sample.question,
            task=sample.task,
            ground_truth=sample.ground_truth,
            images=sample.images,
            expert=self.expert,
            thinking=self.thinking,
        )
        self._see(sample, judged)
        if judged.fatal:
            self._ended = self._ended or FatalExpertError(str(judged.error))
        return RewardOutcome(judged, reward_dict(judged, coefficients, self.rule))

    @property
    def row_fields(self) -> list[str]:
        """Columns of a row that `coefficients_of` reads beside the dataset's tag."""
        return ["extra_info"] if self.difficulty == "question" else []

    def coefficients_of(
        self, dataset: str, extra_info: Mapping[str, Any] | None = None
    ) -> Coefficients:
        """The coefficients of a dataset, or with difficulty "question" those of one question.

        Args:
            dataset: its tag.
            extra_info: of the question's row; None asks for the dataset's.

        Raises:
            ConfigurationError: the dataset has none, and there is no default; or with difficulty
                "question" the dataset or the row was not measured.
        """
        try:
            found = find_coefficients(dataset, self.coefficients, self._default)
            if self.difficulty == "dataset" or extra_info is None:
                return found
            reference = find_reference(dataset, self.coefficients)
            if reference is None:
                return found
            return question_coefficients(found, read_statistics(extra_info, dataset), reference)
        except (OSError, ValueError) as error:
            raise self.end(str(error)) from error

    def end(self, reason: str) -> ConfigurationError:
        """Note that no later sample may be scored; returns the error to raise."""
        error = ConfigurationError(reason)
        self._ended = self._ended or error
        return error

    def _see(self, sample: Sample, judged: JudgedResponse) -> None:
        if judged.verdict is not None:
            self._judged.add(sample.dataset)
        elif judged.reason == UNREADABLE_TRUTH and sample.dataset not in self._judged:
            rows = self._unreadable.setdefault(sample.dataset, set())
            rows.add((sample.question, sample.ground_truth))
            if len(rows) >= UNREADABLE_ROWS:
                raise self.end(
                    f"dataset {sample.dataset!r}: the first {len(rows)} ground truths cannot be "
                    f"read; {judged.error}"
                )


def make_reward(
    options: Mapping[str, Any], reward_router_address: str | None = None
) -> DifficultyReward:
    """The reward that a configuration section names; one object for one configuration.

    Raises:
        ConfigurationError: an option that does not exist or was replaced, or as `DifficultyReward`.
    """
    for name in options:
        if name in _REPLACED:
            raise ConfigurationError(
                f"the option {name} was replaced: set {_REPLACED[name]} to a scheme's "
                "name or to a YAML file"
            )
        if name not in _OPTIONS:
            raise ConfigurationError(
                f"the reward has no option {name!r}: it has {', '.join(_OPTIONS)}"
            )
    expert = options.get("expert")
    if expert is None:
        raise ConfigurationError(_NO_EXPERT)
    own = expert if not isinstance(expert, str | Mapping) else None
    described = {name: value for name, value in options.items() if own is None or name != "expert"}
    try:
        described = plain(described, keep_none=True)
    except TypeError as error:
        raise ConfigurationError(f"the reward's options hold {error}") from error
    return _made(json.dumps(described, sort_keys=True), own, reward_router_address)


_OPTIONS = ("expert", "rule", "coefficients", "default_coefficients", "thinking", "difficulty")


@lru_cache(maxsize=32)
def _made(options: str, own: Expert | None, router: str | None) -> DifficultyReward:
    described = json.loads(options)
    return DifficultyReward(**({"expert": own} | described), reward_router_address=router)


@lru_cache(maxsize=32)
def _made_expert(options: str) -> Expert:
    return make_expert(json.loads(options))


def expert_for(
    config: str | Mapping[str, Any] | Expert, reward_router_address: str | None = None
) -> Expert:
    """The expert that a configuration names, one object for one configuration; an expert is itself.

    Where verl serves a reward model, an "openai" expert without ``base_url`` asks that model.

    Raises:
        ValueError: as `expert.make_expert`.
    """
    if not isinstance(config, str | Mapping):
        return config
    options = {"kind": config} if isinstance(config, str) else plain(config, keep_none=True)
    served = reward_router_address is not None and options.get("base_url") is None
    if options.get("kind") == "openai" and served:
        options["base_url"] = f"http://{reward_router_address}/v1"
        # Its port is drawn anew in each run: verdicts kept under it would be paid for again.
        options.setdefault("server", "verl")
    return _made_expert(json.dumps(options, sort_keys=True))


def _read_default(given: Mapping[str, float] | Coefficients | None) -> Coefficients | None:
    if given is None or isinstance(given, Coefficients):
        return given
    try:
        return Coefficients(**plain(given))
    except TypeError as error:
        raise ValueError("default_coefficients needs alpha, beta, gamma and delta") from error


def _read_thinking(tags: Sequence[str] | None) -> tuple[str, str] | None:
    if tags is None:
        return None
    if isinstance(tags, str) or len(tags) != 2 or not all(isinstance(t, str) and t for t in tags):
        raise ValueError(f"thinking needs an opening and a closing tag, got {tags!r}")
    return tags[0], tags[1]
