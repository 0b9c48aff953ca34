"""The figure of GRPO's training curves: ECE, confidences at 0 or 1, Brier score, accuracy
with mean confidence.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.figures.style import (
    INK,
    figure_title,
    model_colours,
    new_figure,
    percent,
    save_figure,
    tidy,
)
from eval.naming.model_names import model_title
from eval.numbers.training_curves import Curves, trailing_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED_STEPS = 5
_FEW_STEPS = 12  # up to here each step is marked
_TICK_STEPS = (1, 2, 2.5, 5, 10)
_LineStyle = str | tuple[int, tuple[float, float]]
_STYLES: tuple[_LineStyle, ...] = ("-", (0, (3, 1.6)))


def draw_training(path: Path, training: Mapping[str, Curves]) -> None:
    """Write the figure as PNG and SVG, atomically.

    Args:
        training: model -> curves of `training.read_training`, at least one.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(8.6, 6.1)
    axes = figure.subplots(2, 2, sharex=True)
    (ece, extreme), (brier, accuracy) = axes
    panels = (
        (ece, "ECE", "of a step's rollouts", ("ece",)),
        (extreme, "Confidences at 0 or 1", "share of a step's rollouts", ("at_0_or_1",)),
        (brier, "Brier score", "mean squared error of the confidence", ("brier",)),
        (
            accuracy,
            "Accuracy, mean confidence",
            "solid: accuracy; dashed: confidence",
            ("accuracy", "confidence_mean"),
        ),
    )
    colours = model_colours(list(training))
    for axis, title, note, names in panels:
        for model, curves in training.items():
            for name, style in zip(names, _STYLES, strict=False):
                _draw_curve(axis, curves["steps"], curves[name], colours[model], style)
        axis.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=20)
        axis.text(0, 1.025, note, transform=axis.transAxes, fontsize=9, color=INK, va="bottom")
        if not any(
            value is not None
            for curves in training.values()
            for name in names
            for value in curves[name]
        ):
            axis.text(
                0.5, 0.5, "not logged", transform=axis.transAxes, fontsize=9, color=INK, ha="center"
            )
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=_TICK_STEPS))
        tidy(axis)
    for axis in (extreme, accuracy):
        axis.set_ylim(0, 1.03)  # room for a line at 100 %
        axis.yaxis.set_major_formatter(percent)
    steps = [step for curves in training.values() for step in curves["steps"]]
    span = max(steps) - min(steps)
    margin = max(span / 50, 0.2) if span else 1
    for axis in axes[1]:
        axis.set_xlabel("GRPO step")
        axis.set_xlim(min(steps) - margin, max(steps) + margin)
        axis.xaxis.set_major_locator(
            MaxNLocator(integer=True, nbins=8, steps=_TICK_STEPS, min_n_ticks=1)
        )
    figure_title(figure, "Confidence during GRPO, on the rollouts that each step trained on")
    _legend(figure, colours)
    save_figure(figure, path)


def _draw_curve(
    axis: "Axes",
    steps: Sequence[int],
    values: Sequence[float | None],
    colour: str,
    style: _LineStyle,
) -> None:
    """The values as a thin line under their trailing mean; dots where a line of few
    points would hide them.
    """
    raw = [float("nan") if value is None else value for value in values]
    axis.plot(steps, raw, color=colour, alpha=0.3, linewidth=0.8, linestyle=style, zorder=2)
    if len(steps) <= _FEW_STEPS:
        axis.plot(
            steps, raw, "o", color=colour, alpha=0.7, markersize=4, markeredgewidth=0, zorder=4
        )
    smooth = trailing_mean(values, SMOOTHED_STEPS)
    axis.plot(
        steps,
        smooth,
        color=colour,
        linewidth=1.9,
        linestyle=style,
        zorder=3,
        solid_capstyle="round",
    )


def _legend(figure: "Figure", colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    models = [
        Line2D([], [], color=colour, linewidth=1.9, label=model_title(m))
        for m, colour in colours.items()
    ]
    kinds = [
        Line2D([], [], color=INK, linewidth=1.9, label=f"mean of the last {SMOOTHED_STEPS} steps"),
        Line2D([], [], color=INK, alpha=0.4, linewidth=0.8, label="each step"),
    ]
    handles = models + kinds
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
