"""Whether an answer is right: the expert's verdict, or the dataset's own rule.

expert   An answer whose list is whole goes the reward's own way (`reward_fns.judging`): its claims
         are labelled one by one, and it is judged as a whole. Any other answer is judged as a
         whole by what it says (`reward_fns.lenient`): a model that was never taught the format is
         not wrong for it. Only an answer that says nothing is wrong unasked.
dataset  `reward_fns.accuracy` for the datasets that have a rule there and reference answers in the
         questions: what the answer says is compared with the references. The claims stay
         unlabelled. All other datasets go to the expert. These rules are for answers of a few
         words: whole sentences equal no reference.
"""

from dataclasses import dataclass

from data_prep.verl_rows import Question
from reward_fns.accuracy import RULES
from reward_fns.claims import ParsedResponse, parse_response
from reward_fns.expert import Expert
from reward_fns.judging import judge_answer, judge_response
from reward_fns.lenient import LenientReading, read_leniently, running_text

CORRECTNESS = ("expert", "dataset")
UNASKED = "none: the answer says nothing"
"""Stands for the judge of an answer that holds no statement."""


@dataclass(frozen=True)
class Judgement:
    """A response with its verdict.

    Attributes:
        parsed: the strict reading.
        lenient: the lenient one; None where the strict reading was enough.
        claim_labels: 0 or 1 for each claim, () if the whole was judged alone.
        judge, version: who judged, and the version of its prompt or rule.
        error: why there is no verdict; None if there is one. reason: in a short word.
        fatal: no later request can succeed either.
    """

    parsed: ParsedResponse
    correct: float
    claim_labels: tuple[int, ...]
    judge: str
    version: str
    error: str | None = None
    fatal: bool = False
    lenient: LenientReading | None = None
    reason: str | None = None

    @property
    def confidence(self) -> float | None:
        """The confidence that the response states, by the strict reading,
        else by the lenient one.
        """
        if self.parsed.confidence is not None or self.lenient is None:
            return self.parsed.confidence
        return self.lenient.confidence


async def judge(
    question: Question,
    response: str,
    expert: Expert,
    correctness: str,
    thinking: tuple[str, str] | None = None,
) -> Judgement:
    """The verdict on a response; never raises for what the expert does.

    Args:
        thinking: tags of a thinking block that belongs to no answer, see `claims.parse_response`.
    """
    parsed = parse_response(response, thinking)
    lenient = None if parsed.well_formed else read_leniently(response)
    rule = RULES.get(question.dataset) if correctness == "dataset" and question.answers else None
    if rule is not None:
        verdict = rule(running_text(response), question.answers)
        return Judgement(parsed, verdict, (), f"rule {rule.__name__}", "", lenient=lenient)
    images = () if question.image is None else (question.image,)
    if lenient is None or parsed.list_is_whole:
        judged = await judge_response(
            response=response,
            question=question.question,
            task=question.task,
            ground_truth=question.ground_truth,
            images=images,
            expert=expert,
            thinking=thinking,
        )
    elif lenient.said:
        judged = await judge_answer(
            parsed=parsed,
            claims=(),
            answer=lenient.said,
            question=question.question,
            task=question.task,
            ground_truth=question.ground_truth,
            images=images,
            expert=expert,
        )
    else:
        return Judgement(parsed, 0.0, (), UNASKED, "", lenient=lenient)
    source = judged.verdict.source if judged.verdict is not None else None
    return Judgement(
        parsed=parsed,
        correct=judged.correct,
        claim_labels=judged.verdict.claim_labels if judged.verdict is not None else (),
        judge=source.model if source is not None else expert.name,
        version=source.prompt_version if source is not None else "",
        error=judged.error,
        fatal=judged.fatal,
        lenient=lenient,
        reason=judged.reason,
    )
