"""Record files of an evaluation: a model's answers, written once, and a confidence for each of them by each protocol.

`MODEL.answers.jsonl` holds an `Answer` a line: the answer, how it was judged, what the reports slice by, and the
probabilities of its tokens. `MODEL.PROTOCOL.jsonl` holds a `Confidence` a line, which names its answer by question_id
and sample. `read_records` joins the two into `AnswerRecord`s. A line of a protocol file may also be a whole
`AnswerRecord`: so answers and confidences that were made elsewhere can be reported too.

A file grows under the name `<file>.partial` and is renamed when all is there, see `reward_fns.files.JsonlLog`.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from reward_fns.errors import UserError
from reward_fns.files import PARTIAL_SUFFIX, read_jsonl, read_mapping, write_text

VERBAL = "verbal"
MOST_TRUNCATED = 0.05
"""Of a model's answers: above it commands and reports warn that too many were cut off."""
ANSWERS = "answers"  # stands in the file name where the protocol's name stands for confidences


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One judged answer of one model. Raises ValueError for a value out of range.

    Attributes:
        model: its name in this evaluation; NAME@STEP for a checkpoint of a training run.
        correct: the judge's overall verdict, in [0, 1].
        expert: identity of the judge; `expert_version`: of its prompt or rule.
        claims: {"text": str, "sure": bool} each; `claim_labels` 0 or 1 for each, [] if only the whole was judged.
        stated_confidence: the overall confidence that the answer itself states, in [0, 1]; None if it cannot be read.
        reading: forms that the strict reader does not take and the lenient one did (`reward_fns.lenient`); [] for a
            well-formed answer.
        sample: 0, 1, ... where a question was answered several times.
        subset: "entailment", "contradiction" or "neutral" from stage one; "" if unknown. Likewise None for
            share_true (share of sampled answers that were true), vote_margin and entity_rarity (r/c of Eq. 1-3).
        probabilities: of the answer's tokens, see `protocols.direct`; {} if the engine gave none.
        probability_tokens: the token that each of them stands on, or how many; {} if unknown.
        finish_reason: "stop" where the answer ended by itself, "length" where it was cut off; "" if unknown (in
            records that were made before it was kept).
        tag_probabilities: of "sure" against "not sure" for each claim, None if unknown; see `protocols.tags`.
    """

    model: str
    dataset: str
    task: str  # "QA" | "Detail"
    question_id: str
    question: str
    image_id: str
    entity: str  # "" if none
    response: str
    correct: float
    well_formed: bool
    expert: str
    claims: list[dict[str, Any]] = field(default_factory=list)
    claim_labels: list[int] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    expert_version: str = ""
    stated_confidence: float | None = None
    reading: list[str] = field(default_factory=list)
    sample: int = 0
    subset: str = ""
    share_true: float | None = None
    vote_margin: float | None = None
    entity_rarity: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    tag_probabilities: list[float | None] = field(default_factory=list)
    probability_tokens: dict[str, str | int] = field(default_factory=dict)
    finish_reason: str = ""

    def __post_init__(self) -> None:
        _check_unit("correct", self.correct)
        if self.stated_confidence is not None:
            _check_unit("stated_confidence", self.stated_confidence)

    @property
    def key(self) -> str:
        """Names this answer among those of its model."""
        return answer_key(self.question_id, self.sample)

    @property
    def truncated(self) -> bool | None:
        """Whether the answer was cut off; None if unknown."""
        return self.finish_reason == "length" if self.finish_reason else None


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """What a protocol found for one answer. Raises ValueError for a confidence outside [0, 1].

    Attributes:
        confidence: None where it could not be read (a parse failure: counted, never dropped).
        texts: what the model wrote when the protocol asked it; [] for a protocol that asks nothing.
        detail: what the confidence was computed from, by name.
    """

    question_id: str
    sample: int
    confidence: float | None
    texts: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.confidence is not None:
            _check_unit("confidence", self.confidence)

    @property
    def key(self) -> str:
        """Names the answer that it belongs to."""
        return answer_key(self.question_id, self.sample)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRecord(Answer):
    """An answer with one protocol's confidence: what metrics, tables and figures are made from."""

    protocol: str
    confidence: float | None  # in [0, 1]; None: it could not be read
    texts: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Answer.__post_init__(self)
        if self.confidence is not None:
            _check_unit("confidence", self.confidence)


