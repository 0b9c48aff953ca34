"""The numbers behind the page's drawings, as plain JSON: bins of every model, protocol
and slice, curves, courses.

A bin's interval is Wilson's for the mean verdict: exact in its coverage for binary
verdicts, too wide rather than too narrow for graded ones, whose variance is smaller than
that of a coin of the same mean.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from eval.figures.checkpoints import Course
from eval.figures.style import line_places
from eval.figures.training import SMOOTHED_STEPS
from eval.metrics import DEFAULT_BINS, reliability_bins
from eval.naming.model_names import model_title, ordered_models, ordered_protocols, protocol_title
from eval.numbers.summarise import POOLED, scored
from eval.numbers.training_curves import Curves, trailing_mean
from eval.numbers.values import BySlice, Models, Slices, SliceValues
from eval.records import AnswerRecord
from eval.records.chosen import by_model_and_protocol
from eval.records.slices import DIMENSIONS, Edges, quarter_edges, slices
from eval.report.html.first_screen import DEBIASED

_Z = 1.959963984540054  # of the 95 % interval
_DIGITS = 4

ALL = "all"
"""Key of all questions among the slices; the others are "<dimension>:<slice>"."""


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); n must be over 0.

    >>> tuple(round(end, 4) for end in wilson_interval(0.5, 10))
    (0.2366, 0.7634)
    """
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _bins(records: Sequence[AnswerRecord]) -> list[list[float]]:
    """[bin, n, mean confidence, mean verdict, low, high] of each bin that holds an answer."""
    bins = reliability_bins(*scored(records))
    rows = []
    for k in range(DEFAULT_BINS):
        n, confidence, correct = (
            int(bins.count[k]),
            float(bins.mean_confidence[k]),
            float(bins.mean_correct[k]),
        )
        if n:
            ends = wilson_interval(min(max(correct, 0.0), 1.0), n)
            rows.append([k, n, *(round(value, _DIGITS) for value in (confidence, correct, *ends))])
    return rows


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, _DIGITS)
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _cell(values: SliceValues, records: Sequence[AnswerRecord]) -> dict[str, Any]:
    names = (
        "n",
        "parse_failures",
        "ece",
        "ece_interval",
        "auroc",
        "auroc_interval",
        "accuracy",
        "mean_confidence",
        DEBIASED,
        f"{DEBIASED}_interval",
    )
    written = values.as_json()
    shown = {name: _rounded(written[name]) for name in names if name in written}
    return shown | {"bins": _bins(records)}


def reliability_payload(
    models: Models, sliced: Slices, records: Sequence[AnswerRecord]
) -> dict[str, Any]:
    """Models, protocols and slices by name, and under model, protocol and
    slice the values and bins.

    Args:
        models, sliced: of a `content.Report`.
        records: that they were computed from.
    """
    edges = quarter_edges(records)
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for model, protocols in by_model_and_protocol(records).items():
        cells[model] = {}
        for protocol, answers in protocols.items():
            of_slices = {"dataset": models[model][protocol], **sliced[model][protocol]}
            cells[model][protocol] = _cells(of_slices, answers, edges)
    found = chain.from_iterable(cells.values())
    return {
        "models": [{"id": name, "title": model_title(name)} for name in ordered_models(cells)],
        "protocols": [
            {"id": name, "title": protocol_title(name)} for name in ordered_protocols(found)
        ],
        "slices": _slice_titles(cells),
        "cells": cells,
        "bins": DEFAULT_BINS,
    }


def _cells(
    of_slices: Mapping[str, BySlice],
    answers: Sequence[AnswerRecord],
    edges: Edges,
) -> dict[str, Any]:
    """One model and protocol: `ALL` and "<dimension>:<slice>" -> values and bins.

    Args:
        of_slices: dimension -> slice -> values.
    """
    found = {ALL: _cell(of_slices["dataset"][POOLED], answers)}
    for dimension, parts in slices(answers, edges).items():
        for name, part in parts.items():
            found[f"{dimension}:{name}"] = _cell(of_slices[dimension][name], part)
    return found


def _slice_titles(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, str]]:
    """The slices that any model has, all questions first, then in the order of `DIMENSIONS`."""
    keys: dict[str, None] = {}
    for protocols in cells.values():
        for found in protocols.values():
            keys.update(dict.fromkeys(found))
    titles = [{"id": ALL, "group": "", "title": "all questions"}]
    for dimension, heading in DIMENSIONS.items():
        start = f"{dimension}:"
        for key in keys:
            if key.startswith(start):
                titles.append({"id": key, "group": heading, "title": key.removeprefix(start)})
    return titles


_CURVE_PANELS = (
    ("ECE", "of a step's rollouts", False, ("ece",)),
    ("Confidences at 0 or 1", "share of a step's rollouts", True, ("at_0_or_1",)),
    ("Brier score", "mean squared error of the confidence", False, ("brier",)),
    (
        "Accuracy and mean confidence",
        "solid: accuracy; dashed: confidence",
        True,
        ("accuracy", "confidence_mean"),
    ),
)


def training_payload(training: Mapping[str, Curves]) -> list[dict[str, Any]]:
    """Line charts of GRPO's curves, see `line_chart`; [] without curves."""
    if not training:
        return []
    steps = sorted({step for curves in training.values() for step in curves["steps"]})
    charts = []
    for title, note, share, names in _CURVE_PANELS:
        lines = []
        for place, (model, curves) in enumerate(training.items()):
            for dashed, name in enumerate(names):
                by_step = dict(zip(curves["steps"], curves[name], strict=True))
                raw = [by_step.get(step) for step in steps]
                known = dict(
                    zip(curves["steps"], trailing_mean(curves[name], SMOOTHED_STEPS), strict=True)
                )
                label = model_title(model) + (", confidence" if dashed else "")
                smooth = [known.get(step) for step in steps]
                lines.append(curve_line(label, place, smooth, dashed=bool(dashed), raw=raw))
        charts.append(
            line_chart(title, note, "GRPO step", [f"{step:,}" for step in steps], lines, share)
        )
    return charts


def course_payload(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Line charts of ECE over checkpoints, see `line_chart`."""
    charts = []
    for course in courses:
        places = line_places(chain.from_iterable(course.panels.values()))
        for panel, lines in course.panels.items():
            drawn = [
                curve_line(name, places[name], [value.value if value else None for value in values])
                for name, values in lines.items()
            ]
            title = f"{model_title(course.family)}: {panel}"
            note = f"ECE, {protocol_title(course.protocol)}"
            charts.append(line_chart(title, note, "checkpoint", list(course.labels), drawn, False))
    return charts


def curve_line(
    label: str,
    colour: int,
    values: Sequence[float | None],
    dashed: bool = False,
    raw: Sequence[float | None] | None = None,
) -> dict[str, Any]:
    """A line of a chart; `colour` is its place in the page's palette, `raw`
    a thin line under it.
    """
    line = {"label": label, "colour": colour, "dashed": dashed, "values": _rounded(list(values))}
    return line if raw is None else line | {"raw": _rounded(list(raw))}


def line_chart(
    title: str,
    note: str,
    x_title: str,
    x: Sequence[str],
    lines: Sequence[Mapping[str, Any]],
    share: bool,
) -> dict[str, Any]:
    """A chart as report.js draws it; `x` are the labels of the places that every line
    has a value for or null.
    """
    return {
        "title": title,
        "note": note,
        "xTitle": x_title,
        "x": list(x),
        "lines": list(lines),
        "share": share,
    }
