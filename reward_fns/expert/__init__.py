"""The expert: the one layer that every question to a judge goes through.

    expert = make_expert({"kind": "openai", "model": "gpt-4o", "cache": "verdicts"})
    request = AnswerRequest(question, "QA", claims, response, ground_truth, (image,))
    verdict = await expert.ask(request)

What can be asked stands in `requests`, how it fails in `errors`, what a configuration may hold in
`factory`. A served model is asked through `modes` (order of claims, one call or N + 1), `cache`
(nothing twice), `served` (`forms`, `limits`, `retry`, `transport`), and counted by `stats`. The
other back ends are `oracle` and `replay`. Commands: ``python -m reward_fns.expert --help``.
"""

from reward_fns.expert.errors import BudgetExhausted, ExpertError, FatalExpertError
from reward_fns.expert.factory import make_expert
from reward_fns.expert.protocol import Expert, VersionedExpert
from reward_fns.expert.requests import (
    PAIR_LABELS,
    TASKS,
    AnswerRequest,
    AnswerVerdict,
    ClaimRequest,
    ClaimVerdict,
    EntitiesRequest,
    EntitiesVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    ObjectsRequest,
    ObjectsVerdict,
    OverallRequest,
    OverallVerdict,
    PairRequest,
    PairVerdict,
    Request,
    RubricRequest,
    RubricVerdict,
    Source,
    Usage,
    Verdict,
)
from reward_fns.expert.stats import Stats, stats_of

__all__ = [
    "PAIR_LABELS",
    "TASKS",
    "AnswerRequest",
    "AnswerVerdict",
    "BudgetExhausted",
    "ClaimRequest",
    "ClaimVerdict",
    "EntitiesRequest",
    "EntitiesVerdict",
    "Expert",
    "ExpertError",
    "FactQuestionRequest",
    "FactQuestionVerdict",
    "FactRequest",
    "FactVerdict",
    "FactsRequest",
    "FactsVerdict",
    "FatalExpertError",
    "ObjectsRequest",
    "ObjectsVerdict",
    "OverallRequest",
    "OverallVerdict",
    "PairRequest",
    "PairVerdict",
    "Request",
    "RubricRequest",
    "RubricVerdict",
    "Source",
    "Stats",
    "Usage",
    "Verdict",
    "VersionedExpert",
    "make_expert",
    "stats_of",
]
