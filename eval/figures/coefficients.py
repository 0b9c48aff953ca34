"""Heatmap of the reward's coefficients by dataset (Figure 4 of the paper): ours, and the
paper's Table 4 beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.figures.style import ACCENT, INK, figure_title, new_figure, save_figure
from reward_fns.coefficients_file import Coefficients
from reward_fns.difficulty import coefficients as table4
from reward_fns.difficulty import paper_statistics

NAMES = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ"}
MEANING = {
    "alpha": "weight of true claims",
    "beta": "weight of tags that agree with the claims' labels",
    "gamma": "weight of confidence that agrees with the tags",
    "delta": "penalty of a wrong confidence",
}


def paper_coefficients() -> dict[str, Coefficients]:
    """Table 4: the paper's fourteen datasets."""
    return {statistics.dataset: table4(statistics.dataset) for statistics in paper_statistics()}


def draw_coefficients(path: Path, ours: Mapping[str, Coefficients]) -> None:
    """Write the figure as PNG and SVG, atomically; both panels share one colour scale.

    Args:
        path: of the PNG file.
        ours: dataset -> coefficients, at least one.
    """
    from matplotlib.colors import LinearSegmentedColormap

    panels = {"this run": ours, "paper, Table 4": paper_coefficients()}
    top = max(
        getattr(row, name) for rows in panels.values() for row in rows.values() for name in NAMES
    )
    scale = LinearSegmentedColormap.from_list("accent", ["#f5f8f8", ACCENT])
    widths = [max(len(rows), 3) for rows in panels.values()]
    figure = new_figure(0.62 * sum(widths) + 1.6, 3.9)
    axes = figure.subplots(1, 2, width_ratios=widths)
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, title, rows, scale, top)
    figure_title(figure, "Reward coefficients by dataset")
    save_figure(figure, path)


def _draw_panel(
    axis: Any, title: str, rows: Mapping[str, Coefficients], scale: Any, top: float
) -> None:
    values = np.array(
        [[getattr(row, name) for row in rows.values()] for name in NAMES]
    )  # (4, datasets)
    axis.pcolormesh(values, cmap=scale, vmin=0, vmax=top, edgecolors="white", linewidth=1.5)
    for i, j in np.ndindex(*values.shape):
        ink = "white" if values[i, j] > 0.55 * top else INK
        axis.text(
            j + 0.5,
            i + 0.5,
            f"{values[i, j]:.2f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color=ink,
        )
    axis.invert_yaxis()
    axis.set_xticks(
        np.arange(len(rows)) + 0.5,
        labels=list(rows),
        rotation=40,
        ha="right",
        fontsize=8,
        color=INK,
    )
    axis.set_yticks(
        np.arange(len(NAMES)) + 0.5, labels=list(NAMES.values()), fontsize=11, color=INK
    )
    axis.tick_params(length=0)
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axis.set_frame_on(False)
