"""How far one call an answer and Algorithm 1's N + 1 calls give the same
verdicts, and what each costs.

Input is a JSONL file of answers: ``question``, ``task``, ``claims`` (a list), and where there are
any ``response``, ``ground_truth`` and ``image`` (a path, relative to the file). Reported are, over
the answers on which both modes gave a verdict: the share of claims with equal labels and Cohen's
kappa of the labels (chance-corrected; NaN where both modes give one label only), the mean
|difference| of the overall verdicts, and calls and tokens of each mode.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from reward_fns.errors import UserError
from reward_fns.expert.errors import ExpertError, FatalExpertError
from reward_fns.expert.factory import make_expert
from reward_fns.expert.protocol import Expert
from reward_fns.expert.requests import AnswerRequest, AnswerVerdict
from reward_fns.expert.stats import stats_of
from reward_fns.files import read_jsonl


@dataclass(frozen=True)
class Agreement:
    """What `compare` found."""

    answers: int
    failed: int
    claims: int
    equal_labels: float
    kappa: float
    overall_difference: float


def read_answers(path: Path) -> list[AnswerRequest]:
    """The answers of a file.

    Raises:
        UserError: the file or an image is missing, or a record lacks a key (named by its number).
    """
    requests = []
    for number, record in enumerate(read_jsonl(path), start=1):
        try:
            claims = tuple(map(str, record["claims"]))
            images = ((path.parent / record["image"]).read_bytes(),) if record.get("image") else ()
            response = str(record.get("response") or "\n".join(claims))
            truth = record.get("ground_truth")
            requests.append(
                AnswerRequest(record["question"], record["task"], claims, response, truth, images)
            )
        except (KeyError, OSError) as error:
            raise UserError(f"{path} record {number}: {error!r} is missing: add it") from error
    return requests


def kappa(first: Sequence[int], second: Sequence[int]) -> float:
    """Cohen's kappa of two series of 0 and 1 of the same length:
    (observed - expected) / (1 - expected) agreement.
    """
    n = len(first)
    if not n:
        return float("nan")
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    p, q = sum(first) / n, sum(second) / n
    expected = p * q + (1 - p) * (1 - q)
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def compare(
    one_call: Sequence[AnswerVerdict | None], per_claim: Sequence[AnswerVerdict | None]
) -> Agreement:
    """Agreement of the two modes' verdicts on the same answers; None is a failure."""
    both = [
        (a, b) for a, b in zip(one_call, per_claim, strict=True) if a is not None and b is not None
    ]
    first = [label for a, _ in both for label in a.claim_labels]
    second = [label for _, b in both for label in b.claim_labels]
    equal = [a == b for a, b in zip(first, second, strict=True)]
    apart = [abs(a.overall - b.overall) for a, b in both]
    return Agreement(
        answers=len(both),
        failed=len(one_call) - len(both),
        claims=len(first),
        equal_labels=sum(equal) / len(equal) if equal else float("nan"),
        kappa=kappa(first, second),
        overall_difference=sum(apart) / len(apart) if apart else float("nan"),
    )


async def ask_all(
    expert: Expert, requests: Sequence[AnswerRequest], name: str
) -> list[AnswerVerdict | None]:
    """The verdicts, None where the expert failed.

    Raises:
        FatalExpertError: the expert cannot be asked any more.
    """
    with tqdm(total=len(requests), desc=name, unit="answer") as progress:

        async def ask(request: AnswerRequest) -> AnswerVerdict | None:
            try:
                return await expert.ask(request)
            except FatalExpertError:
                raise
            except ExpertError as error:
                progress.write(f"no verdict: {error}")
                return None
            finally:
                progress.update()

        return list(await asyncio.gather(*map(ask, requests)))


def measure(
    config: Mapping[str, Any], requests: Sequence[AnswerRequest]
) -> tuple[Agreement, dict[str, str]]:
    """Ask every answer in both modes; the agreement, and a summary of each mode's calls.

    Raises:
        ValueError: a wrong configuration.
        FatalExpertError: the expert cannot be asked any more.
    """
    verdicts, summaries = {}, {}
    for mode in ("one_call", "per_claim"):
        expert = make_expert({**config, "mode": mode})
        verdicts[mode] = asyncio.run(ask_all(expert, requests, mode))
        summaries[mode] = stats_of(expert).summary()
    return compare(verdicts["one_call"], verdicts["per_claim"]), summaries
