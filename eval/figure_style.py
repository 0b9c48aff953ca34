"""What the figures of the report share: ink and grid, bare axes, a title at the left, and writing a file whole."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#263238", "#e6eaed"


def new_figure(width: float, height: float) -> "Figure":
    """An empty white figure, in inches, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def figure_title(figure: "Figure", text: str) -> None:
    """The figure's title, at the left."""
    figure.suptitle(text, color=INK, fontsize=12, x=0.01, ha="left")


def tidy(axis: "Axes") -> None:
    """A light grid, no frame but the base line, small labels."""
    axis.set_axisbelow(True)
    axis.grid(color=GRID, linewidth=0.8)
    axis.tick_params(length=0, labelsize=8, colors=INK)
    axis.xaxis.label.set(color=INK, fontsize=9)
    axis.yaxis.label.set(color=INK, fontsize=9)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(INK)


def percent(value: float, _: object = None) -> str:
    """A share as a tick label."""
    return f"{100 * value:.0f} %"


def save_png(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG: beside it first, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    figure.savefig(beside, format="png", dpi=160)
    os.replace(beside, path)
