"""The page's last section: what the numbers were made from and with."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from eval.records import AnswerRecord
from eval.report.content import Provenance
from eval.tables.table import Cell, Column, Table

_HASH_DIGITS = 12


def facts(made: Provenance, records: Sequence[AnswerRecord]) -> list[tuple[str, str]]:
    """Term and value: seed, questions, judges, time."""
    datasets = Counter(
        dataset for _, dataset in {(record.question_id, record.dataset) for record in records}
    )
    judges = sorted(
        {" ".join(filter(None, (record.expert, record.expert_version))) for record in records}
    )
    return [
        ("seed", "unknown" if made.seed is None else str(made.seed)),
        ("questions", ", ".join(f"{name} {count:,}" for name, count in sorted(datasets.items()))),
        ("judge", ", ".join(judges)),
        ("report written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]


def provenance_tables(made: Provenance) -> list[Table]:
    """Hashes of models and questions by record file, where their settings are known, and
    versions of packages.
    """
    rows: list[tuple[Cell, ...]] = [
        (
            name.removesuffix(".settings.json"),
            _hash(settings.get("model_sha256")),
            _hash(settings.get("questions_sha256")),
            str(settings.get("expert", "–")),
            str(settings.get("seed", "–")),
        )
        for name, settings in made.records.items()
    ]
    columns = tuple(
        map(Column, ("record file", "model (SHA-256)", "questions (SHA-256)", "judge", "seed"))
    )
    tables = [Table("hashes", "Record files", columns, tuple(rows))] if rows else []
    packages: list[tuple[Cell, ...]] = [
        (name, number or "not installed") for name, number in made.versions.items()
    ]
    return [
        *tables,
        Table("versions", "Versions", (Column("package"), Column("version")), tuple(packages)),
    ]


def _hash(value: object) -> str:
    return "–" if value is None else str(value)[:_HASH_DIGITS]
