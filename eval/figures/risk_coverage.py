"""The risk-coverage curve: accuracy of the most confident answers, one panel a
protocol, one line a model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.figures.style import (
    INK,
    figure_title,
    model_colours,
    new_figure,
    percent,
    save_figure,
    tidy,
)
from eval.metrics.selective import RiskCoverage, risk_coverage
from eval.naming.model_names import checkpoint, model_title, ordered_protocols, protocol_title
from eval.records import AnswerRecord

_PANELS_A_ROW = 3
_POINTS = 1000  # of a line at most: a curve of every answer would be a large SVG
_LEAST_COVERAGE = 0.02  # the first few answers are noise


def draw_risk_coverage(
    path: Path, answers: Mapping[str, Mapping[str, Sequence[AnswerRecord]]]
) -> None:
    """Write the figure as PNG and SVG, atomically.

    Args:
        path: of the PNG file.
        answers: model -> protocol -> records, at least one. Checkpoints within a training run
            (NAME@STEP) are left out if there is any other model.
    """
    models = [model for model in answers if checkpoint(model)[1] is None] or list(answers)
    protocols = ordered_protocols(name for model in models for name in answers[model])
    columns = min(len(protocols), _PANELS_A_ROW)
    rows = -(-len(protocols) // columns)
    figure = new_figure(max(3.9 * columns + 0.4, 5.2), 3.6 * rows + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    colours = model_colours(models)
    for axis, protocol in zip(axes.ravel(), protocols, strict=False):
        curves = {}
        for model in models:
            if given := answers[model].get(protocol):
                confidence = [record.confidence for record in given]
                curves[model] = risk_coverage(confidence, [record.correct for record in given])
        _draw_panel(axis, protocol, curves, colours)
    for axis in axes.ravel()[len(protocols) :]:
        axis.remove()
    figure_title(figure, "Accuracy of the most confident answers")
    save_figure(figure, path)


def _draw_panel(
    axis: Any, protocol: str, curves: Mapping[str, RiskCoverage], colours: Mapping[str, str]
) -> None:
    for model, curve in curves.items():
        n = curve.coverage.size
        first = min(int(_LEAST_COVERAGE * n), n - 1)
        places = np.unique(np.linspace(first, n - 1, min(n - first, _POINTS)).round().astype(int))
        axis.plot(
            curve.coverage[places],
            curve.accuracy[places],
            color=colours[model],
            linewidth=1.6,
            label=model_title(model),
        )
    axis.set_title(protocol_title(protocol), loc="left", fontsize=10, fontweight="bold", color=INK)
    axis.set(xlabel="coverage: share of answers trusted", ylabel="accuracy", xlim=(0, 1))
    axis.set_ylim(top=1.02)
    axis.xaxis.set_major_formatter(percent)
    tidy(axis)
    axis.legend(frameon=False, fontsize=7.5, labelcolor=INK)
