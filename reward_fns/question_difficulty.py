"""Difficulty by question: the coefficients of one question, from its dataset's and its own
statistics.

The paper's coefficients depend on the dataset alone, a limitation that it names (section 7). Here a
question moves them, around its dataset's values. With m its vote margin, r its entity rarity (a
frequency: low is rare), and mean and sd those of its dataset's questions:

    h = -(m - mean(m)) / sd(m)             how divided the model is, more than usual
    z = -(ln r - mean(ln r)) / sd(ln r)    how rare its entities are, more than usual

    alpha_q = alpha * (1 - S * tanh(0.53357     * (h + 0.2 z)))      within [0, 2.5]
    beta_q  = beta  * (1 + S * tanh(0.72623 / 2 * z))                within [0.5, 2.5]
    gamma_q = gamma * (1 + S * tanh(1.69002 / 2 * h))                within [0, 2]
    delta_q = delta * (1 + S * tanh(0.77917 / 2 * (h + z)))          within [0, 2]

Where it comes from
-------------------
Directions and slopes are those by which the mapping recovered from Table 4 (`schemes`, scheme
"recovered") moves a dataset's coefficients: there h is the z-score of the share of contradictions,
z that of Eq. (3), the rarity score. A question has no share of contradictions, so how divided the
model's own votes are stands for it; its entities' own frequencies stand for Eq. (3). Logistic
functions become tanh by sigma(x) = (1 + tanh(x / 2)) / 2. Left out: beta's factor 1 + w, in
[1, 2] over the paper's datasets, and what gamma owes to z through alpha, 0.005 a standard
deviation. Gamma falls for an easier question, where the recovered one, a fit to six points, is
flat. The bounds are the clips of A.1.

What holds
----------
- An average question (h = z = 0) has its dataset's coefficients, bit for bit. So has one whose
  statistics do not exist, or do not vary over the dataset.
- Each factor is within [1 - S, 1 + S], and each coefficient moves in one direction with each
  statistic: a harder question (h or z up) has alpha down, beta, gamma and delta up, or equal.
- A dataset's own coefficient outside A.1's clips stays: the clip never moves a value further from
  its dataset's.
- All rollouts of a question share its coefficients, so no group compares two scales.

A question whose answers were all voted False, by all votes, has the margin 1: the model is sure,
though perhaps of the wrong thing. Difficulty here is what the model can tell of itself, and nothing
of the ground truth enters it.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reward_fns.coefficients_file import (
    Coefficients,
    QuestionReference,
    Spread,
    is_finite,
    load_references,
)
from reward_fns.plain import plain
from reward_fns.schemes import (
    ALPHA_CLIP,
    ALPHA_SLOPE,
    BETA_CLIP,
    BETA_SLOPE,
    DELTA_CLIP,
    DELTA_SLOPE,
    GAMMA_CLIP,
    GAMMA_SLOPE,
    RARITY_IN_ALPHA,
    SCHEMES,
)

STRENGTH = 0.25
"""S: about half of how far the recovered mapping can move a dataset's alpha, beta and delta, as a
share of their middle (0.55, 0.47, 0.44): a choice, and a cautious one.
"""

STATISTICS = ("vote_margin", "entity_rarity")
"""Keys of ``extra_info`` that hold a question's statistics."""

NOT_TRAINED = ("test", "selection")
"""``extra_info.split`` of rows that a training validates on."""

_FAR = 1e6
"""Deviations end here, far beyond where tanh is 1: infinite ones would cancel to no number."""

_REMEDY = (
    "`python -m data_prep run CONFIG --out RUN` makes the rows with their statistics; "
    "difficulty=dataset needs none"
)
_NO_REFERENCES = (
    "difficulty=question needs the mean and spread of the questions' statistics, and {} has none: "
    "set coefficients to the coefficients.yaml of stage one; one from before they were kept is "
    "made anew by deleting it and `python -m data_prep statistics CONFIG --out RUN`"
)


@dataclass(frozen=True)
class QuestionStatistics:
    """The model's own difficulty with one question; None where a statistic is undefined.

    Attributes:
        vote_margin: mean over its sampled answers of abs(votes True - votes False) / votes,
            in [0, 1]; undefined without a readable vote.
        entity_rarity: mean frequency, in the dataset's Better answers, of the entities in its
            Better answer, > 0; undefined without an entity.

    Raises:
        ValueError: a value that is no number of its range.
    """

    vote_margin: float | None = None
    entity_rarity: float | None = None

    def __post_init__(self) -> None:
        margin, rarity = self.vote_margin, self.entity_rarity
        if margin is not None and not (is_finite(margin) and 0 <= margin <= 1):
            raise ValueError(f"vote_margin must be a number in [0, 1], got {margin!r}")
        if rarity is not None and not (is_finite(rarity) and rarity > 0):
            raise ValueError(f"entity_rarity must be a finite number above 0, got {rarity!r}")


