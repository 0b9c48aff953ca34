"""What an expert is asked and what it answers. It labels each claim of an answer, and the answer as a whole."""

from dataclasses import dataclass
from typing import Protocol

TASKS = ("QA", "Detail")


@dataclass(frozen=True)
class ExpertRequest:
    """One answer to judge.

    Attributes:
        question: the question as the model saw it, without format instruction.
        task: "QA" or "Detail".
        claims: texts of the claims, (N,), N >= 1.
        response: the whole response.
        ground_truth: reference in the dataset's own form, None if there is none.
        image: encoded image (PNG, JPEG, ...), None if there is none.
    """

    question: str
    task: str
    claims: tuple[str, ...]
    response: str
    ground_truth: str | None = None
    image: bytes | None = None


@dataclass(frozen=True)
class ExpertVerdict:
    """Labels of the claims, (N,) of 0 or 1 in their order; overall verdict in [0, 1] (0 or 1 for QA); who judged."""

    claim_labels: tuple[int, ...]
    overall: float
    model: str


class ExpertError(Exception):
    """The expert gave no usable verdict. Not the judged model's failure: never to be scored as one."""


class Expert(Protocol):
    """Anything that judges answers. `name` identifies it in records."""

    @property
    def name(self) -> str: ...

    async def judge(self, request: ExpertRequest) -> ExpertVerdict:
        """The verdict on one answer.

        Raises:
            ExpertError: no usable verdict.
        """
        ...
