"""Tables of the hallucination command: the paper's Table 3 with our rows below, and
what stands behind them.
"""

from collections.abc import Mapping, Sequence

from eval.benchmarks.confidence_scores import ConfidenceScores, CurvePair
from eval.benchmarks.differences import PairedDifference
from eval.benchmarks.rates import Rate
from eval.benchmarks.results import ModelScores, ViewScores
from eval.benchmarks.yes_no import YesNoScores
from eval.naming.model_names import model_title
from eval.numbers.values import Interval
from eval.paper.hallucination import paper_method, reported
from eval.tables.table import Cell, Column, Table

_INTERVALS = (
    "Brackets: 95 % intervals, Wilson's for shares of responses, else a bootstrap over "
    "responses (over images where they have several)."
)
_REPORTED = "reported"
_MEASURED = "measured"


def _cell(rate: Rate | None) -> Cell:
    return rate.cell if rate is not None else None


def table3(
    scores: Mapping[str, ModelScores],
    with_paper: bool = True,
    left_out: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """The paper's rows as reported, then a row a model and view as measured.

    Args:
        left_out: benchmark -> its records that are broken, which no number counts.
    """
    columns = (
        Column("model"),
        Column("view"),
        Column("source"),
        Column("score", "MMHal", digits=2, better="high"),
        Column("hallucination", "MMHal", digits=2, better="low"),
        Column("response", "ObjHal", percent=True, digits=1, better="low"),
        Column("mention", "ObjHal", percent=True, digits=1, better="low"),
        Column("recall", "ObjHal", percent=True, digits=1, better="high"),
        Column("words", "ObjHal", digits=1),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in reported() if with_paper else ():
        rows.append(
            (
                one.method,
                "",
                _REPORTED,
                one.mmhal_score,
                one.mmhal_hallucination_rate,
                one.objhal_response_rate,
                one.objhal_mention_rate,
                None,
                None,
            )
        )
    for model, of_model in scores.items():
        rows += [_row(model, view, found) for view, found in of_model.views.items()]
    judges = sorted({j for s in scores.values() for v in s.views.values() for j in v.judges})
    return Table(
        "hallucination",
        "Hallucination (Table 3)",
        columns,
        tuple(rows),
        (
            "“reported”: the paper's own numbers, on its models, images and judge; “measured”: "
            "by this command. They compare only where benchmark, judge and prompt are the same.",
            "ObjHal response: of the responses that mention an object, those with a "
            "hallucinated one; mention: of all mentions. "
            "Saying less lowers both: read them beside recall.",
            f"Judge of MMHal: {'; '.join(judges) or 'none asked'}. "
            "An unreadable rating is in neither number unless --unreadable paper.",
            *_without(left_out or {}),
            _INTERVALS,
        ),
    )


def _without(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    if not left_out:
        return []
    counted = ", ".join(f"{len(lines)} of {kind}" for kind, lines in left_out.items())
    return [f"Broken records that nobody was asked: {counted}; hallucination.json names them."]


def _row(model: str, view: str, found: ViewScores) -> tuple[Cell, ...]:
    objhal, mmhal = found.objhal, found.mmhal
    paper = paper_method(model)
    title = model_title(model)
    title += f" (paper: {paper})" if paper not in (None, title) else ""
    return (
        title,
        view,
        _MEASURED,
        _cell(mmhal.score if mmhal else None),
        _cell(mmhal.hallucination_rate if mmhal else None),
        _cell(objhal.response_rate if objhal else None),
        _cell(objhal.mention_rate if objhal else None),
        _cell(objhal.recall if objhal else None),
        objhal.words.value if objhal else None,
    )


def objhal_table(scores: Mapping[str, ModelScores]) -> Table | None:
    """All rates of Object HalBench; None if it was not asked."""
    rows: list[tuple[Cell, ...]] = []
    finders: set[str] = set()
    unread = 0
    for model, of_model in scores.items():
        for view, found in of_model.views.items():
            if (one := found.objhal) is not None:
                rates = (one.response_rate, one.mention_rate, one.chair_s, one.chair_i, one.recall)
                means = (one.mentions, one.words)
                rows.append(
                    (model_title(model), view, *map(_cell, rates), *(r.value for r in means))
                )
                finders.add(found.objects_by)
                unread += found.objects_unread
    columns = (
        Column("model"),
        Column("view"),
        Column("response", percent=True, digits=1, better="low"),
        Column("mention", percent=True, digits=1, better="low"),
        Column("CHAIR_s", percent=True, digits=1, better="low"),
        Column("CHAIR_i", percent=True, digits=1, better="low"),
        Column("recall", percent=True, digits=1, better="high"),
        Column("mentions", digits=2),
        Column("words", digits=1),
    )
    notes = (
        f"Objects found by: {', '.join(sorted(finders))}; {unread} responses left out since the "
        "judge's reply could not be read.",
        "CHAIR_s: of all responses; CHAIR_i: each object once a response.",
        _INTERVALS,
    )
    return Table("objhal", "Object HalBench", columns, tuple(rows), notes) if rows else None


def mmhal_table(scores: Mapping[str, ModelScores]) -> Table | None:
    """MMHal-Bench by question type; None if it was not asked."""
    rows: list[tuple[Cell, ...]] = []
    for model, of_model in scores.items():
        for view, found in of_model.views.items():
            if found.mmhal is None:
                continue
            for kind, one in {"all": found.mmhal, **found.mmhal_types}.items():
                cells = (_cell(one.score), _cell(one.hallucination_rate), one.unreadable)
                rows.append((model_title(model), view, kind, *cells))
    columns = (
        Column("model"),
        Column("view"),
        Column("type"),
        Column("score", digits=2, better="high"),
        Column("hallucination", digits=2, better="low"),
        Column("unreadable"),
    )
    return Table("mmhal", "MMHal-Bench", columns, tuple(rows), (_INTERVALS,)) if rows else None


def yes_no_table(scores: Mapping[str, ModelScores]) -> Table | None:
    """POPE and AMBER's questions; None if neither was asked."""
    rows: list[tuple[Cell, ...]] = [
        (model_title(model), part, *_yes_no_cells(one))
        for model, of_model in scores.items()
        for part, one in of_model.yes_no.items()
    ]
    columns = (
        Column("model"),
        Column("questions"),
        Column("accuracy", better="high"),
        Column("precision", better="high"),
        Column("recall", better="high"),
        Column("F1", better="high"),
        Column("yes"),
        Column("unreadable"),
    )
    notes = (
        "The positive answer is yes for POPE and no for AMBER, as their publishers have it. An "
        "unreadable answer is wrong.",
        _INTERVALS,
    )
    return Table("yes_no", "Yes or no", columns, tuple(rows), notes) if rows else None


def _yes_no_cells(one: YesNoScores) -> Sequence[Cell]:
    rates = (one.accuracy, one.precision, one.recall, one.f1)
    return (*map(_cell, rates), one.yes_share.value, one.unreadable)


def amber_table(scores: Mapping[str, ModelScores]) -> Table | None:
    """AMBER's descriptions; None if they were not asked."""
    rows: list[tuple[Cell, ...]] = []
    for model, of_model in scores.items():
        for view, found in of_model.views.items():
            if (one := found.amber) is not None:
                rates = (one.chair, one.cover, one.hal, one.cog)
                rows.append((model_title(model), view, *map(_cell, rates)))
    columns = (
        Column("model"),
        Column("view"),
        Column("CHAIR", percent=True, digits=1, better="low"),
        Column("Cover", percent=True, digits=1, better="high"),
        Column("Hal", percent=True, digits=1, better="low"),
        Column("Cog", percent=True, digits=1, better="low"),
    )
    return (
        Table("amber", "AMBER, descriptions", columns, tuple(rows), (_INTERVALS,)) if rows else None
    )


def confidence_table(scores: Mapping[str, ModelScores]) -> Table | None:
    """What the claims' confidence is worth; None if no answer has any."""
    rows: list[tuple[Cell, ...]] = [
        (model_title(model), source, *_confidence_cells(one))
        for model, of_model in scores.items()
        for source, one in of_model.confidence.items()
    ]
    columns = (
        Column("model"),
        Column("confidence"),
        Column("claims"),
        Column("sure", "hallucinated", percent=True, digits=1, better="low"),
        Column("unsure", "hallucinated", percent=True, digits=1),
        Column("ECE (debiased)", better="low"),
        Column("AUROC", better="high"),
        Column("gain at 80 % of recall", percent=True, digits=1, better="low", signed=True),
    )
    notes = (
        "Of the claims that mention an object: it hallucinates if one of them is not in the "
        "image. Sure: confidence of at least 0.5.",
        "Gain: hallucinated mentions with the least confident claims dropped, minus with claims "
        "dropped at random, at 80 % of the full recall; negative is good.",
        _INTERVALS,
    )
    title = "What the confidence is worth on Object HalBench"
    return Table("claims", title, columns, tuple(rows), notes) if rows else None


def _confidence_cells(one: ConfidenceScores) -> Sequence[Cell]:
    found = one.calibration
    ece, auroc = (found.estimates[name] for name in ("ece_debiased", "auroc"))
    return (
        found.claims,
        _cell(found.hallucinated_when_sure),
        _cell(found.hallucinated_when_unsure),
        Interval(ece.value, ece.low, ece.high),
        Interval(auroc.value, auroc.low, auroc.high),
        one.gain,
    )


def pairs_table(pairs: Sequence[CurvePair]) -> Table | None:
    """Operating curves against each other; None without two models."""
    rows: list[tuple[Cell, ...]] = [
        (model_title(one.first), model_title(one.second), one.gain) for one in pairs
    ]
    columns = (
        Column("model"),
        Column("against"),
        Column("mention rate, difference", percent=True, digits=1, better="low", signed=True),
    )
    notes = (
        "Hallucinated share of mentions where each has dropped its least confident claims until "
        "both are at 80 % of the lower of their full recalls; negative: the first hallucinates "
        "less at equal recall. Paired over images.",
        _INTERVALS,
    )
    title = "Operating curves at equal recall"
    return Table("operating_pairs", title, columns, tuple(rows), notes) if rows else None


def differences_table(differences: Sequence[PairedDifference]) -> Table | None:
    """What differs from the first model; a row a model and view, None for one model."""
    columns = {
        "MMHal score": Column("score", "MMHal", digits=2, better="high", signed=True),
        "MMHal hallucination": Column("hallucination", "MMHal", 2, better="low", signed=True),
        "ObjHal response": Column("response", "ObjHal", 1, True, "low", True),
        "ObjHal mention": Column("mention", "ObjHal", 1, True, "low", True),
        "ObjHal recall": Column("recall", "ObjHal", 1, True, "high", True),
        "POPE accuracy": Column("accuracy", "POPE", 1, True, "high", True),
    }
    if not differences:
        return None
    asked = [name for name in columns if any(one.number == name for one in differences)]
    known = {(one.model, one.view, one.number): one for one in differences}
    rows: list[tuple[Cell, ...]] = []
    views = list(dict.fromkeys(one.view for one in differences if one.view)) or [""]
    for model in dict.fromkeys(one.model for one in differences):
        for view in views:
            found = [known.get((model, view, name), known.get((model, "", name))) for name in asked]
            shown = [
                one.difference if one and one.verdict != "undefined" else None for one in found
            ]
            told = [f"{one.number} {one.verdict}" for one in found if one and _stands(one)]
            rows.append((model_title(model), view, *shown, "; ".join(told) or "undecided"))
    family = max(one.family for one in differences)
    notes = (
        f"The model's value minus that of {model_title(differences[0].against)} on the same "
        "items; brackets: 95 % intervals of a paired bootstrap over images.",
        f"Last column: what is left of up to {family} comparisons a number after Holm's "
        "adjustment (p < 0.05, interval without 0, 30 images); all else may be noise.",
    )
    told_columns = (Column("model"), Column("view"), *(columns[name] for name in asked))
    title = f"Against {model_title(differences[0].against)}, paired"
    return Table("differences", title, (*told_columns, Column("told apart")), tuple(rows), notes)


def _stands(one: PairedDifference) -> bool:
    return one.verdict in ("better", "worse")


def all_tables(
    scores: Mapping[str, ModelScores],
    pairs: Sequence[CurvePair],
    differences: Sequence[PairedDifference] = (),
    left_out: Mapping[str, Sequence[str]] | None = None,
) -> list[Table]:
    """Every table that has rows."""
    more = [
        make(scores)
        for make in (objhal_table, mmhal_table, yes_no_table, amber_table, confidence_table)
    ]
    found = [
        table3(scores, left_out=left_out),
        differences_table(differences),
        *more,
        pairs_table(pairs),
    ]
    return [table for table in found if table is not None]
