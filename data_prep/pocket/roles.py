"""Every expert's role for the pocket datasets, exact or by rule, behind the same
interface as a served model.

Named in a configuration by `data_prep.pocket.roles:PocketExpert`.

    AnswerRequest, FactRequest   the oracle's (`reward_fns.expert.oracle`): exact, by the
                                 generator's ground truth; a fact is judged for itself, whatever
                                 the model answered to its question
    FactsRequest                 the oracle's: the sentences of the answer
    PairRequest                  what the two answers state
                                 (`statements.relation`), not the ground truth
    FactQuestionRequest          the question that the pocket base was trained to answer: by the
                                 place of a fact, or the dataset's own
    EntitiesRequest              the emblems' names; in a text without one, the digits
    RubricRequest                MMHal-Bench's rating, by the statements of answer and
                                 reference (`mmhal_rating`)
"""

from typing import Any, cast

from data_prep.pocket import corpus, datasets, statements
from reward_fns.expert.oracle import OracleExpert
from reward_fns.expert.requests import (
    EntitiesRequest,
    EntitiesVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    PairRequest,
    PairVerdict,
    Request,
    RubricRequest,
    RubricVerdict,
    Source,
    V,
)
from reward_fns.lenient import statements as sentences

VERSION = "pocket-1"
"""Goes up with every change of a rule, so that verdicts of the old one are not reused."""

_SOURCE = Source("pocket", VERSION)


class PocketExpert:
    """Plays all roles. It needs no network and costs nothing."""

    name = "pocket"

    def __init__(self) -> None:
        self._oracle = OracleExpert()

    def prompt_version(self, request: Request[Any]) -> str:
        """The version of the rules."""
        return VERSION

    async def ask(self, request: Request[V]) -> V:
        """The verdict.

        Raises:
            ExpertError: a request that has no rule here, or a
                ground truth that the oracle cannot read.
        """
        verdict = _by_rule(request)
        return await self._oracle.ask(request) if verdict is None else cast(V, verdict)


def _by_rule(
    request: Request[Any],
) -> PairVerdict | FactQuestionVerdict | EntitiesVerdict | RubricVerdict | None:
    match request:
        case PairRequest():
            return PairVerdict(
                statements.relation(request.better, request.worse, request.task), _SOURCE
            )
        case FactQuestionRequest():
            return FactQuestionVerdict(question_for(request.fact), _SOURCE)
        case EntitiesRequest():
            return EntitiesVerdict(entities(request.text), _SOURCE)
        case RubricRequest(rubric="mmhal_rating"):
            given = (request.values[name] for name in ("image_content", "reference", "response"))
            return RubricVerdict(mmhal_rating(*given), _SOURCE)
    return None


def question_for(fact: str) -> str:
    """The question that a fact answers. A sentence that is no statement is
    asked for as a whole image.

    >>> question_for("A red 3 is at the top left."), question_for("The digit is 7.")
    ('What is at the top left?', 'Which digit is shown?')
    """
    statement = statements.read(fact)
    if statement is None:
        return datasets.DATASETS["pocket-scene"].questions[0]
    if statement.place is not None:
        return corpus.place_question(statement.place)
    return datasets.DATASETS["pocket-emblem" if statement.emblem else "pocket-digit"].questions[0]


def entities(text: str) -> tuple[str, ...]:
    """Names of emblems in the order of the text; in a text without emblems, the digits.

    >>> entities("A red 3 is at the top left. The emblem of Oslo is at the top right.")
    ('Oslo',)
    """
    said = [read for sentence in sentences(text) if (read := statements.read(sentence)) is not None]
    named = tuple(statement.thing for statement in said if statement.emblem)
    return named or tuple(statement.entity for statement in said)


def mmhal_rating(content: str, reference: str, response: str) -> int:
    """MMHal-Bench's scale by rule: 0 to 2 with a false statement, 3 to 5 without;
    each more the more is told.

    A statement is false if neither the image's facts nor the reference hold it; what is no
    statement counts for nothing. 6 is for reasoning, of which there is none here.

    Args:
        content: the image's facts, joined by ", ".

    >>> mmhal_rating("The digit is 7", "The digit is 7.", "The digit is 7.")
    5
    """
    wanted, said = statements.read_all(reference), statements.read_all(response)
    true = wanted | {read for fact in content.split(", ") if (read := statements.read(fact))}
    told = len(wanted & said)
    information = 2 if told == len(wanted) else int(told > 0)
    return information + (0 if said - true else 3)
