"""Whether an answer is right: the expert's verdict, or the dataset's own rule.

expert   the reward's own path (`reward_fns.judging`): claims are parsed and labelled one by one, the answer as a whole
         is judged as well. An answer without readable claims is wrong.
dataset  `reward_fns.accuracy` for the datasets that have a rule there and reference answers in the questions: what the
         answer says is compared with the references. The claims stay unlabelled. All other datasets go to the expert.
         These rules are for answers of a few words: whole sentences equal no reference.
"""

from dataclasses import dataclass

from data_prep.verl_rows import Question
from eval.protocols.consistency import said
from reward_fns.accuracy import RULES
from reward_fns.claims import ParsedResponse, parse_response
from reward_fns.expert import Expert
from reward_fns.judging import judge_response

CORRECTNESS = ("expert", "dataset")


@dataclass(frozen=True)
class Judgement:
    """A response with its verdict.

    Attributes:
        claim_labels: 0 or 1 for each claim, () if the whole was judged alone.
        judge, version: who judged, and the version of its prompt or rule.
        error: why there is no verdict; None if there is one.
        fatal: no later request can succeed either.
    """

    parsed: ParsedResponse
    correct: float
    claim_labels: tuple[int, ...]
    judge: str
    version: str
    error: str | None = None
    fatal: bool = False


async def judge(question: Question, response: str, expert: Expert, correctness: str) -> Judgement:
    """The verdict on a response; never raises for what the expert does."""
    rule = RULES.get(question.dataset) if correctness == "dataset" and question.answers else None
    if rule is not None:
        verdict = rule(said(response), question.answers)
        return Judgement(parse_response(response), verdict, (), f"rule {rule.__name__}", "")
    judged = await judge_response(
        response=response,
        question=question.question,
        task=question.task,
        ground_truth=question.ground_truth,
        images=(question.image,) if question.image is not None else (),
        expert=expert,
    )
    source = judged.verdict.source if judged.verdict is not None else None
    return Judgement(
        parsed=judged.parsed,
        correct=judged.correct,
        claim_labels=judged.verdict.claim_labels if judged.verdict is not None else (),
        judge=source.model if source is not None else expert.name,
        version=source.prompt_version if source is not None else "",
        error=judged.error,
        fatal=judged.fatal,
    )
