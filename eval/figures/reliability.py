"""The reliability diagram: one panel a model, accuracy by bin of confidence above, share
of answers by bin below.

A bar stands at the mean confidence of its bin, so that the diagonal is where the gap ends.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.figures.style import (
    INK,
    OVER,
    UNDER,
    figure_title,
    new_figure,
    percent,
    save_figure,
    tidy,
)
from eval.metrics import DEFAULT_BINS, ReliabilityBins, reliability_bins
from eval.naming.model_names import checkpoint, model_title, protocol_title
from eval.numbers.summarise import POOLED, scored
from eval.numbers.values import BySlice, SliceValues
from eval.records import AnswerRecord
from eval.tables.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = "#b6c2cc"
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_PANELS_A_ROW = 4
_BAR_WIDTH = 0.08
_ACROSS = (-_BAR_WIDTH / 2 - 0.005, 1 + _BAR_WIDTH / 2 + 0.005)  # room for a bar at 0 and at 1


def draw_reliability(
    path: Path,
    answers: Mapping[str, Sequence[AnswerRecord]],
    cells: Mapping[str, BySlice],
    protocol: str,
    questions: str = "all questions pooled",
) -> None:
    """Write the diagram as PNG and SVG, atomically; at most four panels side by side.

    Args:
        path: of the PNG file.
        answers: model -> its records of one protocol, pooled over datasets, in the order of the
            panels. Checkpoints within a training run (NAME@STEP) are left out if there is any
            other model; `checkpoint_figure` has them.
        cells: model -> dataset -> values of `report.summarise`, for the titles.
        protocol, questions: named in the figure's title.
    """
    models = [model for model in answers if checkpoint(model)[1] is None] or list(answers)
    columns = min(len(models), _PANELS_A_ROW)
    rows = -(-len(models) // columns)
    figure = new_figure(max(2.75 * columns + 0.7, 5.2), 4.8 * rows + 0.5)
    axes = figure.subplots(
        2 * rows, columns, sharex=True, sharey=False, squeeze=False, height_ratios=[3.1, 1] * rows
    )
    bins_of = {model: reliability_bins(*scored(answers[model])) for model in models}
    shares = {model: bins.count / max(bins.count.sum(), 1) for model, bins in bins_of.items()}
    highest = max(0.1, *(share.max() for share in shares.values()))
    for place, model in enumerate(models):
        row, column = divmod(place, columns)
        top, below = axes[2 * row, column], axes[2 * row + 1, column]
        bins, share = bins_of[model], shares[model]
        _draw_bins(top, bins)
        filled = bins.count > 0
        places = bins.mean_confidence[filled]
        below.bar(places, share[filled], width=bar_widths(places), color=_BAR)
        _label_shares(below, places, share[filled])
        _title(top, model, cells[model][POOLED])
        for axis in (top, below):
            tidy(axis)
        top.set(ylim=(0, 1), xlim=_ACROSS, yticks=_TICKS, ylabel="" if column else "accuracy")
        below.set(ylim=(0, highest * 1.18), xlabel="confidence", ylabel="" if column else _SHARE)
        below.set_xticks(_TICKS, labels=["0", "", "0.5", "", "1"])
        below.tick_params(labelbottom=True)
        below.yaxis.set_major_formatter(percent)
    for place in range(len(models), rows * columns):
        row, column = divmod(place, columns)
        axes[2 * row, column].remove()
        axes[2 * row + 1, column].remove()
    figure_title(figure, f"Reliability, {protocol_title(protocol)} protocol, {questions}")
    _legend(figure, columns=4 if columns > 2 else 2)
    save_figure(figure, path)


_SHARE = "share of\nanswers"


def bar_widths(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Widths of bars that stand at the bins' mean confidences: narrower where two would overlap.

    A bar across its bin would set answers that all say 0.7 at 0.75, beside the
    diagonal on which they may lie.

    Args:
        means: (bins,), ascending, in [0, 1].

    >>> bar_widths(np.array([0.1, 0.7, 0.75])).round(3).tolist()
    [0.08, 0.045, 0.045]
    """
    gaps = np.diff(means, prepend=-1, append=2)
    return np.minimum(_BAR_WIDTH, 0.9 * np.minimum(gaps[:-1], gaps[1:]))


def _draw_bins(axis: "Axes", bins: ReliabilityBins) -> None:
    """Bars of mean accuracy, and the gap to the mean confidence of the bin,
    coloured by its direction.
    """
    filled = bins.count > 0
    accuracy, confidence = bins.mean_correct[filled], bins.mean_confidence[filled]
    width = bar_widths(confidence)
    agreed = np.minimum(
        accuracy, confidence
    )  # the gap stands on it, so that its colour is not mixed with the bar's
    axis.bar(confidence, agreed, width=width, color=_BAR, zorder=2)
    for mask, colour in ((confidence > accuracy, OVER), (confidence < accuracy, UNDER)):
        axis.bar(
            confidence[mask],
            np.abs(confidence - accuracy)[mask],
            bottom=agreed[mask],
            width=width[mask],
            facecolor=colour,
            zorder=3,
        )
    left = confidence - width / 2
    axis.hlines(accuracy, left, left + width, color=INK, linewidth=1.6, zorder=4)
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=5)


def _label_shares(axis: "Axes", places: NDArray[np.float64], share: NDArray[np.float64]) -> None:
    """Percentages over the bars, so that a bin with few answers is not over-read."""
    for place, value in zip(places, share, strict=True):
        text = f"{100 * value:.0f}" if value >= 0.005 else "<1"
        axis.text(place, value, text, ha="center", va="bottom", fontsize=6.5, color=INK)


def _title(axis: "Axes", model: str, cell: SliceValues) -> None:
    failures = f", {cell.parse_failures} parse failures" if cell.parse_failures else ""
    axis.set_title(
        model_title(model), loc="left", fontsize=11, fontweight="bold", color=INK, pad=34
    )
    axis.text(
        0,
        1.02,
        f"ECE {number(cell.value('ece'))}   AUROC {number(cell.value('auroc'))}\n"
        f"n = {cell.n:,}{failures}, {DEFAULT_BINS} bins",
        transform=axis.transAxes,
        fontsize=9,
        color=INK,
        va="bottom",
        linespacing=1.35,
    )


def _legend(figure: "Figure", columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=INK, linewidth=1.6, label="accuracy in the bin"),
        Patch(color=OVER, label="over-confident by"),
        Patch(color=UNDER, label="under-confident by"),
        Line2D(
            [], [], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="perfect calibration"
        ),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
