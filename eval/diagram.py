"""The reliability diagram: one panel a model, accuracy by bin of confidence above, share of answers by bin below."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.figure_style import INK, figure_title, new_figure, percent, save_png, tidy
from eval.metrics import DEFAULT_BINS, ReliabilityBins, reliability_bins
from eval.records import AnswerRecord
from eval.report import POOLED, scored
from eval.tables import model_title, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = "#b6c2cc"
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_OVER, _UNDER = "#e9a374", "#74b0d6"  # told apart with any colour vision


def draw_reliability(
    path: Path, answers: Mapping[str, Sequence[AnswerRecord]], cells: Mapping[str, Mapping[str, Any]], protocol: str
) -> None:
    """Write the diagram as PNG, atomically.

    Args:
        answers: model -> its records of one protocol, pooled over datasets, in the order of the panels.
        cells: model -> dataset -> values of `report.summarise`, for the titles.
        protocol: named in the figure's title.
    """
    models = list(answers)
    figure = new_figure(max(2.75 * len(models) + 0.7, 5.2), 5.3)
    axes = figure.subplots(2, len(models), sharex=True, sharey="row", squeeze=False, height_ratios=[3.1, 1])
    for column, model in enumerate(models):
        top, below = axes[:, column]
        bins = reliability_bins(*scored(answers[model]))
        _draw_bins(top, bins)
        share = bins.count / max(bins.count.sum(), 1)
        below.bar(bins.edges[:-1], share, width=1 / DEFAULT_BINS, align="edge", color=_BAR, edgecolor="white")
        _label_shares(below, bins.edges, share)
        _title(top, model, cells[model][POOLED])
        below.set_xlabel("confidence")
        for axis in (top, below):
            tidy(axis)
    axes[0, 0].set(ylim=(0, 1), xlim=(0, 1), ylabel="accuracy", yticks=_TICKS)
    axes[0, 0].set_xticks(_TICKS, labels=["0", "", "0.5", "", "1"])
    axes[1, 0].set(ylabel="share of\nanswers", ylim=(0, axes[1, 0].get_ylim()[1] * 1.18))
    axes[1, 0].yaxis.set_major_formatter(percent)
    figure_title(figure, f"Reliability, {protocol.capitalize()} protocol, all questions pooled")
    _legend(figure, columns=4 if len(models) > 2 else 2)
    save_png(figure, path)


def _draw_bins(axis: "Axes", bins: ReliabilityBins) -> None:
    """Bars of mean accuracy, and the gap to the mean confidence of the bin, coloured by its direction."""
    filled = bins.count > 0
    left, width = bins.edges[:-1][filled], 1 / DEFAULT_BINS
    accuracy, confidence = bins.mean_correct[filled], bins.mean_confidence[filled]
    agreed = np.minimum(accuracy, confidence)  # the gap stands on it, so that its colour is not mixed with the bar's
    axis.bar(left, agreed, width=width, align="edge", color=_BAR, edgecolor="white", zorder=2)
    for mask, colour in ((confidence > accuracy, _OVER), (confidence < accuracy, _UNDER)):
        axis.bar(
            left[mask],
            np.abs(confidence - accuracy)[mask],
            bottom=agreed[mask],
            width=width,
            align="edge",
            facecolor=colour,
            edgecolor="white",
            zorder=3,
        )
    axis.hlines(accuracy, left, left + width, color=INK, linewidth=1.6, zorder=4)
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=5)


def _label_shares(axis: "Axes", edges: NDArray[np.float64], share: NDArray[np.float64]) -> None:
    """Percentages over the bars that hold something, so that a bin with few answers is not over-read."""
    for left, value in zip(edges[:-1], share, strict=True):
        if value > 0:
            text = f"{100 * value:.0f}" if value >= 0.005 else "<1"
            axis.text(left + 0.5 / DEFAULT_BINS, value, text, ha="center", va="bottom", fontsize=6.5, color=INK)


def _title(axis: "Axes", model: str, cell: Mapping[str, Any]) -> None:
    failures = f", {cell['parse_failures']} parse failures" if cell["parse_failures"] else ""
    axis.set_title(model_title(model), loc="left", fontsize=11, fontweight="bold", color=INK, pad=34)
    axis.text(
        0,
        1.02,
        f"ECE {number(cell['ece'])}   AUROC {number(cell['auroc'])}\nn = {cell['n']:,}{failures}, {DEFAULT_BINS} bins",
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
        Patch(color=_OVER, label="over-confident by"),
        Patch(color=_UNDER, label="under-confident by"),
        Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="perfect calibration"),
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5, labelcolor=INK
    )
