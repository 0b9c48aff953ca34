"""What is counted of each dataset, and the three equations of the paper's section 3.1.

With ner_i the entities of the Better answer of question i, count(e) how often entity e
stands in the Better answers of the dataset, n the responses (Better answers) and N the
questions of the dataset:

    AvgEntityCount  = 1/n * sum_i |ner_i|                               Eq. (1)
    AvgEntityRarity = sum_i sum_{e in ner_i} count(e) / sum_i |ner_i|   Eq. (2)
                    = sum_e count(e)^2 / sum_e count(e)
    RarityScore     = AvgEntityCount / (AvgEntityRarity * ln(N + 10))   Eq. (3), times 1e4 as
                                                                        Table 1 prints it

A question whose answers are all voted False has no Better answer: it is among the N and not among
the n (the paper has one letter for both). Without a Better answer Eq. (1) is undefined, without an
entity Eq. (2) and (3) are; the shares of the labels are in percent of the labelled pairs,
undefined without one. What is undefined is None.

Of one question: entity_rarity = mean of count(e) over its entities, so that the mean over a
dataset's questions, weighted by |ner_i|, is Eq. (2). A low value means rare entities.

Over the questions: mean and population deviation of vote_margin and of ln(entity_rarity), each
over those that have it. A single question is measured against them
(`reward_fns.question_difficulty`).
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from statistics import fmean, pstdev
from typing import Any

from reward_fns.coefficients_file import QuestionReference, Spread
from reward_fns.difficulty import DatasetStatistics

LABELS = ("entailment", "contradiction", "neutral")


@dataclass
class Tally:
    """Counts of one dataset: `questions` is N, `responses` n, `entities` count(e),
    `labels` the labelled pairs; `margins` and `log_rarities` the questions' vote_margin and
    ln(entity_rarity) where they have them.
    """

    dataset: str
    task: str = ""
    questions: int = 0
    responses: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    margins: "array[float]" = field(default_factory=lambda: array("d"))
    log_rarities: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def labelled(self) -> int:
        """Number of labelled pairs."""
        return self.labels.total()

    @property
    def avg_entity_count(self) -> float | None:
        """Eq. (1)."""
        return self.entities.total() / self.responses if self.responses else None

    @property
    def avg_entity_rarity(self) -> float | None:
        """Eq. (2)."""
        total = self.entities.total()
        return sum(count * count for count in self.entities.values()) / total if total else None

    @property
    def rarity_score(self) -> float | None:
        """Eq. (3) times 1e4."""
        statistics = self._statistics(0.0)
        return None if statistics is None else statistics.rarity_score

    def share(self, label: str) -> float | None:
        """Share of a label among the labelled pairs, in percent."""
        return 100 * self.labels[label] / self.labelled if self.labelled else None

    def statistics(self) -> DatasetStatistics | None:
        """What the coefficients are computed from; None where a part is undefined,
        `undefined` says which.
        """
        share = self.share("contradiction")
        return None if share is None else self._statistics(share)

    @property
    def undefined(self) -> str | None:
        """Why there are no `statistics`, or None."""
        if not self.responses:
            return "no Better answer"
        if not self.entities:
            return "no named entity in any Better answer, so rarity is undefined"
        return (
            None
            if self.labelled
            else "no labelled pair, so the share of contradictions is undefined"
        )

    def _statistics(self, contradiction_pct: float) -> DatasetStatistics | None:
        count, rarity = self.avg_entity_count, self.avg_entity_rarity
        if count is None or rarity is None:
            return None
        return DatasetStatistics(self.dataset, self.questions, count, rarity, contradiction_pct)

    def question_rarity(self, entities: Iterable[str]) -> float | None:
        """entity_rarity of a question with these entities; None without any."""
        counts = [self.entities[entity] for entity in entities]
        return sum(counts) / len(counts) if counts else None

    def add_difficulty(self, vote_margin: float | None, entity_rarity: float | None) -> None:
        """Count one question's own statistics."""
        if vote_margin is not None:
            self.margins.append(vote_margin)
        if entity_rarity is not None:
            self.log_rarities.append(log(entity_rarity))

    @property
    def reference(self) -> QuestionReference:
        """What a single question is measured against."""
        return QuestionReference(_spread(self.margins), _spread(self.log_rarities))


def _spread(values: "array[float]") -> Spread | None:
    return Spread(fmean(values), pstdev(values)) if values else None


def count_entities(records: Iterable[Mapping[str, Any]]) -> dict[str, Tally]:
    """The first pass: responses and entities of each dataset, from the
    records of `entities.jsonl`.
    """
    tallies: dict[str, Tally] = {}
    for record in records:
        tally = tallies.setdefault(record["dataset"], Tally(record["dataset"]))
        tally.responses += 1
        tally.entities.update(record["entities"])
    return tallies
