"""The reward coefficients of every dataset as a heatmap, like the paper's Figure 4, with
the values in the cells.
"""

import io
from collections.abc import Collection, Mapping

from reward_fns.coefficients_file import Coefficients

_SYMBOLS = {
    "alpha": "α factuality",
    "beta": "β alignment",
    "gamma": "γ consistency",
    "delta": "δ penalty",
}


def heatmap(coefficients: Mapping[str, Coefficients], fallen_back: Collection[str]) -> bytes:
    """PNG, one row a dataset; the datasets in `fallen_back` are marked as not measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    values = [[getattr(row, name) for name in _SYMBOLS] for row in coefficients.values()]
    figure = Figure(
        figsize=(7.5, 1.6 + 0.36 * len(values)), layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    image = axis.imshow(values, cmap="YlGnBu", aspect="auto")
    names = [f"{name} (not measured)" if name in fallen_back else name for name in coefficients]
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xticks(range(len(_SYMBOLS)), list(_SYMBOLS.values()), fontsize=9)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    low, high = image.get_clim()
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            dark = value > low + 0.6 * (high - low) and high > low
            axis.text(
                column,
                row,
                f"{value:.3f}",
                ha="center",
                va="center",
                color="white" if dark else "black",
                fontsize=9,
            )
    figure.colorbar(image, ax=axis, fraction=0.04)
    for text in figure.findobj(Text):  # a dollar in a data set's name begins no formula
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()
