"""The operating curve: hallucination rate against recall as unsure claims are
dropped, a line a model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.benchmarks.operating_curve import Point
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


def draw_operating_curves(path: Path, curves: Mapping[str, Sequence[Point]]) -> None:
    """Write the figure as PNG and SVG, atomically.

    Args:
        path: of the PNG file.
        curves: model -> points; the first point, a dot, is the model with all its claims.
    """
    figure = new_figure(5.6, 4.2)
    axis = figure.subplots()
    colours = model_colours(list(curves))
    for model, points in curves.items():
        left = [point for point in points if point.rate == point.rate]
        if not left:
            continue
        recall, rate = [point.recall for point in left], [point.rate for point in left]
        axis.plot(recall, rate, color=colours[model], linewidth=1.6, label=model_title(model))
        axis.plot(recall[:1], rate[:1], "o", color=colours[model], markersize=5)
    axis.set(
        xlabel="recall: share of the images' objects told",
        ylabel="hallucinated share of mentions",
    )
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_formatter(percent)
    axis.yaxis.set_major_formatter(percent)
    tidy(axis)
    if axis.get_lines():
        axis.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure_title(figure, "Dropping unsure claims")
    save_figure(figure, path)
