"""The exact expert, for data whose generator knows the truth. Ground truth is a JSON
string (written by data_prep):

    {"task": "QA", "facts": ["The digit is 7."]}
        every accepted wording of the one true answer
    {"task": "Detail", "facts": ["A red 3 is at the top left."]}
        every fact; "n_facts" overrides their number

It compares normalised texts (`claims.normalise`) and answers three kinds of request:

    AnswerRequest  a claim is true iff it is one of the facts. Overall: QA 1 iff there is a
                   claim and all are true; Detail (distinct true claims) / max(distinct
                   claims, number of facts): a fact left out is missed. Without claims the
                   answer's `statements` are judged
    FactRequest    whether the fact is one of the facts, whatever a model answered
    FactsRequest   the answer's `statements`
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from reward_fns.claims import normalise
from reward_fns.expert.errors import ExpertError
from reward_fns.expert.requests import (
    TASKS,
    AnswerRequest,
    AnswerVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    Request,
    Source,
    V,
)
from reward_fns.lenient import statements

UNREADABLE_TRUTH = "ground truth"
"""`ExpertError.reason` for a ground truth that is not of the expert's form: the data's fault."""

_SOURCE = Source("oracle")


@dataclass(frozen=True)
class _GroundTruth:
    task: str
    facts: frozenset[str]
    n_facts: int


def _read_ground_truth(ground_truth: str | None, question: str, default_task: str) -> _GroundTruth:
    """The oracle's ground truth.

    Raises:
        ExpertError: not JSON of the documented form; names the question and, since errors
            are logged, not the truth.
    """

    def unreadable(reason: str) -> ExpertError:
        return ExpertError(
            f"ground truth of question {question[:80]!r} is not readable ({reason}): "
            'the oracle needs JSON like {"task": "QA", "facts": ["..."]}; for references of '
            "another form name a judge, as expert={kind: openai, model: ...}",
            UNREADABLE_TRUTH,
        )

    try:
        content = json.loads(ground_truth or "")
    except (ValueError, TypeError, RecursionError) as error:
        raise unreadable("no JSON") from error
    if not isinstance(content, dict):
        raise unreadable("no JSON object")
    task, facts = content.get("task", default_task), content.get("facts")
    if task not in TASKS:
        raise unreadable("no task QA or Detail")
    if (
        not isinstance(facts, list)
        or not facts
        or not all(isinstance(fact, str) and normalise(fact) for fact in facts)
    ):
        raise unreadable("no list of facts")
    distinct = frozenset(map(normalise, facts))
    n_facts = content.get("n_facts", 1 if task == "QA" else len(distinct))
    if type(n_facts) is not int or n_facts < 1:
        raise unreadable("n_facts is no number above 0")
    return _GroundTruth(task, distinct, n_facts)


def _answer(request: AnswerRequest) -> AnswerVerdict:
    truth = _read_ground_truth(request.ground_truth, request.question, request.task)
    texts = [normalise(text) for text in request.claims or statements(request.response)]
    labels = [int(text in truth.facts) for text in texts]
    if truth.task == "QA":
        overall = float(bool(labels) and all(labels))
    else:
        distinct = set(texts)
        overall = len(distinct & truth.facts) / max(len(distinct), truth.n_facts)
    return AnswerVerdict(tuple(labels[: len(request.claims)]), overall, _SOURCE)


def _fact(request: FactRequest) -> FactVerdict:
    truth = _read_ground_truth(request.ground_truth, request.question, "QA")
    return FactVerdict(normalise(request.fact) in truth.facts, _SOURCE)


def _facts(request: FactsRequest) -> FactsVerdict:
    return FactsVerdict(statements(request.response), _SOURCE)


_ANSWERS: dict[type, Callable[[Any], Any]] = {
    AnswerRequest: _answer,
    FactRequest: _fact,
    FactsRequest: _facts,
}


class OracleExpert:
    """Exact expert for data whose generator knows the truth; see the module docstring."""

    name = "oracle"

    def check(self, ground_truth: str | None, question: str, task: str) -> None:
        """Whether it can read a reference, before anybody answers the question.

        Raises:
            ExpertError: it cannot.
        """
        _read_ground_truth(ground_truth, question, task)

    async def ask(self, request: Request[V]) -> V:
        """The exact verdict.

        Raises:
            ExpertError: the request's ground truth is not of the documented form, or
                a kind it cannot answer.
        """
        answer = _ANSWERS.get(type(request))
        if answer is None:
            raise ExpertError(
                f"the oracle answers no {type(request).__name__}: name an expert that does", "kind"
            )
        return cast(V, answer(request))
