"""What an expert is asked and what it answers: one frozen dataclass for each kind of
question and its verdict.

`Request[V]` is a question whose answer is a V, so that ``await expert.ask(request)`` has
the verdict's type. Everywhere `images` are encoded files of any format that Pillow
reads, in the prompt's order, and `ground_truth` is the reference in the dataset's own
form, None if there is none.

    AnswerRequest        claims of an answer, and the answer as a whole reward, evaluation
    ClaimRequest         one claim of it alone (Algorithm 1's call)     mode per_claim
    OverallRequest       the answer as a whole alone                    mode per_claim
    PairRequest          how a better and a worse answer relate         stage one
    FactRequest          does a model's answer support an atomic fact   A.3
    FactsRequest         the atomic facts of an answer                  A.3
    FactQuestionRequest  a fact rewritten as a question                 A.3, A.8
    EntitiesRequest      named entities of a text                       A.8
    ObjectsRequest       visible objects that a text mentions           Object HalBench
    RubricRequest        a score by a rubric                            hallucination judges

The verdict of an `XRequest` is an `XVerdict`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TASKS = ("QA", "Detail")
PAIR_LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Usage:
    """What a verdict cost: calls that were sent, those of them that were retries, tokens, and
    money by the price table.

    All zero for a verdict that was not paid for: out of the cache, or shared
    with one who asked the same.
    """

    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.retries + other.retries,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


@dataclass(frozen=True)
class Source:
    """Where a verdict comes from.

    Attributes:
        model: identity of who judged, as the server states it.
        prompt_version: digest of the instructions; "" for an expert without.
        usage: what was paid for it now.
        cached: nothing was paid: it came out of the cache, or from an identical request in flight.
    """

    model: str
    prompt_version: str = ""
    usage: Usage = Usage()
    cached: bool = False


class Verdict:
    """Base of all verdicts."""

    source: Source


V = TypeVar("V", bound=Verdict)


class Request(Generic[V]):
    """Base of all requests: a question whose answer is a V."""


@dataclass(frozen=True)
class AnswerVerdict(Verdict):
    """Labels of the claims, (N,) of 0 or 1 in their order, and the overall verdict in
    [0, 1] (0 or 1 for QA).
    """

    claim_labels: tuple[int, ...]
    overall: float
    source: Source


@dataclass(frozen=True)
class AnswerRequest(Request[AnswerVerdict]):
    """One answer to judge.

    Attributes:
        question: the question as the model saw it, without format instruction.
        task: "QA" or "Detail".
        claims: texts of the claims, (N,); N = 0 asks for the overall verdict only.
        response: the whole answer; it should state neither tags nor a confidence, which are
            no matter of the judge's.
    """

    question: str
    task: str
    claims: tuple[str, ...]
    response: str
    ground_truth: str | None = None
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class ClaimVerdict(Verdict):
    """Label of one claim, 0 or 1."""

    label: int
    source: Source


@dataclass(frozen=True)
class ClaimRequest(Request[ClaimVerdict]):
    """One claim of an answer; `response` is the answer that it is part of, for what
    its pronouns refer to.
    """

    question: str
    task: str
    claim: str
    response: str
    ground_truth: str | None = None
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class OverallVerdict(Verdict):
    """Overall verdict in [0, 1], 0 or 1 for QA."""

    overall: float
    source: Source


@dataclass(frozen=True)
class OverallRequest(Request[OverallVerdict]):
    """An answer as a whole."""

    question: str
    task: str
    response: str
    ground_truth: str | None = None
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class PairVerdict(Verdict):
    """One of `PAIR_LABELS`: the worse answer agrees with the better one, neither agrees nor
    conflicts, or conflicts.
    """

    label: str
    source: Source


@dataclass(frozen=True)
class PairRequest(Request[PairVerdict]):
    """A better and a worse answer to one question (stage one, "Contradiction Detection" of A.8)."""

    question: str
    task: str
    better: str
    worse: str
    ground_truth: str | None = None
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class FactVerdict(Verdict):
    """Whether the fact is supported."""

    true: bool
    source: Source


@dataclass(frozen=True)
class FactRequest(Request[FactVerdict]):
    """A fact that was rewritten as `question`, to which the model under study
    answered `answer` (A.3).
    """

    fact: str
    question: str
    answer: str
    ground_truth: str | None = None
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class FactsVerdict(Verdict):
    """Atomic facts of an answer, in its order."""

    facts: tuple[str, ...]
    source: Source


@dataclass(frozen=True)
class FactsRequest(Request[FactsVerdict]):
    """An answer to take apart into atomic facts (A.3)."""

    question: str
    response: str
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class FactQuestionVerdict(Verdict):
    """The question that asks for the fact without giving it away."""

    question: str
    source: Source


@dataclass(frozen=True)
class FactQuestionRequest(Request[FactQuestionVerdict]):
    """A fact to rewrite as a question (A.3, "Question Transform" of A.8)."""

    fact: str


@dataclass(frozen=True)
class EntitiesVerdict(Verdict):
    """Named entities in order of appearance, repetitions included."""

    entities: tuple[str, ...]
    source: Source


@dataclass(frozen=True)
class EntitiesRequest(Request[EntitiesVerdict]):
    """A text whose named entities are wanted ("NER Extraction" of A.8)."""

    text: str


@dataclass(frozen=True)
class ObjectsVerdict(Verdict):
    """Names of objects in the order of the text, repetitions included."""

    objects: tuple[str, ...]
    source: Source


@dataclass(frozen=True)
class ObjectsRequest(Request[ObjectsVerdict]):
    """A description of an image whose objects are wanted: things that it says can be seen."""

    text: str


@dataclass(frozen=True)
class RubricVerdict(Verdict):
    """Score on the rubric's scale."""

    score: int
    source: Source


@dataclass(frozen=True)
class RubricRequest(Request[RubricVerdict]):
    """A score by a rubric.

    Attributes:
        rubric: name of a prompt template (`reward_fns.prompts`) that explains the scale; how
            to reply is added to it.
        values: its placeholders; all are quoted as JSON strings.
        lowest, highest: ends of the scale, both included.
    """

    rubric: str
    values: Mapping[str, str] = field(hash=False)
    lowest: int
    highest: int
    images: tuple[bytes, ...] = ()
