"""What a framework hands over, as responses with their samples; and rewards
where there is no verdict.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import Any

from reward_fns.errors import ConfigurationError
from reward_fns.expert import FatalExpertError
from reward_fns.question_difficulty import STATISTICS
from reward_fns.reward import DifficultyReward
from reward_fns.sample import Sample, read_sample

GROUND_TRUTHS = ("ground_truth", "solution", "answer", "label")
"""Names of the column that holds the reference; the first that is there counts."""

_INFO = ("question", "task", "question_id", "index", "subset", *STATISTICS)
"""Columns of a row that verl keeps in ``extra_info``."""

Row = tuple[str, Sample]


def text_of(completion: Any) -> str:
    """The text of a completion: a string, or chat messages, of which the assistant's count."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion if message.get("role") == "assistant"]
    return "\n".join(
        content if isinstance(content, str) else _parts(content) for content in contents
    )


def _parts(content: Sequence[Mapping[str, Any]]) -> str:
    return "".join(str(part.get("text") or "") for part in content)


def encoded(image: Any) -> bytes:
    """An image as an encoded file: bytes, a mapping with ``bytes`` or
    ``path``, a path, or a PIL image.

    Raises:
        ConfigurationError: anything else.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, Mapping):
        return bytes(image["bytes"]) if image.get("bytes") else encoded(image.get("path"))
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the image {str(image)[:100]} cannot be read: {error}"
            ) from error
    if not hasattr(image, "save"):
        raise ConfigurationError(
            f"an image is a {type(image).__name__}: give PIL images, bytes or paths"
        )
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def images_of(row: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The images of a row, in its columns ``images`` or ``image``."""
    images = row.get("images")
    if images is None:
        images = [] if row.get("image") is None else [row["image"]]
    return tuple(map(encoded, images))


def row_of(label: Any) -> dict[str, Any]:
    """The columns that a lone reference holds: those of a JSON object with a
    ``ground_truth``, else it is that.
    """
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            columns = json.loads(label)
        except ValueError:
            columns = None
        if isinstance(columns, dict) and "ground_truth" in columns:
            return columns
    return {"ground_truth": label}


def sample_of(row: Mapping[str, Any], data_source: str | None, prompt: Any = None) -> Sample:
    """The sample of one row.

    Args:
        row: its columns: one of `GROUND_TRUTHS`, ``data_source``, ``question``, ``task``,
            ``images``, and with difficulty "question" ``vote_margin``, ``entity_rarity`` and
            ``subset``; or verl's own, ``extra_info`` and ``reward_model``.
        data_source: dataset of rows that name none.
        prompt: chat messages or text, for a row without ``question``.

    Raises:
        ConfigurationError: no data source, or as `read_sample`.
    """
    source = row.get("data_source") or data_source
    if source is None:
        raise ConfigurationError(
            "the rows name no data_source, by which the coefficients are found: add the column, "
            "or give data_source="
        )
    named = (row[name] for name in GROUND_TRUTHS if row.get(name) is not None)
    truth = (row.get("reward_model") or {}).get("ground_truth", next(named, None))
    info = {key: row[key] for key in _INFO if key in row}
    return read_sample(
        data_source=source,
        ground_truth=truth,
        extra_info={**info, **(row.get("extra_info") or {})},
        prompt=prompt,
        images=images_of(row),
    )


async def scored(reward: DifficultyReward, rows: Sequence[Row]) -> list[dict[str, float]]:
    """The reward dict of each response, all asked at once.

    Raises:
        ConfigurationError, FatalExpertError: the run has to end.
    """
    results = await asyncio.gather(
        *(reward.score(response, sample) for response, sample in rows), return_exceptions=True
    )
    ends = [r for r in results if isinstance(r, ConfigurationError | FatalExpertError)]
    others = [r for r in results if isinstance(r, BaseException)]
    if ends or others:
        raise (ends or others)[0]
    return [result for result in results if not isinstance(result, BaseException)]


class Filling:
    """Rewards for a framework that takes a number for each response, also
    where there is no verdict.

    A response without a verdict gets the mean reward of its group's others, which moves no
    advantage of a mean-centred estimator: its own is 0 and theirs keep their sign. Without others
    in the call it gets the running mean of all rewards, which is only near that.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._n = 0

    def filled(
        self, rewards: Sequence[dict[str, float]], groups: Sequence[Hashable]
    ) -> list[float]:
        """One number for each response.

        Args:
            rewards: the reward dicts, (N,).
            groups: what a response answers, (N,): equal for the responses of one group.
        """
        judged: dict[Hashable, list[float]] = defaultdict(list)
        for values, group in zip(rewards, groups, strict=True):
            if not values["expert_failed"]:
                judged[group].append(values["score"])
                self._sum, self._n = self._sum + values["score"], self._n + 1
        mean = self._sum / self._n if self._n else 0.0
        return [
            values["score"]
            if not values["expert_failed"]
            else (fmean(judged[group]) if judged[group] else mean)
            for values, group in zip(rewards, groups, strict=True)
        ]
