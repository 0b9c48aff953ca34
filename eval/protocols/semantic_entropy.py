"""semantic_entropy: how many different things the model's samples say (Kuhn et al.
2023, Farquhar et al. 2024).

    H = - sum_c (n_c / k) log(n_c / k)    c = 1 - H / log k

over the clusters of k samples that say the same: the discrete version, which needs no
probabilities of tokens. H is 0 where all samples agree (confidence 1) and log k where
no two do (confidence 0).

Clusters are made as in Algorithm 1 of Kuhn et al.: one sample after the other joins the first
cluster to whose first member it is equivalent (`equivalence`), else opens one.

The samples are those of `sc`: temperature 1, the prompt of the answer, the same seed.
Like SC it is about the question: every answer to it gets the same confidence. None where
no sample says anything.
"""

import math
from collections.abc import Mapping, Sequence

from data_prep.engines import Engine
from data_prep.verl_rows import Question
from eval.protocols.ask_model import Asked
from eval.protocols.compared_samples import ComparedSamples
from eval.protocols.equivalence import Equivalence, Pair
from eval.records import Confidence
from reward_fns.errors import UserError
from reward_fns.lenient import running_text, statements


def entropy_confidence(sizes: Sequence[int]) -> float:
    """1 - H / log k of clusters of these sizes, in [0, 1]; k is their sum, at least 2.

    >>> entropy_confidence([4]), entropy_confidence([1, 1, 1, 1])
    (1.0, 0.0)
    """
    k = sum(sizes)
    entropy = math.fsum(-n / k * math.log(n / k) for n in sizes)
    return min(max(1 - entropy / math.log(k), 0.0), 1.0)


def cluster_samples(
    questions: Mapping[str, Question],
    samples: Mapping[str, Sequence[str]],
    equivalence: Equivalence,
) -> dict[str, list[int]]:
    """Sizes of each question's clusters, descending.

    The n-th samples of all questions are compared together, so that a model is asked in batches.

    Args:
        questions: question_id -> question.
        samples: question_id -> responses.
    """
    clusters: dict[str, list[list[str]]] = {q: [] for q in samples}
    for number in range(max(map(len, samples.values()), default=0)):
        new = {q: texts[number] for q, texts in samples.items() if number < len(texts)}
        pairs = [
            Pair(questions[q], cluster[0], text)
            for q, text in new.items()
            for cluster in clusters[q]
        ]
        verdicts = iter(equivalence.equal(pairs))
        for q, text in new.items():
            same = [cluster for cluster in clusters[q] if next(verdicts)]
            if same:
                same[0].append(text)
            else:
                clusters[q].append([text])
    return {q: sorted(map(len, found), reverse=True) for q, found in clusters.items()}


class SemanticEntropy(ComparedSamples):
    """How far a question's samples agree.

    Raises:
        UserError: fewer than 2 samples.
    """

    def __init__(self, seed: int, samples: int, max_tokens: int, equivalence: Equivalence) -> None:
        if samples < 2:
            raise UserError("semantic_entropy needs --sc-samples of at least 2")
        super().__init__(seed, samples, max_tokens, equivalence)

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Sample, cluster, take the entropy."""
        questions = {item.question.question_id: item.question for item in batch}
        drawn = self._draw(engine, batch)
        sizes = cluster_samples(questions, drawn, self._equivalence)
        return [
            self._found(item, drawn[q], sizes[q])
            for item in batch
            for q in [item.question.question_id]
        ]

    def _found(self, item: Asked, samples: Sequence[str], sizes: list[int]) -> Confidence:
        said = any(statements(text) for text in samples)
        texts = [running_text(text) for text in samples]
        return item.found(entropy_confidence(sizes) if said else None, texts, {"clusters": sizes})
