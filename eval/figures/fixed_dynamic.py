"""Fixed against dynamic coefficients (Figure 5 of the paper): ECE and AUROC by protocol, for
QA and Detail questions.

A pair is NAME, trained with coefficients that depend on the dataset, and NAME_fixed,
trained with all of them 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.figures.style import ACCENT, INK, figure_title, new_figure, save_figure, tidy
from eval.naming.model_names import FIXED_SUFFIX, model_title, protocol_title
from eval.numbers.values import Interval, Models, Slices
from eval.tables.metric_columns import ESTIMATOR_NOTES
from eval.tables.table import Cell, Column, Table, interval

_FIXED, _DYNAMIC = "#b6c2cc", ACCENT
_METRICS = (("ece", "ECE ↓"), ("auroc", "AUROC ↑"))


@dataclass(frozen=True)
class FixedAndDynamic:
    """Values of one pair: (task, metric) -> protocol -> (fixed, dynamic), None where undefined."""

    model: str
    values: dict[tuple[str, str], dict[str, tuple[Interval | None, Interval | None]]]


def fixed_and_dynamic(models: Models, sliced: Slices) -> list[FixedAndDynamic]:
    """A pair for each model NAME that stands beside NAME_fixed.

    Args:
        models, sliced: of a `content.Report`.
    """
    pairs = [_pair(model, sliced) for model in models if f"{model}{FIXED_SUFFIX}" in models]
    return [pair for pair in pairs if pair.values]


def _pair(model: str, sliced: Slices) -> FixedAndDynamic:
    dynamic, fixed = sliced[model], sliced[f"{model}{FIXED_SUFFIX}"]
    values: dict[tuple[str, str], dict[str, tuple[Interval | None, Interval | None]]] = {}
    for protocol in (name for name in dynamic if name in fixed):
        for task, cell in dynamic[protocol].get("task", {}).items():
            other = fixed[protocol].get("task", {}).get(task)
            for metric, _ in _METRICS:
                values.setdefault((task, metric), {})[protocol] = (
                    interval(other, metric),
                    interval(cell, metric),
                )
    return FixedAndDynamic(model, values)


def fixed_dynamic_table(pairs: list[FixedAndDynamic]) -> Table | None:
    """The same values: a row a pair, task and protocol; None without a pair."""
    rows: list[tuple[Cell, ...]] = []
    for pair in pairs:
        for task in dict.fromkeys(task for task, _ in pair.values):
            for protocol in pair.values[task, "ece"]:
                row: list[Cell] = [model_title(pair.model), task, protocol_title(protocol)]
                for metric, _ in _METRICS:
                    row += pair.values[task, metric][protocol]
                rows.append(tuple(row))
    columns = (
        *map(Column, ("model", "task", "protocol")),
        *(Column(name, group=title) for _, title in _METRICS for name in ("fixed", "dynamic")),
    )
    title = "Fixed and dynamic reward coefficients"
    return Table("fixed_dynamic", title, columns, tuple(rows), ESTIMATOR_NOTES) if rows else None


def draw_fixed_and_dynamic(path: Path, pairs: list[FixedAndDynamic]) -> None:
    """Write the figure as PNG and SVG, atomically: a row a pair and metric, a column a task.

    Args:
        path: of the PNG file.
        pairs: at least one.
    """
    from matplotlib.patches import Patch

    tasks = sorted(
        {task for pair in pairs for task, _ in pair.values}, reverse=True
    )  # QA before Detail
    figure = new_figure(4.2 * len(tasks) + 0.4, 2.7 * 2 * len(pairs) + 0.8)
    axes = figure.subplots(2 * len(pairs), len(tasks), squeeze=False, sharey="row")
    for place, pair in enumerate(pairs):
        for row, (metric, title) in enumerate(_METRICS):
            for column, task in enumerate(tasks):
                axis = axes[2 * place + row, column]
                _draw_bars(axis, pair.values.get((task, metric), {}))
                axis.set_title(
                    f"{model_title(pair.model)}: {task}",
                    loc="left",
                    fontsize=10,
                    fontweight="bold",
                    color=INK,
                )
                axis.set_ylabel("" if column else title)
            axes[2 * place + row, 0].set_ylim(bottom=0)
    figure_title(figure, "Fixed and dynamic reward coefficients (bars: 95 % bootstrap)")
    handles = [Patch(color=_FIXED, label="fixed (all 1)"), Patch(color=_DYNAMIC, label="dynamic")]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
    save_figure(figure, path)


def _draw_bars(
    axis: Any, by_protocol: Mapping[str, tuple[Interval | None, Interval | None]]
) -> None:
    for place, pair in enumerate(by_protocol.values()):
        for offset, value, colour in zip((-0.2, 0.2), pair, (_FIXED, _DYNAMIC), strict=True):
            if value is None:
                continue
            axis.bar(place + offset, value.value, width=0.38, color=colour, zorder=2)
            if not math.isnan(value.low):
                ends = [value.low, value.high]
                axis.plot([place + offset] * 2, ends, color=INK, linewidth=1, zorder=3)
    axis.set_xticks(range(len(by_protocol)), labels=[protocol_title(name) for name in by_protocol])
    tidy(axis)
