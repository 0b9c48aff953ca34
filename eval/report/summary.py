"""What the report says in words: which model has the best confidences, and the verdicts
of the pairs that matter.

Nothing here is written in advance: every sentence is filled from the values
and the intervals at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.comparison import LEAST_READABLE, Comparison, key_comparisons
from eval.naming.model_names import checkpoint, model_title, protocol_title
from eval.numbers.summarise import POOLED
from eval.numbers.values import Models, SliceValues
from eval.tables.metric_columns import protocols_of
from eval.tables.table import FEWEST_ANSWERS, number, tabulated

_VERDICTS = ("ece_debiased", "brier", "auroc")


@dataclass(frozen=True)
class ProtocolSummary:
    """A protocol's headline and the sentences that stand under it."""

    protocol: str
    headline: str
    verdicts: tuple[Comparison, ...]


def summaries(models: Models, comparisons: Sequence[Comparison]) -> list[ProtocolSummary]:
    """One a protocol, in the order of the tables.

    Args:
        models: of a `content.Report`.
        comparisons: of `comparison.compare_all`.
    """
    brier = [c for c in comparisons if c.metric == "brier"]
    key = [c for c in key_comparisons(comparisons) if c.metric in _VERDICTS]
    found = []
    for protocol in protocols_of(models):
        headline = _headline(models, [c for c in brier if c.protocol == protocol], protocol)
        verdicts = tuple(c for c in key if c.protocol == protocol)
        found.append(ProtocolSummary(protocol, headline, verdicts))
    return found


def _headline(models: Models, pairs: Sequence[Comparison], protocol: str) -> str:
    """The lowest Brier score over all questions, with the debiased ECE beside it.

    The Brier score cannot be won by bluntness, as a low ECE can: stating the mean for all
    costs refinement. A model is named first only where it is told apart from every other; else
    those that may be the best are listed, in the order of training. Those that `why_left_out`
    names are not among them.

    Args:
        pairs: the protocol's comparisons by Brier score.
    """
    title = protocol_title(protocol)
    cells = {
        model: protocols[protocol][POOLED]
        for model, protocols in models.items()
        if protocol in protocols and checkpoint(model)[1] is None
    }
    if not cells:
        return f"{title}: there are checkpoints of a training only; their course stands below."
    reasons = {model: why_left_out(cell) for model, cell in cells.items()}
    known = {model: cell for model, cell in cells.items() if not reasons[model]}
    left_out = _left_out(reasons)
    if set(reasons.values()) == {_UNREADABLE}:
        share = f"{LEAST_READABLE:.0%}"
        return f"{title}: no model states a confidence that can be read on {share} of its answers."
    if not known:
        return f"{title}: no model has enough answers.{left_out}"
    best = min(known, key=lambda model: known[model].value("brier"))
    if len(known) == 1:
        return f"{title}: {_with_values(best, known[best])}.{left_out}"
    beaten = {c.b if c.a == best else c.a for c in pairs if best in (c.a, c.b) and _wins(c, best)}
    tied = [model for model in known if model not in beaten]  # holds the lowest itself
    if len(tied) == 1:
        return (
            f"{title}: {_with_values(best, known[best])}: its confidences are more accurate than "
            f"those of every other model.{left_out}"
        )
    values = "; ".join(_with_values(model, known[model]) for model in tied)
    worse = [model for model in known if model in beaten]
    rest = f". {_listed(worse)} {'is' if len(worse) == 1 else 'are'} behind" if worse else ""
    return (
        f"{title}: it is not decided whose confidences are the most accurate: "
        f"{values}{rest}.{left_out}"
    )


_UNREADABLE = f"confidences readable on less than {LEAST_READABLE:.0%}"
_FEW = f"fewer than {FEWEST_ANSWERS} answers that can be read"


def why_left_out(cell: SliceValues) -> str:
    """Why a model is named neither best nor tied; "" if it may be.

    Whoever has no values in the tables (`tabulated`) has none in a sentence.
    """
    if not cell.n or 1 - cell.parse_failures / cell.n < LEAST_READABLE:
        return _UNREADABLE
    return _FEW if tabulated(cell, "brier") is None else ""


def _left_out(reasons: Mapping[str, str]) -> str:
    """A sentence a reason.

    Args:
        reasons: model -> `why_left_out`.
    """
    told = ""
    for reason in (_UNREADABLE, _FEW):
        if names := [model for model, why in reasons.items() if why == reason]:
            told += f" Not compared, with {reason}: {_listed(names)}."
    return told


def _with_values(model: str, cell: SliceValues) -> str:
    return (
        f"{model_title(model)} has a Brier score of {number(cell.value('brier'))} "
        f"and a debiased ECE of {number(cell.value('ece_debiased'))}"
    )


def _wins(comparison: Comparison, model: str) -> bool:
    return comparison.verdict == ("better" if comparison.a == model else "worse")


def _listed(models: Sequence[str]) -> str:
    """
    >>> _listed(["base", "sft", "rl"])
    'base, SFT and RL (Algorithm 1)'
    """
    *first, last = map(model_title, models)
    return f"{', '.join(first)} and {last}" if first else last
