"""What the figures of the report share: colours, bare axes, a title at the left, and
writing PNG and SVG whole.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.paper import SUBSETS
from reward_fns.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#263238", "#e6eaed"
ACCENT = "#0f6b6b"
OVER, UNDER = "#e9a374", "#74b0d6"  # over- and under-confident: told apart with any colour vision
SERIES = (
    "#0f6b6b",
    "#c8622d",
    "#5b6c9e",
    "#8a8f3c",
    "#7d4f73",
)  # lines and bars, apart in hue and lightness
MODEL_COLOURS = {"rl": "#762a83", "rl_proper": "#3f9a4b", "rl_segments": "#2b6cb0"}
_OTHER_MODELS = ("#546e7a", "#b0722a", "#90a4ae")


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


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """A colour for each model, the same in every figure for those of `MODEL_COLOURS`."""
    others = iter(_OTHER_MODELS * len(models))
    return {model: MODEL_COLOURS.get(model) or next(others) for model in models}


def line_places(names: Iterable[str]) -> dict[str, int]:
    """Name of a line -> its place in a palette: fixed for all answers and the paper's
    subsets, so that a colour means the same in every panel whichever lines it has;
    other names follow, by name.

    >>> line_places(["neutral", "b", "a"])
    {'all': 0, 'entailment': 1, 'contradiction': 2, 'neutral': 3, 'a': 4, 'b': 5}
    """
    fixed = ("all", *SUBSETS)
    return {name: place for place, name in enumerate((*fixed, *sorted(set(names) - set(fixed))))}


def save_figure(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG to `path` and as SVG beside it, each whole or not at all;
    no date in it.

    Names of models and data sets stand in it, whose dollars are no formulas.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    for suffix, metadata in (
        (".png", {"Software": None}),
        (".svg", {"Date": None, "Creator": None}),
    ):
        content = io.BytesIO()
        with rc_context(
            {"svg.hashsalt": path.stem, "svg.fonttype": "path"}
        ):  # the same figure, the same file
            figure.savefig(content, format=suffix[1:], dpi=160, metadata=metadata)
        write_bytes(path.with_suffix(suffix), content.getvalue())
