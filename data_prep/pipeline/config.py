"""The configuration of a run: one YAML file, checked strictly against these dataclasses.

    python -m data_prep run data_prep/configs/pocket.yaml --out RUN \\
        sample.n=5 'datasets[0].limit=100'

A key that no step reads, and a value of the wrong type, is an error that names it.
`${oc.env:NAME}` reads the environment; the manifest, which others may read, keeps the
reference and not the value.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data_prep.steps.entities import EntitiesConfig
from data_prep.steps.label import LabelConfig
from data_prep.steps.own.sample import OwnConfig
from data_prep.steps.pair import PairConfig
from data_prep.steps.parquet import ParquetConfig
from data_prep.steps.sample import SampleConfig
from data_prep.steps.sft import SftConfig
from data_prep.steps.splits import SplitsConfig
from data_prep.steps.statistics.step import StatisticsConfig
from data_prep.steps.verify import VerifyConfig
from reward_fns.errors import UserError
from reward_fns.expert.serving.addresses import without_password
from reward_fns.expert.serving.secret_options import known_secrets, without_secrets
from reward_fns.files import read_mapping


@dataclass(frozen=True)
class Config:
    """One section a step, and what the steps share.

    Attributes:
        datasets: what `data_prep.datasets` takes, one mapping a dataset: name, root, ...
        model: what `data_prep.engines.open_engine` takes: the model that answers and verifies.
        seed: of everything that is drawn.
    """

    datasets: list[dict[str, Any]] = MISSING
    model: Any = MISSING
    seed: int = 0
    sample: SampleConfig = field(default_factory=SampleConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    pair: PairConfig = field(default_factory=PairConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    entities: EntitiesConfig = field(default_factory=EntitiesConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    splits: SplitsConfig = field(default_factory=SplitsConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    own: OwnConfig = field(default_factory=OwnConfig)
    parquet: ParquetConfig = field(default_factory=ParquetConfig)


@dataclass(frozen=True)
class LoadedConfig(Config):
    """A configuration that was read.

    Attributes:
        written: the same as it was written, references to the environment not resolved.
    """

    written: Mapping[str, Any] = field(default_factory=dict)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration and put `key=value` pairs over it.

    Raises:
        UserError: the file is missing or no YAML; a key is unknown, a value ill-typed or out of
            range; a mandatory key is missing.
    """
    read_mapping(path)
    known = OmegaConf.structured(Config)
    for node in (
        known,
        *(known[entry.name] for entry in fields(Config) if is_dataclass(entry.default_factory)),
    ):
        OmegaConf.set_readonly(node, False)  # frozen for its readers, not for this merge
    try:
        merged = OmegaConf.merge(known, OmegaConf.load(path))
        for override in overrides:
            key, equals, _ = override.partition("=")
            if not equals:
                raise UserError(f"an override is key=value, got {override!r}")
            value = OmegaConf.select(
                OmegaConf.from_dotlist([override.replace(key, "value", 1)]), "value"
            )
            OmegaConf.update(merged, key, value, merge=True)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = f" ({error.full_key})" if error.full_key else ""
        raise UserError(f"{path}: {str(error.msg or error).splitlines()[0]}{key}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    assert isinstance(config, Config)
    written = OmegaConf.to_container(merged, resolve=False)
    assert isinstance(written, dict)
    values = {entry.name: getattr(config, entry.name) for entry in fields(Config)}
    return LoadedConfig(**values, written={str(key): value for key, value in written.items()})


def as_mapping(config: Config) -> dict[str, Any]:
    """The configuration as plain values, by which steps are known to be
    done. It may hold secrets.
    """
    names = [entry.name for entry in fields(Config)]
    return {name: value for name, value in asdict(config).items() if name in names}


def as_shown(config: Config) -> dict[str, Any]:
    """The configuration for the manifest: as it was written, secrets in clear left out."""
    shown = config.written if isinstance(config, LoadedConfig) else as_mapping(config)
    named = {name: _without_passwords(value) for name, value in shown.items()}
    hidden: dict[str, Any] = without_secrets(named, known_secrets(os.environ))
    return hidden


def _without_passwords(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_passwords(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_passwords(item) for item in value]
    return without_password(value) if isinstance(value, str) and "://" in value else value
