"""What a judge said about each answer: asked through the expert layer, kept line by line.

A reply that stays unreadable after the layer's own retries, or a refusal, is a finding and
is kept as null with its reason, so that a rerun does not pay for it again. Any other
failure (no connection, a spent budget) is nobody's answer: what was judged is kept, and the
next run asks for the rest.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from eval.records.settings import judge_settings, keep_settings
from reward_fns.errors import UserError
from reward_fns.expert import Expert, ExpertError, FatalExpertError
from reward_fns.expert.requests import Request, V
from reward_fns.files import PARTIAL_SUFFIX, JsonlLog, read_jsonl

BATCH = 64  # requests between two writes
NO_VERDICT = ("unreadable", "refusal", "content_filter", "refused", "length")
"""Reasons of the expert layer for which asking again would bring no verdict either."""
OF_OPTIONS = ("refused", "length")
"""Those that may be the options' fault: where no other request got a verdict, it is theirs."""


@dataclass(frozen=True)
class Judgements:
    """What the judge said by item_id, None where it was unreadable; and who
    judged by which prompt.
    """

    values: Mapping[str, Any]
    judges: tuple[str, ...]


def ask_judge(
    path: Path,
    requests: Mapping[str, Request[V]],
    expert: Expert,
    read: Callable[[V], Any],
    settings: Mapping[str, Any],
) -> Judgements:
    """The judge's answer to each request; what the file holds already is not asked again.

    Args:
        path: JSONL of `item_id`, `value`, `judge`, and `reason` of a null; other settings
            than its own move it aside.
        requests: item_id -> request.
        read: verdict -> what is kept of it, as JSON has it.
        settings: what the requests depend on.

    Raises:
        UserError: some requests failed otherwise than by an unreadable reply.
    """
    version = getattr(expert, "prompt_version", None)
    some = next(iter(requests.values()), None)
    prompt = version(some) if version is not None and some is not None else ""
    judged = {"judge": expert.name, **judge_settings(expert), "prompt_version": prompt}
    keep_settings(path, {**settings, **judged})
    log = JsonlLog(path, key=lambda line: str(line["item_id"]))
    missing = [item for item in requests if item not in log.done]
    failures: list[Exception] = []
    done = len(requests) - len(missing)
    answered = any(line["value"] is not None for line in _kept(log))
    with tqdm(total=len(requests), initial=done, desc=path.stem, unit="judgement") as progress:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            # A loop of its own for each batch: nothing of the expert's connections outlives it.
            found = asyncio.run(_ask([requests[item] for item in batch], expert))
            answered = answered or not all(isinstance(one, Exception) for one in found)
            if not answered and (wrong := _of_options(found)) is not None:
                raise UserError(
                    f"the judge {expert.name} gave no verdict on any of {len(batch)} "
                    f"(first: {wrong}); "
                    "`python -m reward_fns.expert check` tells what it takes"
                )
            lines = [_line(item, answer, read) for item, answer in zip(batch, found, strict=True)]
            log.append(line for line in lines if isinstance(line, dict))
            failed = [line for line in lines if isinstance(line, Exception)]
            failures += failed
            progress.update(len(batch) - len(failed))
            if any(isinstance(error, FatalExpertError) for error in failed):
                break
    if failures:
        raise UserError(
            f"the judge {expert.name} failed on {len(failures)} of {len(requests)} (first: "
            f"{failures[0]}); {len(log.done)} are kept, run the same command again for the rest"
        )
    log.finish()
    wanted = {line["item_id"]: line for line in read_jsonl(path) if line["item_id"] in requests}
    names = sorted({line["judge"] for line in wanted.values() if line["judge"]})
    judges = tuple(f"{name}, prompt {prompt}" if prompt else name for name in names)
    return Judgements({item: line["value"] for item, line in wanted.items()}, judges)


def _kept(log: JsonlLog) -> Iterator[dict[str, Any]]:
    paths = (log.path.with_name(log.path.name + PARTIAL_SUFFIX), log.path)
    path = next((path for path in paths if path.exists()), None)
    return iter(()) if path is None else read_jsonl(path)


def _of_options(found: Sequence[Any]) -> ExpertError | None:
    """The first failure that may be the options' fault, where all failed so."""
    errors = [one for one in found if isinstance(one, ExpertError) and one.reason in OF_OPTIONS]
    return errors[0] if errors and len(errors) == len(found) else None


async def _ask(requests: list[Request[V]], expert: Expert) -> list[V | Exception]:
    async def one(request: Request[V]) -> V | Exception:
        try:
            return await expert.ask(request)
        except ExpertError as error:
            return error

    return await asyncio.gather(*map(one, requests))


def _line(item: str, answer: V | Exception, read: Callable[[V], Any]) -> dict[str, Any] | Exception:
    if isinstance(answer, ExpertError) and answer.reason in NO_VERDICT:
        return {"item_id": item, "value": None, "judge": "", "reason": answer.reason}
    if isinstance(answer, Exception):
        return answer
    return {"item_id": item, "value": read(answer), "judge": answer.source.model}
