"""ECE over the checkpoints of a training run (Figures 6 and 8 of the paper): one panel a
dataset, one line a subset.

A run is a family of models NAME@STEP, with at least two steps; NAME itself is its end. The base
and the SFT model, where they were evaluated too, stand at the left. Verbal confidences, or the
first protocol if there are no Verbal ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from eval.figures.style import INK, SERIES, figure_title, line_places, new_figure, save_figure, tidy
from eval.naming.model_names import checkpoint, model_title, ordered_models, protocol_title
from eval.numbers.summarise import ALL_QUESTIONS, POOLED
from eval.numbers.values import BySlice, Interval, Models, Slices
from eval.records import VERBAL
from eval.tables.metric_columns import protocols_of
from eval.tables.table import interval

_PANELS_A_ROW = 4


@dataclass(frozen=True)
class Course:
    """ECE of one run's checkpoints.

    Attributes:
        family: NAME.
        labels: of the places on the horizontal axis: base, SFT, steps, end.
        panels: dataset or "all questions" -> line (a subset, or "all") -> value at each
            place, None where unknown.
    """

    family: str
    protocol: str
    labels: tuple[str, ...]
    panels: dict[str, dict[str, list[Interval | None]]]


def checkpoint_courses(models: Models, sliced: Slices) -> list[Course]:
    """A course for each run with at least two steps.

    Args:
        models, sliced: of a `content.Report`.
    """
    families = [checkpoint(model)[0] for model in models if checkpoint(model)[1] is not None]
    return [
        _course(family, models, sliced)
        for family in dict.fromkeys(families)
        if families.count(family) > 1
    ]


def _course(family: str, models: Models, sliced: Slices) -> Course:
    run = ordered_models(model for model in models if checkpoint(model)[0] == family)
    names = [*(name for name in ("base", "sft") if name in models and name != family), *run]
    protocol = (
        VERBAL
        if all(VERBAL in models[name] for name in run)
        else protocols_of({run[0]: models[run[0]]})[0]
    )
    by_dataset = [models[name].get(protocol, {}) for name in names]
    by_slice = [sliced.get(name, {}).get(protocol, {}) for name in names]
    panels: dict[str, dict[str, list[Interval | None]]] = {}
    datasets = dict.fromkeys(chain.from_iterable(by_dataset))
    for dataset in sorted(datasets, key=lambda name: (name != POOLED, name)):
        lines = {"all": [interval(cells.get(dataset), "ece") for cells in by_dataset]}
        title = ALL_QUESTIONS if dataset == POOLED else dataset
        panels[title] = lines | _subset_lines(dataset, by_slice)
    return Course(family, protocol, tuple(_label(name, family) for name in names), panels)


def _subset_lines(
    dataset: str, by_slice: Sequence[Mapping[str, BySlice]]
) -> dict[str, list[Interval | None]]:
    """Subset -> its value at each place.

    Args:
        dataset: its tag, or "pooled".
        by_slice: of each place, dimension -> slice -> values.
    """
    # A slice of the dimension "dataset_subset" is called DATASET/SUBSET.
    dimension, owner = ("subset", "") if dataset == POOLED else ("dataset_subset", dataset)
    cells = [dimensions.get(dimension, {}) for dimensions in by_slice]
    names = dict.fromkeys(chain.from_iterable(cells))
    lines: dict[str, list[Interval | None]] = {}
    for name in names:
        before, _, subset = name.rpartition("/")
        if before == owner:
            lines[subset] = [interval(part.get(name), "ece") for part in cells]
    return lines


def _label(model: str, family: str) -> str:
    if model == family:
        return "end"
    step = checkpoint(model)[1]
    return model_title(model) if step is None else f"{step:,}"


def draw_checkpoints(path: Path, courses: list[Course]) -> None:
    """Write the figure as PNG and SVG, atomically; the runs one below the other.

    Args:
        path: of the PNG file.
        courses: at least one.
    """
    columns = min(max(len(course.panels) for course in courses), _PANELS_A_ROW)
    rows = [-(-len(course.panels) // columns) for course in courses]
    figure = new_figure(max(3.1 * columns + 0.4, 6.4), 2.9 * sum(rows) + 0.9)
    axes = figure.subplots(sum(rows), columns, squeeze=False)
    first = 0
    for course, height in zip(courses, rows, strict=True):
        block = list(axes[first : first + height].ravel())
        for axis, (dataset, lines) in zip(block, course.panels.items(), strict=False):
            _draw_panel(axis, course, dataset, lines)
        for axis in block[len(course.panels) :]:
            axis.remove()
        first += height
    protocols = ", ".join(dict.fromkeys(protocol_title(course.protocol) for course in courses))
    figure_title(figure, f"ECE over checkpoints, {protocols} protocol (bars: 95 % bootstrap)")
    save_figure(figure, path)


def _draw_panel(
    axis: Any, course: Course, dataset: str, lines: Mapping[str, list[Interval | None]]
) -> None:
    places = line_places(chain.from_iterable(course.panels.values()))
    for name, values in lines.items():
        colour = SERIES[places[name] % len(SERIES)]
        known = [(step, value) for step, value in enumerate(values) if value is not None]
        steps, heights = [step for step, _ in known], [value.value for _, value in known]
        style = {"linewidth": 2.1} if name == "all" else {"linewidth": 1.2}
        axis.plot(steps, heights, "o-", markersize=3.5, color=colour, label=name, **style)
        if name == "all":
            for step, value in known:
                if not math.isnan(value.low):
                    axis.plot(
                        [step, step],
                        [value.low, value.high],
                        color=colour,
                        linewidth=1,
                        alpha=0.6,
                    )
    axis.set_title(
        f"{model_title(course.family)}: {dataset}",
        loc="left",
        fontsize=10,
        fontweight="bold",
        color=INK,
    )
    axis.set_xticks(range(len(course.labels)), labels=course.labels, rotation=30, ha="right")
    axis.set(xlabel="checkpoint (GRPO step)", ylabel="ECE")
    axis.set_ylim(bottom=0)
    tidy(axis)
    if len(lines) > 1:
        axis.legend(frameon=False, fontsize=7, labelcolor=INK)
