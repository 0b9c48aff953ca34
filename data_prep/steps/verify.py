"""Step `verify`: self-verification (paper 3.1). The model votes on each of its
candidate answers, ten times.

The vote is the first word of its reply to the prompt `self_verification`: Yes or True, No
or False; anything else is no vote. Equal candidates of a question are verified once. Two
modes with the same records:

    sampled    ten replies are generated at temperature 1 (the paper's way)
    marginal   one scoring pass gives P(True) = p / (p + q), p = P(Yes) + P(True),
               q = P(No) + P(False): the chance that a reply votes True, given that it votes.
               Ten votes are drawn from Binomial(10, P(True)), seeded by what is voted on
               (`rule: drawn`), or the majority is taken in closed form (`rule: closed`)

A candidate is True if more than half of its votes are, closed form P(True) > 1/2: a tie is False,
since an answer that the model doubts as much as it believes is not confirmed. Without any vote,
closed form p + q = 0, the verdict is null.

    mass   share of replies that are a vote: votes / replies asked for, or p + q; in [0, 1]
    p_true votes for True / votes, or P(True); null without any vote
    votes  their number; true_votes: those for True, in closed form the expected number (not whole)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.ask_model import Refused, ask, image_request
from data_prep.engines import Completion, GenerationRequest, Sampling
from data_prep.engines.first_token import TOP_LOGPROBS, word_probabilities
from data_prep.questions import SourceQuestion, UnreadableImage, image_bytes
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, Record, join
from reward_fns import prompts

MODES, RULES = ("marginal", "sampled"), ("drawn", "closed")
VOTE = {"yes": True, "true": True, "no": False, "false": False}
_FIRST_WORD = re.compile(r"\W*(\w+)")
_MAX_TOKENS = 8  # the first word stands within them, whatever the tokenizer


@dataclass(frozen=True)
class VerifyConfig:
    """How the model votes.

    Attributes:
        mode: "marginal" or "sampled".
        rule: of the mode marginal: "drawn" or "closed".
        votes: for each candidate, 1 or more.
        batch: questions at a time.

    Raises:
        ValueError: a value out of range.
    """

    mode: str = "marginal"
    rule: str = "drawn"
    votes: int = 10
    batch: int = 64

    def __post_init__(self) -> None:
        if self.mode not in MODES or self.rule not in RULES:
            raise ValueError(
                f"verify.mode is one of {MODES}, verify.rule one of {RULES}: got "
                f"{self.mode}, {self.rule}"
            )
        if self.votes < 1 or self.batch < 1:
            raise ValueError(
                f"verify.votes and verify.batch must be at least 1, got {self.votes}, {self.batch}"
            )

    def sampling(self) -> Sampling:
        """As the model is asked."""
        if self.mode == "sampled":
            return Sampling(1.0, _MAX_TOKENS, self.votes)
        return Sampling(0.0, 1, 1, TOP_LOGPROBS)


def identity(context: Context, settings: VerifyConfig) -> Mapping[str, Any]:
    """The weights that vote, and the wording."""
    return {"model": context.engine().fingerprint, "prompt": prompts.template("self_verification")}


def run(context: Context, settings: VerifyConfig) -> Counts:
    """Write `votes.jsonl`."""
    log = context.log()
    sampled = (
        (q, c)
        for q, (c,) in join(context.questions(), context.run / "candidates.jsonl")
        if c is not None
    )
    for chunk in context.progress(log, log.chunks(sampled, settings.batch)):
        log.write(_verify(context, chunk, settings))
    return log.finish()


def _verify(
    context: Context, chunk: Sequence[tuple[SourceQuestion, Record]], settings: VerifyConfig
) -> list[Record | Failure]:
    requests: list[GenerationRequest] = []
    unreadable: dict[str, Failure] = {}
    for question, record in chunk:
        try:
            image = image_bytes(question)
        except UnreadableImage as error:
            failure = Failure(
                question.dataset, question.question_id, "unreadable image", str(error)
            )
            unreadable[question.question_id] = failure
            continue
        for candidate in record["candidates"]:
            text = prompts.render(
                "self_verification", question=question.question, answer=candidate["text"]
            )
            requests.append(
                image_request(text, image, context.seed(question.question_id, candidate["text"]))
            )
    replies = iter(zip(requests, ask(context.engine(), requests, settings.sampling()), strict=True))
    return [
        unreadable.get(question.question_id)
        or _record(question, record["candidates"], replies, settings)
        for question, record in chunk
    ]


def _record(
    question: SourceQuestion,
    candidates: Sequence[Mapping[str, Any]],
    replies: Iterator[tuple[GenerationRequest, list[Completion] | Refused]],
    settings: VerifyConfig,
) -> Record | Failure:
    votes, refused = [], None
    for candidate in candidates:
        request, answer = next(replies)
        if isinstance(answer, Refused):
            refused = answer
            counted = no_vote()
        else:
            counted = count(answer, request.seed, settings)
        votes.append({"text": candidate["text"], "count": candidate["count"], **counted})
    if refused is not None and all(vote["verdict"] is None for vote in votes):
        return Failure(
            question.dataset, question.question_id, "refused by the model", refused.reason
        )
    return {"question_id": question.question_id, "dataset": question.dataset, "votes": votes}


def no_vote() -> dict[str, Any]:
    """The fields of a candidate that got no vote."""
    return {"p_true": None, "mass": 0.0, "true_votes": 0, "votes": 0, "verdict": None}


def count(replies: Sequence[Completion], seed: int, settings: VerifyConfig) -> dict[str, Any]:
    """The vote on one candidate: p_true, mass, true_votes, votes, verdict."""
    if settings.mode == "sampled":
        votes = [vote for vote in (read_vote(reply.text) for reply in replies) if vote is not None]
        if not votes:
            return no_vote()
        return _tally(sum(votes) / len(votes), len(votes) / len(replies), sum(votes), len(votes))
    chances = word_probabilities(replies[0].tokens[0].top, VOTE)
    p = sum(chances[word] for word, vote in VOTE.items() if vote)
    mass = sum(chances.values())
    if mass == 0:
        return no_vote()
    # Rounded first, so that a record gives the same draw as the run that wrote it.
    p_true = round(p / mass, 4)
    if settings.rule == "closed":
        return _tally(p_true, mass, round(settings.votes * p_true, 4), settings.votes)
    drawn = int(np.random.default_rng(seed).binomial(settings.votes, p_true))
    return _tally(p_true, mass, drawn, settings.votes)


def _tally(p_true: float, mass: float, true_votes: float, votes: int) -> dict[str, Any]:
    return {
        "p_true": round(p_true, 4),
        "mass": round(mass, 4),
        "true_votes": true_votes,
        "votes": votes,
        "verdict": 2 * true_votes > votes,
    }


def read_vote(reply: str) -> bool | None:
    """The vote in a reply: its first word, in any case.

    >>> read_vote(" Yes."), read_vote("False!"), read_vote("Perhaps")
    (True, False, None)
    """
    word = _FIRST_WORD.match(reply)
    return VOTE.get(word[1].casefold()) if word else None