def answer_key(question_id: str, sample: int) -> str:
    """Names an answer among those of its model, in every record file."""
    return f"{question_id}#{sample}"


def question_key(answer: Answer) -> str:
    """Names an answer's question with its dataset: all answers to it are resampled together.

    The first slash ends the tag: question c of a/b is not question b/c of a.
    """
    return f"{_quoted(answer.dataset)}/{answer.question_id}"


@cache
def _quoted(tag: str) -> str:
    return quote(tag, safe="")


def _check_unit(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def truncated_share(answers: Iterable[Answer]) -> float | None:
    """Share of the answers that were cut off, of those of which it is known; None if of none."""
    known = [answer.truncated for answer in answers if answer.truncated is not None]
    return sum(known) / len(known) if known else None


def answers_path(directory: Path, model: str) -> Path:
    """Where the answers of a model stand."""
    return directory / f"{model}.{ANSWERS}.jsonl"


def records_path(directory: Path, model: str, protocol: str) -> Path:
    """Where the confidences of a model's answers by one protocol stand."""
    return directory / f"{model}.{protocol}.jsonl"


def settings_path(records: Path) -> Path:
    """Where the settings of a record file stand."""
    return records.with_suffix(".settings.json")


_Record = TypeVar("_Record", Answer, Confidence, AnswerRecord)


def _names(kind: type[Any]) -> tuple[set[str], set[str]]:
    """All fields of a record, and those that a line must hold."""
    required = {f.name for f in fields(kind) if f.default is f.default_factory}  # both are MISSING
    return {f.name for f in fields(kind)}, required


_NAMES = {kind: _names(kind) for kind in (Answer, Confidence, AnswerRecord)}


def _parse(kind: type[_Record], data: Mapping[str, Any], where: str) -> _Record:
    every, required = _NAMES[kind]
    try:
        if missing := required - data.keys():
            raise ValueError(f"missing {', '.join(sorted(missing))}")
        return kind(**{name: value for name, value in data.items() if name in every})
    except (ValueError, TypeError) as error:
        raise UserError(f"{where} is not an answer record ({error}): remove or mend it") from error


_UNREPORTED: dict[str, Any] = {"texts": [], "detail": {}, "probabilities": {}, "defects": []}
"""What takes room and no report shows, and the one empty value that takes its place in every record."""
_COUNTED = ("token", "merged")
"""Of a record's detail: DP's token, and whether SC's rule merged answers, which the report counts."""
_SHARED = (
    *("model", "dataset", "task", "question_id", "question", "image_id", "entity", "subset"),
    *("expert", "expert_version"),
)
"""Texts that many records have in common: kept once."""


def _lean(data: dict[str, Any]) -> dict[str, Any]:
    """A line without what no report shows, its common texts kept once."""
    detail = data.get("detail") or {}
    data = data | {name: _UNREPORTED[name] for name in _UNREPORTED.keys() & data.keys()}
    if counted := {name: detail[name] for name in _COUNTED if name in detail}:
        data["detail"] = counted
    if data.get("claims"):  # an example shows the claims, or else the text
        data["response"] = ""
    for name in _SHARED:
        if type(data.get(name)) is str:
            data[name] = sys.intern(data[name])
    return data


def read_answers(path: Path, lean: bool = False) -> list[Answer]:
    """All answers of a file `MODEL.answers.jsonl`, in its order.

    Args:
        lean: see `read_records`.

    Raises:
        UserError: the file is missing or empty, a line is malformed (named by its number), or an answer stands twice.
    """
    _require(path)
    answers = [
        _parse(Answer, _lean(data) if lean else data, f"{path} line {n}")
        for n, data in enumerate(read_jsonl(path), start=1)
    ]
    _require_some(answers, path)
    _unique((answer.key for answer in answers), path)
    return answers


def read_records(
    path: Path, answers: Mapping[str, Answer] | None = None, lean: bool = False
) -> list[AnswerRecord]:
    """All records of a file `MODEL.PROTOCOL.jsonl`, in its order, joined with the answers beside it.

    Args:
        path: the protocol's file; its name is taken apart at the dots.
        answers: key -> answer, where they were read already; else they are read from beside `path`.
        lean: leave out what no report shows (`_UNREPORTED`), which is most of a large file.

    Raises:
        UserError: a file is missing or empty, a line is malformed (named by its number), an answer is missing or stands
            twice.
    """
    _require(path)
    model, protocol = path.name.split(".")[:2]
    records = []
    for number, data in enumerate(read_jsonl(path), start=1):
        where = f"{path} line {number}"
        data = _lean(data) if lean else data
        if _NAMES[AnswerRecord][1] <= data.keys():
            records.append(_parse(AnswerRecord, data, where))
            continue
        confidence = _parse(Confidence, data, where)
        if answers is None:
            answers = {
                answer.key: answer
                for answer in read_answers(answers_path(path.parent, model), lean)
            }
        if confidence.key not in answers:
            raise UserError(
                f"{where}: {answers_path(path.parent, model)} holds no answer to question {confidence.question_id} "
                f"(sample {confidence.sample}): make both with `python -m eval calibration`"
            )
        records.append(join(answers[confidence.key], sys.intern(protocol), confidence))
    _require_some(records, path)
    _unique((record.key for record in records), path)
    return records


def join(answer: Answer, protocol: str, confidence: Confidence) -> AnswerRecord:
    """One record of an answer and its confidence; lists and dicts are shared, not copied."""
    shared = {name: getattr(answer, name) for name in _NAMES[Answer][0]}
    return AnswerRecord(
        **shared,
        protocol=protocol,
        confidence=confidence.confidence,
        texts=confidence.texts,
        detail=confidence.detail,
    )


def load_records(directory: Path, lean: bool = False) -> list[AnswerRecord]:
    """Records of all models and protocols of a directory; the answers of each model are read once.

    Args:
        lean: see `read_records`.

    Raises:
        UserError: no record file, an unfinished one, or what `read_records` refuses.
    """
    if unfinished := sorted(directory.glob(f"*{PARTIAL_SUFFIX}")):
        raise UserError(
            f"{unfinished[0]} is not whole: run the same `python -m eval calibration` again, it goes on there"
        )
    files = [
        path
        for path in sorted(directory.glob("*.jsonl"))
        if not path.name.endswith(f".{ANSWERS}.jsonl")
    ]
    if not files:
        raise UserError(
            f"no record files (*.jsonl) in {directory}: make them with `python -m eval calibration`"
        )
    answers: dict[str, dict[str, Answer]] = {}
    records: list[AnswerRecord] = []
    for path in files:
        check_not_stale(path)
        model = path.name.split(".")[0]
        if model not in answers and (file := answers_path(directory, model)).is_file():
            answers[model] = {answer.key: answer for answer in read_answers(file, lean)}
        records += read_records(path, answers.get(model), lean)
    return records


def check_not_stale(path: Path) -> None:
    """Refuse confidences that were found for other answers than those that stand beside them now.

    Files without settings, which were made elsewhere, are taken as they are.

    Raises:
        UserError: the answers were made again since; names both files and the command that mends it.
    """
    settings = settings_path(path)
    model, protocol = path.name.split(".")[:2]
    beside = answers_path(path.parent, model)
    if not settings.is_file() or not beside.is_file():
        return
    made_for = read_mapping(settings).get("answers_sha256")
    if made_for is not None and made_for != file_sha256(beside):
        raise UserError(
            f"{path} holds confidences for other answers than {beside}, which was made again since: run "
            f"`python -m eval calibration` with --protocols {protocol} (and what else you report), or remove the file"
        )


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"no records at {path}: make them with `python -m eval calibration`")


def _require_some(records: Sequence[Answer], path: Path) -> None:
    if not records:
        raise UserError(
            f"{path} is empty: make it anew with `python -m eval calibration`, or remove it"
        )


def _unique(keys: Iterable[str], path: Path) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise UserError(
                f"{path}: the answer {key} (question#sample) stands twice; remove one line"
            )
        seen.add(key)


def write_records(path: Path, records: Iterable[Answer | Confidence]) -> None:
    """Write a whole record file, atomically."""
    write_text(
        path, "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    )
