"""From a response to its reward: the one path that the reward function, the reward manager and
the evaluation share.
"""

from dataclasses import dataclass

from reward_fns.claims import ParsedResponse, numbered_list, parse_response
from reward_fns.difficulty import Coefficients
from reward_fns.expert import AnswerRequest, AnswerVerdict, Expert, ExpertError, FatalExpertError
from reward_fns.scoring import score

REWARD_KEYS = (
    "score",
    "acc",
    "confidence",
    "factuality",
    "alignment",
    "consistency",
    "penalty",
    "well_formed",
    "n_claims",
    "n_sure",
    "expert_failed",
)
"""Keys of `reward_dict`, the same for every sample (verl takes the first sample's keys for all)."""

NO_CONFIDENCE = -1.0
"""Stands for a confidence that could not be read: verl averages these values,
so NaN is not allowed.
"""


@dataclass(frozen=True)
class JudgedResponse:
    """A response with the expert's verdict.

    Attributes:
        parsed: the response as read.
        verdict: the expert's verdict; None if there was nothing to judge, or the expert failed.
        error: why the expert failed; None if it did not.
        fatal: no later request can succeed either (`FatalExpertError`): the run has to end.
        reason: the error in a short word (`ExpertError.reason`); None if there is none.
    """

    parsed: ParsedResponse
    verdict: AnswerVerdict | None
    error: str | None
    fatal: bool = False
    reason: str | None = None

    @property
    def correct(self) -> float:
        """The expert's overall verdict in [0, 1]; 0 where there is none, so for a
        list that is not whole.
        """
        return self.verdict.overall if self.verdict is not None else 0.0


def _check(verdict: AnswerVerdict, n_claims: int) -> None:
    if len(verdict.claim_labels) != n_claims:
        raise ExpertError(
            f"{verdict.source.model} labelled {len(verdict.claim_labels)} of {n_claims} claims"
        )
    if any(label not in (0, 1) for label in verdict.claim_labels) or not 0 <= verdict.overall <= 1:
        raise ExpertError(
            f"{verdict.source.model} gave a verdict out of range: "
            f"{verdict.claim_labels}, {verdict.overall}"
        )


async def judge_answer(
    *,
    parsed: ParsedResponse,
    claims: tuple[str, ...],
    answer: str,
    question: str,
    task: str,
    ground_truth: str | None,
    images: tuple[bytes, ...] = (),
    expert: Expert,
) -> JudgedResponse:
    """The expert's verdict on claims and on the answer as a whole.

    Never raises for what the expert does: whatever goes wrong in it, wrong label counts included,
    becomes `error`, because verl leaves out a sample whose reward raises.

    Args:
        claims: texts to label, (N,); () asks for the overall verdict only.
        answer: what the judge is shown of the whole, without tags and confidence: how sure
            the model says it is must not sway the judge, and answers that differ only in
            that are one question to it.
    """
    try:
        request = AnswerRequest(question, task, claims, answer, ground_truth, images)
        verdict = await expert.ask(request)
        _check(verdict, len(claims))
    except Exception as error:
        fatal = isinstance(error, FatalExpertError)
        reason = error.reason if isinstance(error, ExpertError) else "other"
        return JudgedResponse(parsed, None, f"{type(error).__name__}: {error}", fatal, reason)
    return JudgedResponse(parsed, verdict, None)


async def judge_response(
    *,
    response: str,
    question: str,
    task: str,
    ground_truth: str | None,
    images: tuple[bytes, ...] = (),
    expert: Expert,
    thinking: tuple[str, str] | None = None,
) -> JudgedResponse:
    """Parse a response and have its claims judged; see `judge_answer`.

    A response whose list is not whole (`ParsedResponse.list_is_whole`) is not sent to the expert:
    it earns the lower bound whatever it says, and a part of it must not be judged for the whole.
    One that lacks only a readable confidence is judged, for its accuracy.

    Args:
        thinking: tags of a thinking block to leave out, see `claims.parse_response`.
    """
    parsed = parse_response(response, thinking)
    if not parsed.list_is_whole:
        return JudgedResponse(parsed, None, None)
    texts = tuple(claim.text for claim in parsed.claims)
    return await judge_answer(
        parsed=parsed,
        claims=texts,
        answer=numbered_list(texts),
        question=question,
        task=task,
        ground_truth=ground_truth,
        images=images,
        expert=expert,
    )


def reward_dict(
    judged: JudgedResponse, coefficients: Coefficients, rule: str = "paper"
) -> dict[str, float]:
    """The reward and what it is made of, under the keys `REWARD_KEYS`, all finite floats.

    score: the total (Algorithm 1); factuality, alignment, consistency, penalty: its terms,
    which sum to it. acc: the expert's overall verdict in [0, 1], 0 if there is none.
    confidence: in [0, 1], or -1 if there is none. well_formed, expert_failed: 0 or 1.
    n_claims: number of claims read; n_sure: those of them tagged "I'm sure.".
    Expert failure: expert_failed is 1, and score and terms of a well-formed response are all 0,
    which is not a judgement: the caller has to leave the sample out or count it. A malformed
    response earns the lower bound with or without an expert.

    Raises:
        ValueError: unknown rule.
    """
    parsed, verdict = judged.parsed, judged.verdict
    terms = dict.fromkeys(("score", "factuality", "alignment", "consistency", "penalty"), 0.0)
    if verdict is not None or not parsed.well_formed:
        labels = verdict.claim_labels if verdict is not None else ()
        breakdown = score(parsed, labels, judged.correct, coefficients, rule)
        terms = {
            "score": breakdown.total,
            "factuality": breakdown.factuality,
            "alignment": breakdown.alignment,
            "consistency": breakdown.consistency,
            "penalty": breakdown.penalty,
        }
    values = terms | {
        "acc": judged.correct,
        "confidence": NO_CONFIDENCE if parsed.confidence is None else parsed.confidence,
        "well_formed": parsed.well_formed,
        "n_claims": len(parsed.claims),
        "n_sure": sum(claim.sure for claim in parsed.claims),
        "expert_failed": judged.error is not None,
    }
    return {key: float(values[key]) for key in REWARD_KEYS}
