"""Step `splits`: training, SFT, selection and evaluation, by dataset and subset, disjoint by image.

A cell is a dataset and a subset: entailment, contradiction, neutral, and unpaired for questions
without a label. Of each cell `train` questions go to GRPO training, `sft` to SFT and `selection` to
choosing a checkpoint, the rest to evaluation (the paper: 33 of each of 14 x 3 cells to training).
All questions about one picture, over all datasets, go to one side. A dataset whose side the
configuration fixes (`use_for` in its entry: a publisher's own test split, say) goes there whole,
and takes its pictures along.

    splits.jsonl  {question_id, dataset, subset, split}, split is one of `SPLITS`
    splits.md     the number of questions in each cell

Where the numbers cannot be had:
- A cell with fewer than 2 (train + sft + selection) questions gives at most half of its questions,
  divided in proportion, rounded down: evaluation keeps the other half.
- An image is taken if no cell gets more than its number through it; the smallest cells choose
  first, each in a random order of its images (SHA-256 of seed and image id). A cell whose
  remaining images would overfill another one stays short.
In both cases the table says "16 of 33".

The result depends on seed, labels and image ids alone, not on the order of the questions.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_prep.markdown import markdown_table
from data_prep.questions import SPLITS, SourceQuestion
from data_prep.steps.context import Context
from data_prep.steps.statistics.tally import LABELS
from data_prep.steps.step_log import Counts, Failure, Record, RecordFile, join
from reward_fns.errors import UserError
from reward_fns.files import write_text

UNPAIRED = "unpaired"
SUBSETS = (*LABELS, UNPAIRED)
Cell = tuple[str, str]
"""Dataset and subset."""


@dataclass(frozen=True)
class SplitsConfig:
    """Questions a cell.

    Attributes:
        train: for GRPO training.
        sft: for SFT and R-Tuning (24 a cell of the paper's 42 are its 1,000).
        selection: for choosing GRPO's checkpoint; the paper has none.
        unpaired: whether questions without a label are a cell of their own; else they are left out.
    """

    train: int = 33
    sft: int = 24
    selection: int = 0
    unpaired: bool = True

    def __post_init__(self) -> None:
        if min(self.per_cell) < 0:
            raise ValueError(
                "splits.train, splits.sft and splits.selection must be at least 0, got "
                f"{', '.join(map(str, self.per_cell))}"
            )

    @property
    def per_cell(self) -> tuple[int, ...]:
        """The numbers, in the order of `SPLITS`; evaluation has none."""
        return self.train, self.sft, self.selection


def run(context: Context, settings: SplitsConfig) -> Counts:
    """Write the files above."""
    images: dict[str, list[Cell]] = defaultdict(list)
    fixed: dict[str, str] = {}
    once: dict[Cell, Cell] = {}  # one object a cell, or the file's texts would stay in memory
    for question, _, cell in _cells(context):
        if settings.unpaired or cell[1] != UNPAIRED:
            images[question.image_id].append(once.setdefault(cell, cell))
            side = question.use_for
            if side is not None and fixed.setdefault(question.image_id, side) != side:
                raise UserError(
                    f"image {question.image_id} is in a dataset for {fixed[question.image_id]} "
                    f"and in one for {question.use_for}: take it out of one of them"
                )
    sizes = Counter(cell for cells in images.values() for cell in cells)
    free = {image: cells for image, cells in images.items() if image not in fixed}
    divided = Counter(cell for cells in free.values() for cell in cells)
    wanted = {cell: quota(size, *settings.per_cell) for cell, size in divided.items()}
    sides = fixed | allocate(free, wanted, context.seed())
    counts: Counter[tuple[Cell, str]] = Counter()
    left_out = 0
    with (
        RecordFile(context.run / "splits.jsonl") as splits,
        RecordFile(context.failures) as failures,
    ):
        for question, label, cell in _cells(context):
            if cell not in sizes:
                left_out += 1
                failures.add(
                    Failure(question.dataset, question.question_id, UNPAIRED, str(label["reason"]))
                )
                continue
            split = sides.get(question.image_id, "evaluation")
            counts[cell, split] += 1
            splits.add(
                {
                    "question_id": question.question_id,
                    "dataset": cell[0],
                    "subset": cell[1],
                    "split": split,
                }
            )
    write_text(context.run / "splits.md", table(counts, sizes, divided, settings.per_cell))
    return Counts(
        sizes.total() + left_out, counts.total(), {UNPAIRED: left_out} if left_out else {}
    )


def _cells(context: Context) -> Iterator[tuple[SourceQuestion, Record, Cell]]:
    for question, (label,) in join(context.questions(images=False), context.run / "labels.jsonl"):
        if label is not None:
            yield question, label, (question.dataset, label["label"] or UNPAIRED)


def quota(size: int, *asked: int) -> tuple[int, ...]:
    """What a cell of `size` questions gives to each side that asks for some.

    >>> quota(100, 33, 12)
    (33, 12)
    >>> quota(45, 33, 12)  # 45 < 90: 22 to divide, 22 * 33 / 45 = 16.1 and 22 * 12 / 45 = 5.9
    (16, 5)
    """
    together = sum(asked)
    if size >= 2 * together:
        return asked
    half = size // 2
    return tuple(half * number // together for number in asked)


def allocate(
    images: Mapping[str, Sequence[Cell]], wanted: Mapping[Cell, Sequence[int]], seed: int
) -> dict[str, str]:
    """The side of each image; those that are not in it are for evaluation.

    Args:
        images: image id -> the cell of each question about it.
        wanted: cell -> its number for each of `SPLITS` but the last, which no cell exceeds.
    """
    order = sorted(images, key=lambda image: hashlib.sha256(f"{seed}/{image}".encode()).digest())
    of_cell: dict[Cell, list[str]] = defaultdict(list)
    for image in order:
        for cell in sorted(set(images[image])):
            of_cell[cell].append(image)
    sizes = Counter(cell for cells in images.values() for cell in cells)
    side: dict[str, str] = {}
    for index, split in enumerate(SPLITS[:-1]):
        room = Counter({cell: numbers[index] for cell, numbers in wanted.items()})
        for cell in sorted(of_cell, key=lambda cell: (sizes[cell], cell)):
            for image in of_cell[cell]:
                if not room[cell]:
                    break
                needed = Counter(images[image])
                if image not in side and needed <= room:
                    side[image] = split
                    room.subtract(needed)
    return side


def table(
    counts: Mapping[tuple[Cell, str], int],
    sizes: Mapping[Cell, int],
    divided: Mapping[Cell, int],
    asked: Sequence[int],
) -> str:
    """The number of questions in each cell and split, as a Markdown table.

    Args:
        divided: number of questions of each cell whose side was not fixed.
        asked: the configured numbers, of each of `SPLITS` but the last.

    Raises:
        RuntimeError: a row does not add up.
    """
    rows: list[tuple[str, ...]] = [("dataset", "subset", "questions", *SPLITS)]
    total: Counter[str] = Counter()
    order = list(dict.fromkeys(dataset for dataset, _ in sizes))
    for cell in sorted(sizes, key=lambda cell: (order.index(cell[0]), SUBSETS.index(cell[1]))):
        numbers = {split: counts.get((cell, split), 0) for split in SPLITS}
        if sum(numbers.values()) != sizes[cell]:
            raise RuntimeError(
                f"the splits of {cell} hold {numbers}, which are not its {sizes[cell]} questions"
            )
        total.update(numbers)
        wanted = zip(SPLITS[:-1], asked, strict=True) if divided.get(cell) else ()
        short = {split: n for split, n in wanted if numbers[split] < n}
        shown = {split: f"{numbers[split]} of {n}" for split, n in short.items()}
        rows.append(
            (*cell, str(sizes[cell]), *(shown.get(split, str(numbers[split])) for split in SPLITS))
        )
    rows.append(("all", "", str(total.total()), *(str(total[split]) for split in SPLITS)))
    return markdown_table(rows) + "\n"
