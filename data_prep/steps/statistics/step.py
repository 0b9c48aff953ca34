"""Step `statistics`: Table 1 of the run, its correlations, the reward coefficients, the
difficulty of each question.

    difficulty.jsonl    {question_id, dataset, share_true, vote_margin, entity_rarity,
                        entity_count}, one a question; entity_count is null without a
                        Better answer, entity_rarity also without an entity
    table1.csv, .md     this run's Table 1 and the paper's
    statistics.json     the same numbers, the correlations, and where each
                        dataset's coefficients come from
    coefficients.yaml   for the recipe: dataset -> alpha, beta, gamma, delta, and the mean and
                        spread of its questions' vote_margin and ln(entity_rarity)
    heatmap.png         the coefficients

Two passes over the entities: the first counts them by dataset, the second writes each question's
rarity. The counts, two numbers for each question and three for each labelled one are in memory, no
record is.
"""

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import log
from typing import Any

from data_prep.steps.context import Context
from data_prep.steps.statistics import correlation, table
from data_prep.steps.statistics.heatmap import heatmap
from data_prep.steps.statistics.mapping import beyond_the_paper, coefficients
from data_prep.steps.statistics.tally import Tally, count_entities
from data_prep.steps.step_log import Counts, Record, RecordFile, join
from reward_fns.coefficients_file import save_coefficients
from reward_fns.difficulty import SCHEMES
from reward_fns.files import read_jsonl, write_bytes, write_json, write_text

REFERENCES = ("paper", "pool")


@dataclass(frozen=True)
class StatisticsConfig:
    """How statistics become coefficients, as in `reward_fns.difficulty`.

    Attributes:
        scheme: "table4" and "recovered" are one mapping here; "appendix" and "fixed" the others.
        reference: what a dataset is measured against: "paper", its fourteen datasets, or
            "pool", those of the run.
    """

    scheme: str = "recovered"
    reference: str = "paper"

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(
                f"statistics.scheme must be one of {', '.join(SCHEMES)}, got {self.scheme!r}"
            )
        if self.reference not in REFERENCES:
            raise ValueError(
                f"statistics.reference must be one of {', '.join(REFERENCES)}, "
                f"got {self.reference!r}"
            )


@dataclass
class ByQuestion:
    """Of labelled questions with entities: ln(entity_rarity), contradiction (1) or not (0),
    the dataset's number.
    """

    rarity: "array[float]" = field(default_factory=lambda: array("d"))
    contradiction: "array[float]" = field(default_factory=lambda: array("d"))
    dataset: "array[int]" = field(default_factory=lambda: array("l"))

    def correlations(self) -> dict[str, correlation.Correlation]:
        """pooled, ranked and within datasets."""
        return {
            "pooled": correlation.pearson(self.rarity, self.contradiction),
            "ranked": correlation.spearman(self.rarity, self.contradiction),
            "within": correlation.within(self.rarity, self.contradiction, self.dataset),
        }


def run(context: Context, settings: StatisticsConfig) -> Counts:
    """Write the files above."""
    tallies, by_question = _tallied(context)
    mapped, reasons = coefficients(tallies, settings.scheme, settings.reference)
    outside = (
        beyond_the_paper(tallies)
        if settings.reference == "paper" and settings.scheme != "fixed"
        else {}
    )
    rows = [table.row_of(tally) for tally in tallies.values()]
    found = {
        "by_dataset": by_dataset(rows),
        "by_question": by_question.correlations(),
        "paper_by_dataset": by_dataset(table.paper_table()),
    }
    write_text(context.run / "table1.csv", table.as_csv(rows))
    write_text(context.run / "table1.md", _report(rows, found, reasons, outside))
    references = {name: tally.reference for name, tally in tallies.items()}
    save_coefficients(context.run / "coefficients.yaml", mapped, references)
    write_bytes(context.run / "heatmap.png", heatmap(mapped, reasons))
    content = {
        "config": asdict(settings),
        "datasets": {row["dataset"]: row for row in rows},
        "correlations": {
            level: {
                name: asdict(value) | {"finding": value.finding} for name, value in values.items()
            }
            for level, values in found.items()
        },
        "coefficients": {name: asdict(value) for name, value in mapped.items()},
        "not_measured": reasons,
        "beyond_the_paper": outside,
    }
    write_json(context.run / "statistics.json", content)
    total = sum(tally.questions for tally in tallies.values())
    return Counts(total, total)


