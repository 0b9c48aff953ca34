"""The one door where what a framework hands over becomes a `Sample`.

Frameworks and public data files disagree about every column. What is accepted:

    ground truth   text as it is; bytes as UTF-8; None and NaN as None (no reference); all else that
                   JSON can hold, numpy's values included, as JSON text: 0 is "0", True is "true",
                   {"target": ["Paris"]} is '{"target": ["Paris"]}'. Anything else is refused
    question       extra_info["question"], else the text of the prompt's last user turn; without
                   image placeholders and `claims.FORMAT_INSTRUCTION`. None at all is refused: a
                   judge that is asked about an empty question gives a verdict on nothing
    task           extra_info["task"], else "task" of a JSON ground truth, else "QA". "qa" and
                   "detail" are taken in any case; another name is refused, never read as QA
    question_id    extra_info["question_id"], else extra_info["index"]; for messages only
    extra_info     kept as it is: with the reward's difficulty "question" its vote_margin and
                   entity_rarity are read (`question_difficulty`), and else not
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_fns.claims import FORMAT_INSTRUCTION
from reward_fns.errors import ConfigurationError
from reward_fns.expert.requests import TASKS
from reward_fns.plain import plain

_TASKS = {task.lower(): task for task in TASKS}
_PLACEHOLDER = re.compile(
    r"<(?:image|video|image_placeholder)>\n?|<\|(?:image|video|vision)_?(?:pad|start|end)?\|>\n?"
)


@dataclass(frozen=True)
class Sample:
    """What a response answers, and what it is judged with.

    Attributes:
        dataset: tag of the dataset, by which its coefficients are found.
        question: as the model saw it, without format instruction; never empty.
        task: "QA" or "Detail".
        ground_truth: the reference as text, None if there is none.
        images: encoded files, in the prompt's order.
        question_id: for messages.
        extra_info: of its row; not compared.
    """

    dataset: str
    question: str
    task: str
    ground_truth: str | None
    images: tuple[bytes, ...] = ()
    question_id: str = "?"
    extra_info: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def read_sample(
    *,
    data_source: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    prompt: Any = None,
    images: Iterable[bytes] = (),
) -> Sample:
    """The sample in what a framework hands over; see the module docstring for what is accepted.

    Args:
        data_source: tag of the dataset.
        ground_truth: the reference, in any form that JSON can hold.
        extra_info: further columns; question, task, question_id and index are read.
        prompt: chat messages (content a text, or a list of typed parts), or a text.
        images: encoded files.

    Raises:
        ConfigurationError: a sample without question, of an unknown task, or with a ground truth
            that has no text form; names the sample and the remedy.
    """
    info = {} if extra_info is None else extra_info
    if not isinstance(info, Mapping):
        raise ConfigurationError(
            f"a sample of dataset {data_source!r} has a {type(info).__name__} as extra_info: "
            "give a mapping with its question"
        )
    question_id = str(
        next((info[k] for k in ("question_id", "index") if info.get(k) is not None), "?")
    )
    name = f"sample {question_id} of dataset {data_source!r}"
    truth = _read_truth(ground_truth, name)
    task = info.get("task")
    return Sample(
        dataset=str(data_source),
        question=_read_question(info, prompt, name),
        task=_read_task(_task_of_json(truth) if task is None else task, name),
        ground_truth=truth,
        images=tuple(images),
        question_id=question_id,
        extra_info=info,
    )


def _read_truth(value: Any, name: str) -> str | None:
    if isinstance(value, str):
        # Of numpy's text too.
        return str(value)
    try:
        content = plain(value)
    except TypeError as error:
        raise ConfigurationError(
            f"{name}: its ground truth is or holds {error}: give text, or what JSON can hold"
        ) from error
    if content is None or isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False)


def _task_of_json(truth: str | None) -> Any:
    """What a JSON object names as its "task"; None without."""
    if truth is None or not truth.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(truth)
    except (ValueError, RecursionError):
        return None
    return content.get("task") if isinstance(content, dict) else None


def _read_task(task: Any, name: str) -> str:
    if task is None:
        return "QA"
    known = _TASKS.get(str(task).strip().lower())
    if known is None:
        raise ConfigurationError(
            f"{name}: unknown task {str(task)[:80]!r}: extra_info['task'] must be QA (short "
            "answers, right or wrong) or Detail (descriptions, right in part)"
        )
    return known


def _read_question(info: Mapping[str, Any], prompt: Any, name: str) -> str:
    given = info.get("question")
    question = _cleaned(given if isinstance(given, str) else "") or _cleaned(_prompt_text(prompt))
    if not question:
        raise ConfigurationError(
            f"{name} has no question to judge its answers by: put it into extra_info['question'] "
            "(in verl the reward manager difficulty_guided also finds it in the prompt)"
        )
    return question


def _cleaned(text: str) -> str:
    without = _PLACEHOLDER.sub("", text).replace(FORMAT_INSTRUCTION, "")
    return without.strip() if without != text or not text.strip() else str(text)


def _prompt_text(prompt: Any) -> str:
    """Text of the last user turn."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    turns = [turn for turn in prompt if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return _content_text(turns[-1].get("content")) if turns else ""


def _content_text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = (part.get("text") for part in content if isinstance(part, Mapping))
    return "\n".join(part for part in parts if isinstance(part, str) and part)
