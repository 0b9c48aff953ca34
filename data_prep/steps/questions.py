"""Step `questions`: every dataset's questions into one file, records that cannot
be read named and counted.

It is done again when a file that it read has another content (`datasets.sources`), or the
configuration is another.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from data_prep.markdown import markdown_table
from data_prep.questions import Rejected, SourceQuestion, write_questions
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, RecordFile
from data_prep.verl_rows import OTHER_MARKS
from reward_fns.errors import UserError
from reward_fns.files import write_text
from reward_fns.paper_tables import TABLES_1_AND_4

TASKS = ("QA", "Detail")
SOURCES = "sources.json"
"""What was read, in the run's directory."""


def unchanged(context: Context) -> bool:
    """Whether the datasets' files are those that were read, by content;
    pictures are not read here.
    """
    from data_prep.datasets import sources

    return sources.unchanged(context.run / SOURCES)


def run(context: Context, datasets: Sequence[Mapping[str, Any]]) -> Counts:
    """Write `questions.parquet`, their number by dataset, and the list of rejected records.

    Args:
        datasets: what `data_prep.datasets` takes, one mapping a dataset.
    """
    from data_prep.datasets import sources

    dropped: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    with RecordFile(context.failures) as failures, sources.noting() as noted:

        def reject(failure: Failure) -> None:
            dropped[failure.reason] += 1
            failures.add(failure)

        taken = write_questions(
            context.run / "questions.parquet",
            _counted(_accepted(datasets, reject), counts),
        )
    if not taken:
        reasons = (
            ", ".join(f"{count} x {reason}" for reason, count in dropped.items())
            or "the datasets are empty"
        )
        raise UserError(f"no question could be read ({reasons}): see {context.failures}")
    write_text(context.run / "questions.md", table(counts))
    sources.save(context.run / SOURCES, noted)
    return Counts(taken + dropped.total(), taken, dict(sorted(dropped.items())))


def _counted(
    questions: Iterator[SourceQuestion], counts: Counter[tuple[str, str]]
) -> Iterator[SourceQuestion]:
    for question in questions:
        counts[question.dataset, question.task] += 1
        yield question


def table(counts: Mapping[tuple[str, str], int]) -> str:
    """The number of questions by dataset and task; of the paper's datasets, beside its Table 13.

    A dataset of Table 13 that has no question stands there with 0, if any of the others has one.
    """
    paper = {tag: (row[0], row[1]) for tag, row in TABLES_1_AND_4.items()}
    rows: list[tuple[str, ...]]
    if not any(tag in paper for tag, _ in counts):
        rows = [("dataset", "task", "questions")]
        rows += [(tag, task, str(n)) for (tag, task), n in counts.items()]
        return markdown_table(rows) + "\n"
    cells = dict.fromkeys((tag, task) for tag, (task, _) in paper.items())
    rows = [("dataset", "task", "questions", "Table 13", "difference")]
    total, expected = 0, 0
    for tag, task in [*cells, *(cell for cell in counts if cell not in cells)]:
        n = counts.get((tag, task), 0)
        its = paper[tag][1] if (tag, task) in cells else None
        shown = ("-", "-") if its is None else (str(its), f"{n - its:+d}" if n != its else "0")
        rows.append((tag, task, str(n), *shown))
        total, expected = total + n, expected + (its or 0)
    rows.append(("all", "", str(total), str(expected), f"{total - expected:+d}"))
    return markdown_table(rows) + "\n"


def _accepted(
    datasets: Sequence[Mapping[str, Any]], reject: Callable[[Failure], None]
) -> Iterator[SourceQuestion]:
    from data_prep.datasets import open_dataset

    seen: set[str] = set()
    for options in datasets:
        for item in tqdm(open_dataset(options), desc=f"questions: {options.get('name')}", unit="q"):
            if isinstance(item, Rejected):
                reject(Failure(item.dataset, item.place, item.reason, item.detail))
            elif reason := _unusable(item, seen):
                reject(Failure(item.dataset, item.question_id, reason))
            else:
                seen.add(item.question_id)
                yield item


def _unusable(question: SourceQuestion, seen: set[str]) -> str | None:
    texts = (
        question.question_id,
        question.question,
        question.image_id,
        question.ground_truth,
        *question.answers,
    )
    if not all(_is_unicode(text) for text in texts):
        return "text that is not valid Unicode"
    if not question.question_id or not question.question.strip() or not question.image_id:
        return "no question, id or image"
    if "<image>" in question.question or OTHER_MARKS.search(question.question):
        return "a mark of the processor in the question"
    if question.task not in TASKS:
        return f"task is neither {' nor '.join(TASKS)}"
    return "question_id stands twice" if question.question_id in seen else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
