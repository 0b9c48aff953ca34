"""Step `parquet`: the files that verl trains and evaluates on (schema:
`data_prep.verl_rows.schema`).

    rl_train.parquet   questions of the split "train"
    test.parquet       questions of the split "evaluation"
    selection.parquet  questions of the split "selection", by which GRPO chooses a checkpoint
    sft.parquet        the text of `sft.jsonl`, or if `sft.confidence` is "own" those of
                       `targets.jsonl`, each as often as it was drawn
    r_tuning.parquet   the answers of `sft.jsonl` as R-Tuning states them (`r_tuning`); empty
                       without a judge in the step `sft`

Every prompt asks for the claim format, whatever the candidates were sampled with.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.questions import SourceQuestion, UnreadableImage, image_bytes
from data_prep.steps import r_tuning
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, Record, RecordFile, join
from data_prep.verl_rows import RowWriter, question_writer, sft_writer
from data_prep.verl_rows.schema import ImageKind
from reward_fns.claims import claim_prompt
from reward_fns.errors import UserError

IMAGES: dict[str, ImageKind] = {"bytes": "bytes", "reference": "image"}
QUESTION_FILES = {
    "train": "rl_train.parquet",
    "evaluation": "test.parquet",
    "selection": "selection.parquet",
}
"""Split -> file."""
SFT_FILES = ("sft.parquet", "r_tuning.parquet")
FILES = (*QUESTION_FILES.values(), *SFT_FILES)


@dataclass(frozen=True)
class ParquetConfig:
    """How images are kept: "bytes" in the files, or "reference", the absolute path
    (every machine must see it).

    Raises:
        ValueError: something else.
    """

    images: str = "bytes"

    def __post_init__(self) -> None:
        if self.images not in IMAGES:
            raise ValueError(f"parquet.images is one of {', '.join(IMAGES)}, got {self.images!r}")


@dataclass(frozen=True)
class ParquetSettings:
    """What the step reads of the configuration.

    Attributes:
        images: of `ParquetConfig`.
        own: whether SFT takes its texts from `targets.jsonl` (`sft.confidence` is "own").
    """

    images: str = "bytes"
    own: bool = False


def identity(context: Context, settings: ParquetSettings) -> Mapping[str, Any]:
    """The format instruction in every prompt."""
    return {"claims": claim_prompt("")}


def run(context: Context, settings: ParquetSettings) -> Counts:
    """Write the files."""
    kind, own = IMAGES[settings.images], settings.own
    dropped, notes, n_in = Counter[str](), Counter[str](), 0
    names = ("splits.jsonl", "entities.jsonl", "difficulty.jsonl", "sft.jsonl", "targets.jsonl")
    with ExitStack() as stack:
        failures = stack.enter_context(RecordFile(context.failures))
        questions = {
            split: stack.enter_context(question_writer(context.run / name, kind))
            for split, name in QUESTION_FILES.items()
        }
        sft, r_tune = (
            stack.enter_context(sft_writer(context.run / name, kind)) for name in SFT_FILES
        )
        progress = stack.enter_context(tqdm(total=context.total, desc=context.step, unit="q"))
        joined = join(context.questions(), *(context.run / name for name in names))
        for question, (split, entities, difficulty, facts, targets) in joined:
            if split is None:
                continue
            n_in += 1
            progress.update()
            try:
                if split["split"] != "sft":
                    out = questions[split["split"]]
                    out.write(question_row(question, split, entities, difficulty, out, kind))
                elif facts is None:
                    _drop(
                        question,
                        "no SFT record",
                        "its reason is in failures/sft.jsonl",
                        failures,
                        dropped,
                    )
                else:
                    for text in _sft_texts(facts, targets, own):
                        sft.write(sft_row(question, text, kind))
                    if own and targets is None:
                        notes["no SFT text: no answer in the claim format"] += 1
                    if facts["certain"] is None:
                        notes["no R-Tuning: not judged"] += 1
                    else:
                        said = r_tuning.render(
                            [fact["fact"] for fact in facts["facts"]], facts["certain"]
                        )
                        r_tune.write(sft_row(question, said, kind))
            except UnreadableImage as error:
                _drop(question, "unreadable image", str(error), failures, dropped)
            except UserError as error:
                _drop(question, "row breaks the schema", str(error), failures, dropped)
    return Counts(n_in, n_in - dropped.total(), dict(sorted(dropped.items())), dict(notes))


def _sft_texts(facts: Record, targets: Record | None, own: bool) -> list[str]:
    """What SFT trains on a question; [] where it has no answer with a confidence of its own."""
    if not own:
        return [facts["text"]]
    return [
        text["text"] for text in (targets or {"texts": []})["texts"] for _ in range(text["count"])
    ]


def _drop(
    question: SourceQuestion, reason: str, detail: str, failures: RecordFile, dropped: Counter[str]
) -> None:
    failures.add(Failure(question.dataset, question.question_id, reason, detail))
    dropped[reason] += 1


def question_row(
    question: SourceQuestion,
    split: Record,
    entities: Record | None,
    difficulty: Record | None,
    out: RowWriter,
    kind: ImageKind,
) -> dict[str, Any]:
    """A row of questions, from the question's records; `out` tells its position."""
    found = entities["entities"] if entities else []
    measured = difficulty or {}
    return {
        "data_source": question.dataset,
        "prompt": [_user_turn(question)],
        "images": [_image(question, kind)],
        "ability": question.task,
        "reward_model": {"style": "rule", "ground_truth": question.ground_truth},
        "extra_info": {
            # verl's own name for what is evaluated on.
            "split": "test" if split["split"] == "evaluation" else split["split"],
            "index": out.count,
            "question_id": question.question_id,
            "question": question.question,
            "task": question.task,
            "image_id": question.image_id,
            "entity": found[0] if found else "",
            "answers": list(question.answers),
            "subset": split["subset"],
            **{
                name: measured.get(name)
                for name in ("share_true", "vote_margin", "entity_rarity", "entity_count")
            },
        },
    }


def sft_row(question: SourceQuestion, answer: str, kind: ImageKind) -> dict[str, Any]:
    """A row of SFT."""
    return {
        "messages": [_user_turn(question), {"role": "assistant", "content": answer}],
        "images": [_image(question, kind)],
        "data_source": question.dataset,
        "question_id": question.question_id,
    }


def _user_turn(question: SourceQuestion) -> dict[str, str]:
    return {"role": "user", "content": f"<image>\n{claim_prompt(question.question)}"}


def _image(question: SourceQuestion, kind: ImageKind) -> dict[str, Any]:
    if kind == "bytes":
        return {"bytes": image_bytes(question)}
    if not isinstance(question.image, Path):
        raise UserError(
            "questions.parquet holds this image itself, so there is no path: set "
            "parquet.images=bytes"
        )
    return {"image": str(question.image.resolve())}
