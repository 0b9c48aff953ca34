"""What a step is given beside its settings: the run's files, model, experts,
a log, a progress bar.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from data_prep.engines import Engine, open_engine
from data_prep.questions import SourceQuestion, pictures_state, read_questions
from data_prep.steps.step_log import StepLog
from reward_fns.errors import UserError

if TYPE_CHECKING:
    from reward_fns.expert import Expert
    from reward_fns.expert.requests import Request

T = TypeVar("T")


def stable_seed(*parts: object) -> int:
    """A seed in [0, 2^31) that is a function of the parts' text alone: of no
    process, batch or order.

    >>> stable_seed(0, "sample", "vqa-17") == stable_seed(0, "sample", "vqa-17")
    True
    """
    content = json.dumps([str(part) for part in parts]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:4]) >> 1


@dataclass
class Models:
    """The model and the experts of a run, opened when the first step needs them; the model
    is closed with the run.
    """

    config: Any
    cache: Path
    _experts: dict[str, "Expert"] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _engine: Engine | None = None
    _pictures: str | None = None

    def pictures(self, questions: Path) -> str:
        """The state of the pictures that this file's questions name; looked up once a run."""
        if self._pictures is None:
            self._pictures = pictures_state(questions)
        return self._pictures

    def engine(self) -> Engine:
        """The opened model."""
        if self._engine is None:
            self._engine = self._stack.enter_context(
                open_engine(self.config, self.cache / "models")
            )
        return self._engine

    def expert(self, config: str | Mapping[str, Any]) -> "Expert":
        """The expert of a configuration; the same object for the same configuration."""
        key = json.dumps(config, sort_keys=True, default=dict)
        if key not in self._experts:
            self._experts[key] = open_expert(config, self.cache / "expert")
        return self._experts[key]

    def __enter__(self) -> "Models":
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.__exit__(*details)


@dataclass(frozen=True)
class Context:
    """What the function of a step is called with, beside the settings that it reads.

    Attributes:
        run: the directory of the run.
        step: name of the step.
        key: identifies its inputs and configuration.
        run_seed: `seed` of the configuration.
        total: number of inputs, for the progress bar; None before it is known.
        records: the step's record file, if it has one.
    """

    run: Path
    step: str
    key: str
    models: Models
    run_seed: int = 0
    total: int | None = None
    records: str | None = None

    def engine(self) -> Engine:
        """The model that answers, opened once for all steps of a run."""
        return self.models.engine()

    def questions(self, images: bool = True) -> Iterator[SourceQuestion]:
        """All questions of the run, in its order."""
        return read_questions(self.run / "questions.parquet", images)

    def pictures(self) -> str:
        """The state of the questions' pictures."""
        return self.models.pictures(self.run / "questions.parquet")

    def seed(self, *parts: object) -> int:
        """A seed for what this step draws about `parts`."""
        return stable_seed(self.run_seed, self.step, *parts)

    def expert(self, config: str | Mapping[str, Any]) -> "Expert":
        """The expert that a configuration names; what has been paid for is kept in the run,
        unless it says where.
        """
        return self.models.expert(config)

    def expert_identity(
        self, config: str | Mapping[str, Any], request: "Request[Any]"
    ) -> dict[str, Any]:
        """What the verdicts of an expert depend on: who judges, and by which instructions."""
        from reward_fns.expert.protocol import identity_of

        expert = self.expert(config)
        version = getattr(expert, "prompt_version", None)
        # Of a served model its server and parameters; nothing for others, so that older runs stay.
        identity = identity_of(expert)
        judged_by = {} if identity is None else {"judged_by": dict(identity)}
        prompt = version(request) if version is not None else ""
        return {"expert": expert.name, "prompt": prompt, **judged_by}

    def log(self) -> StepLog:
        """The step's record file, taken up where an interrupted run left it; leftovers of
        other inputs are removed.
        """
        assert self.records is not None, f"step {self.step} declares no record file"
        folder = self.run / "partial"
        partial = folder / f"{self.step}-{self.key[:16]}.jsonl"
        for other in folder.glob(f"{self.step}-*.jsonl"):
            if other != partial:
                other.unlink()
        return StepLog(partial, self.run / self.records, self.failures)

    @property
    def failures(self) -> Path:
        """Where the step names what it left out."""
        return self.run / "failures" / f"{self.step}.jsonl"

    def progress(self, log: StepLog, chunks: Iterable[list[T]]) -> Iterator[list[T]]:
        """The chunks, with a progress bar that counts their inputs."""
        with tqdm(
            total=self.total, initial=log.n_done, desc=self.step, unit="q", smoothing=0.1
        ) as bar:
            for chunk in chunks:
                yield chunk
                bar.update(log.n_done - bar.n)


def open_expert(config: str | Mapping[str, Any], cache: Path) -> "Expert":
    """The expert of a configuration, its verdicts kept in `cache` if it can be and no
    other directory is named.

    Raises:
        UserError: unknown kind, or options that this kind does not take.
    """
    from reward_fns.expert import make_expert
    from reward_fns.expert.keeping.cache import CachedExpert

    options: dict[str, Any] = {"kind": config} if isinstance(config, str) else dict(config)
    if options.get("kind") == "openai":
        options.setdefault("cache", str(cache))
    try:
        expert = make_expert(options)
    except ValueError as error:
        raise UserError(str(error)) from error
    if isinstance(expert, CachedExpert) and "cache" not in options:
        return CachedExpert(expert.expert, cache, options.get("lease", 30.0))
    return expert