def _tallied(context: Context) -> tuple[dict[str, Tally], ByQuestion]:
    """Both passes; the datasets in the order of the questions."""
    counted = count_entities(read_jsonl(context.run / "entities.jsonl"))
    tallies, by_question = dict[str, Tally](), ByQuestion()
    paths = (context.run / name for name in ("pairs.jsonl", "labels.jsonl", "entities.jsonl"))
    with RecordFile(context.run / "difficulty.jsonl") as difficulty:
        for question, (pair, label, entities) in join(context.questions(images=False), *paths):
            if pair is None:
                continue  # no answers: it left the run at an earlier step
            name = question.dataset
            tally = tallies.setdefault(name, counted.get(name, Tally(name)))
            tally.task = question.task
            tally.questions += 1
            record = _difficulty(pair, entities, tally)
            difficulty.add(record)
            tally.add_difficulty(record["vote_margin"], record["entity_rarity"])
            verdict = label["label"] if label is not None else None
            if verdict is None:
                continue
            tally.labels[verdict] += 1
            if record["entity_rarity"] is not None:
                by_question.rarity.append(log(record["entity_rarity"]))
                by_question.contradiction.append(float(verdict == "contradiction"))
                by_question.dataset.append(list(tallies).index(name))
    return tallies, by_question


def _difficulty(
    pair: Mapping[str, Any], entities: Mapping[str, Any] | None, tally: Tally
) -> Record:
    found = None if entities is None else entities["entities"]
    return {
        "question_id": pair["question_id"],
        "dataset": pair["dataset"],
        "share_true": pair["share_true"],
        "vote_margin": pair["vote_margin"],
        "entity_rarity": tally.question_rarity(found or ()),
        "entity_count": None if found is None else len(found),
    }


def by_dataset(rows: Any) -> dict[str, correlation.Correlation]:
    """Correlations over the rows of a Table 1 in which both sides are defined."""
    found = {}
    for name in ("avg_entity_rarity", "rarity_score"):
        usable = [
            row for row in rows if row[name] is not None and row["contradiction_pct"] is not None
        ]
        found[name] = correlation.pearson(
            [row[name] for row in usable], [row["contradiction_pct"] for row in usable]
        )
    return found


def _report(
    rows: list[dict[str, Any]],
    found: Mapping[str, Mapping[str, correlation.Correlation]],
    reasons: Mapping[str, str],
    outside: Mapping[str, str],
) -> str:
    lines = ["Table 1 of this run (percentages of the labelled pairs):", ""]
    lines += [table.as_markdown(rows, (*table.COLUMNS, "labelled")), ""]
    lines += ["The paper's Table 1:", "", table.as_markdown(table.paper_table()), ""]
    lines += [
        "Do rarer entities go with more contradiction? (95 % intervals; a negative r says yes)",
        "",
    ]
    for title, level, name in (
        ("by dataset, entity frequency", "by_dataset", "avg_entity_rarity"),
        ("by question, within datasets", "by_question", "within"),
        ("by question, pooled", "by_question", "pooled"),
        ("by question, ranked", "by_question", "ranked"),
        ("the paper's table, by dataset", "paper_by_dataset", "avg_entity_rarity"),
    ):
        value = found[level][name]
        lines.append(f"- {title}: {value}. {value.finding.capitalize()}.")
    lines += [
        "",
        *(
            f"- {name} has the coefficients 1, 1, 1, 1: {reason}."
            for name, reason in reasons.items()
        ),
    ]
    if outside:
        lines += [
            "",
            (
                "Outside the range of the paper's datasets, where coefficients no longer "
                "tell datasets apart;"
            ),
        ]
        lines += [
            "statistics.reference=pool compares the datasets of this run with each other:",
            "",
        ]
        lines += [f"- {name}: {text}" for name, text in outside.items()]
    return "\n".join(lines).rstrip() + "\n"
