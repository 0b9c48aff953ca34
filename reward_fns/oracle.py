"""The exact expert, for data whose generator knows the truth. Ground truth is a JSON string (written by data_prep):

{"task": "QA", "facts": ["The digit is 7."]}                every accepted wording of the one true answer
{"task": "Detail", "facts": ["A red 3 is at the top left."]}   every fact; "n_facts" overrides their number
"""

import json
from dataclasses import dataclass

from reward_fns.claims import normalise
from reward_fns.expert_protocol import TASKS, ExpertError, ExpertRequest, ExpertVerdict


@dataclass(frozen=True)
class _GroundTruth:
    task: str
    facts: frozenset[str]
    n_facts: int


def _read_ground_truth(request: ExpertRequest) -> _GroundTruth:
    """The oracle's ground truth.

    Raises:
        ExpertError: not JSON of the documented form; names the question.
    """

    def unreadable(reason: str) -> ExpertError:
        return ExpertError(
            f"ground truth of question {request.question[:80]!r} is not readable ({reason}): "
            f'the oracle needs JSON like {{"task": "QA", "facts": ["..."]}}, got {str(request.ground_truth)[:80]!r}'
        )

    try:
        content = json.loads(request.ground_truth or "")
    except (ValueError, RecursionError) as error:
        raise unreadable("no JSON") from error
    if not isinstance(content, dict):
        raise unreadable("no JSON object")
    task, facts = content.get("task", request.task), content.get("facts")
    if task not in TASKS:
        raise unreadable(f"task {task!r}")
    if not isinstance(facts, list) or not facts or not all(isinstance(fact, str) and normalise(fact) for fact in facts):
        raise unreadable("no list of facts")
    distinct = frozenset(map(normalise, facts))
    n_facts = content.get("n_facts", 1 if task == "QA" else len(distinct))
    if type(n_facts) is not int or n_facts < 1:
        raise unreadable(f"n_facts {n_facts!r}")
    return _GroundTruth(task, distinct, n_facts)


class OracleExpert:
    """Exact expert for data whose generator knows the truth.

    A claim is true iff its normalised text is one of the normalised facts. Overall: QA 1 iff there is a claim and all
    are true; Detail (distinct true claims) / max(distinct claims, number of facts): a fact left out counts as missed.
    """

    name = "oracle"

    async def judge(self, request: ExpertRequest) -> ExpertVerdict:
        """The exact verdict.

        Raises:
            ExpertError: the request's ground truth is not of the documented form.
        """
        truth = _read_ground_truth(request)
        texts = [normalise(claim) for claim in request.claims]
        labels = tuple(int(text in truth.facts) for text in texts)
        if truth.task == "QA":
            overall = float(bool(labels) and all(labels))
        else:
            distinct = set(texts)
            overall = len(distinct & truth.facts) / max(len(distinct), truth.n_facts)
        return ExpertVerdict(labels, overall, self.name)