def question_coefficients(
    dataset: Coefficients, question: QuestionStatistics, reference: QuestionReference
) -> Coefficients:
    """The coefficients of a question; the formula is the module's docstring.

    Args:
        dataset: the coefficients of its dataset.
        question: its own statistics.
        reference: mean and spread of those of its dataset's questions.
    """
    log_rarity = None if question.entity_rarity is None else math.log(question.entity_rarity)
    h = -_deviation(question.vote_margin, reference.vote_margin)
    z = -_deviation(log_rarity, reference.log_entity_rarity)
    return Coefficients(
        alpha=_moved(dataset.alpha, -ALPHA_SLOPE * (h + RARITY_IN_ALPHA * z), ALPHA_CLIP),
        beta=_moved(dataset.beta, BETA_SLOPE / 2 * z, BETA_CLIP),
        gamma=_moved(dataset.gamma, GAMMA_SLOPE / 2 * h, GAMMA_CLIP),
        delta=_moved(dataset.delta, DELTA_SLOPE / 2 * (h + z), DELTA_CLIP),
    )


def _deviation(value: float | None, spread: Spread | None) -> float:
    """In standard deviations from the mean; 0 for what is undefined or does not vary."""
    if value is None or spread is None or spread.sd == 0:
        return 0.0
    return min(max((value - spread.mean) / spread.sd, -_FAR), _FAR)


def _moved(value: float, by: float, clip: tuple[float, float]) -> float:
    low, high = clip
    moved = value * (1 + STRENGTH * math.tanh(by))
    return min(max(moved, min(low, value)), max(high, value))


def read_statistics(extra_info: Mapping[str, Any], dataset: str) -> QuestionStatistics:
    """A question's statistics in the ``extra_info`` of its row.

    Stage one names the question's subset, and leaves null what is undefined for it. A row with
    neither a statistic nor a subset was not measured, which matters to training alone: a validation
    of such rows scores them by their dataset's coefficients.

    Args:
        extra_info: of the row; null and NaN are no statistic.
        dataset: its tag, for the message.

    Raises:
        ValueError: the row was not measured and is none of `NOT_TRAINED`, or holds a value out of
            range; names the question and the remedy.
    """
    names = (extra_info.get(key) for key in ("question_id", "index"))
    record = f"question {next((n for n in names if n is not None), '?')} of dataset {dataset!r}"
    try:
        found = {name: plain(extra_info.get(name)) for name in STATISTICS}
        statistics = QuestionStatistics(**found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{record}: {error}: {_REMEDY}") from error
    unmeasured = statistics == QuestionStatistics() and not extra_info.get("subset")
    if unmeasured and extra_info.get("split") not in NOT_TRAINED:
        raise ValueError(
            f"difficulty=question, but {record} has neither {' nor '.join(STATISTICS)} in its "
            f"extra_info: {_REMEDY}"
        )
    return statistics


@lru_cache(maxsize=8)
def _cached_file(path: str, mtime_ns: int) -> dict[str, QuestionReference | None]:
    return load_references(path)


def _references(
    coefficients: str | os.PathLike[str],
) -> dict[str, QuestionReference | None]:
    path = os.fspath(coefficients)
    return _cached_file(path, os.stat(path).st_mtime_ns)


def check_references(coefficients: str | os.PathLike[str]) -> None:
    """Look at whether questions can be measured with these coefficients, before one is.

    Raises:
        OSError, ValueError: a scheme of the paper, a file of which no dataset has ``questions``,
            or no coefficients file.
    """
    if coefficients in SCHEMES:
        raise ValueError(_NO_REFERENCES.format(f"the scheme {str(coefficients)!r}"))
    if not any(_references(coefficients).values()):
        raise ValueError(_NO_REFERENCES.format(os.fspath(coefficients)))


def find_reference(dataset: str, coefficients: str | os.PathLike[str]) -> QuestionReference | None:
    """What a dataset's questions are measured against; None for a dataset that the file does not
    list. A file is read once for each version of it.

    Args:
        dataset: its tag.
        coefficients: a coefficients file.

    Raises:
        OSError, ValueError: no coefficients file; it lists the dataset without ``questions``.
    """
    references = _references(coefficients)
    if dataset in references and references[dataset] is None:
        raise ValueError(_NO_REFERENCES.format(f"dataset {dataset!r} in {os.fspath(coefficients)}"))
    return references.get(dataset)
