"""Step `targets`: SFT texts whose confidence is the answer's own chance to be right.

The answers of `own.jsonl`, each with a confidence and tags by the cross-fitted maps of `claim_map`:

    confidence   the chance that the answer is right, to one decimal
    tag          "I'm sure." where the chance that the claim is right is above 1/2
                 (`own.tags=likelier`), or with that chance, drawn for each copy of the
                 answer (`own.tags=drawn`)

What drawing is for: at inference the model draws its tags, then reads them. Where a tag says for
certain on which side of 1/2 the chance lies, the model learns to believe it, and believes it of
tags that it drew by mere luck: the number behind a guess is as sure as one behind knowledge
(Ortega et al. 2021, "Shaking the foundations", call this self-delusion). A drawn tag says little,
so the number rests on the answer; but the tags themselves are noisier. What each is worth:
recipe/difficulty_calib/RESULTS.md.

A record of `targets.jsonl`, none if `sft.confidence` is not "own":

    {question_id, dataset, texts: [{text, count, chance, correct}]}

`own_map.json` holds the maps, fitted on all answers, and how well the cross-fitted ones foretell
the verdicts (n, AUROC, ECE, Brier score, spread): {} if `sft.confidence` is not "own".
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.steps.context import Context
from data_prep.steps.own.claim_map import Answers, Floats, cross_fitted, describe
from data_prep.steps.own.sample import OwnSettings
from data_prep.steps.step_log import Counts, Failure, Record, RecordFile
from reward_fns.claims import Claim, render_response
from reward_fns.errors import UserError
from reward_fns.files import read_jsonl, write_json

DECIMALS = 1
"""Of a stated confidence: more would be digits that no model of the data can tell apart.

Chances keep 0.01 away from 0 and 1 (`claim_map`), stated confidences do not: a chance above 0.95 is
written as 1.0, for of the eleven numbers it is the nearest, of the least squared error. Writing 0.9
for 0.97 would teach the model to be under-confident where it is most often right.
"""


def run(context: Context, settings: OwnSettings) -> Counts:
    """Write `targets.jsonl` and `own_map.json`.

    Raises:
        UserError: a log-probability that is no number; too few answers; or confidences without
            spread: SFT on one number for all answers unlearns to tell right from wrong.
    """
    source, map_file = context.run / "own.jsonl", context.run / "own_map.json"
    records = list(read_jsonl(source)) if settings.wanted else []
    if not records:
        if settings.wanted:
            raise UserError(f"{source} holds no answer: failures/own.jsonl names the reasons")
        write_json(map_file, {})
        with RecordFile(context.run / "targets.jsonl"):
            return Counts(0, 0)
    answers = columns(records)
    folds = settings.own.folds
    _check_finite(answers, source)
    _check(answers, folds)
    of_answer, of_claim = cross_fitted(answers, folds, context.seed("folds"))
    _check_spread(of_answer, settings.own.least_spread)
    write_json(map_file, describe(answers, of_answer, of_claim))
    tags = Tagger(settings.own.tags, context.seed("tags"))
    path = context.run / "targets.jsonl"
    return _write(path, context.failures, records, of_answer, of_claim, tags)


def columns(records: Sequence[Record]) -> Answers:
    """The answers of all records, in their order, as columns."""
    rows = [(record, answer) for record in records for answer in record["answers"]]
    claims = [
        (index, claim) for index, (_, answer) in enumerate(rows) for claim in answer["claims"]
    ]
    return Answers(
        question=np.array([f"{r['dataset']}/{r['question_id']}" for r, _ in rows]),
        dataset=np.array([r["dataset"] for r, _ in rows]),
        correct=np.array([a["correct"] for _, a in rows], dtype=np.float64),
        weight=np.array([a["count"] for _, a in rows], dtype=np.float64),
        logprob=np.array([claim["logprob"] for _, claim in claims], dtype=np.float64),
        label=np.array([claim["label"] for _, claim in claims], dtype=np.float64),
        answer_of=np.array([index for index, _ in claims], dtype=np.intp),
    )


def _check_finite(answers: Answers, source: Path) -> None:
    """No map has a place for -inf or NaN, which step `own` leaves out."""
    wrong = np.flatnonzero(~np.isfinite(answers.logprob))
    if wrong.size:
        question = answers.question[answers.answer_of[wrong[0]]]
        raise UserError(
            f"{source}: a claim of the question {question} has the log-probability "
            f"{answers.logprob[wrong[0]]:g} ({wrong.size} of {answers.logprob.size} claims have "
            "none that is finite): remove the file and run again, `own` leaves such answers out"
        )


def _check(answers: Answers, folds: int) -> None:
    questions = len(set(answers.question.tolist()))
    if questions < 10 * folds:
        raise UserError(
            f"own.jsonl holds answers to {questions} questions: a map needs {10 * folds} "
            "(10 for each of own.folds), or set sft.confidence=samples"
        )
    for what, verdicts in (("answers", answers.correct), ("claims", answers.label)):
        if np.ptp(verdicts) == 0:
            raise UserError(
                f"all {len(verdicts)} {what} of own.jsonl have the verdict {verdicts[0]:g}: "
                "there is nothing to learn; check sft.judge, or take questions that the "
                "model sometimes misses"
            )


def _check_spread(chance: Floats, least: float) -> None:
    spread = float(np.std(chance))
    if spread < least:
        raise UserError(
            f"the fitted confidences differ by {spread:.3f} (standard deviation), less than "
            f"own.least_spread={least}: the model's own probabilities do not tell its right "
            "answers from its wrong ones, and SFT on one number unlearns what the model can "
            "tell. Take sft.confidence=samples, or questions of more different difficulty"
        )


class Tagger:
    """Chooses tags by `OwnConfig.tags`; the seed fixes all draws."""

    def __init__(self, tags: str, seed: int) -> None:
        self._drawn = tags == "drawn"
        self._rng = np.random.default_rng(seed)

    def sure(self, chance: float) -> bool:
        """Whether a claim with this chance to be right is tagged "I'm sure."."""
        return bool(self._rng.random() < chance) if self._drawn else chance > 0.5


def _write(
    path: Path,
    failures: Path,
    records: Sequence[Record],
    of_answer: Floats,
    of_claim: Floats,
    tags: Tagger,
) -> Counts:
    answer_chances, claim_chances = iter(of_answer.tolist()), iter(of_claim.tolist())
    dropped = 0
    with RecordFile(path) as out, RecordFile(failures) as failed:
        for record in records:
            texts: list[Record] = []
            reason = ""
            for answer in record["answers"]:
                chance = next(answer_chances)
                chances = [next(claim_chances) for _ in answer["claims"]]
                try:
                    texts += _texts(answer, chance, chances, tags)
                except ValueError as error:
                    reason = str(error)
            question = {key: record[key] for key in ("question_id", "dataset")}
            if texts:
                out.add({**question, "texts": texts})
            else:
                dropped += 1
                failed.add(
                    Failure(
                        record["dataset"],
                        record["question_id"],
                        "claims that cannot be written",
                        reason,
                    )
                )
    counted = {"claims that cannot be written": dropped} if dropped else {}
    return Counts(len(records), len(records) - dropped, counted)


def _texts(
    answer: Record, chance: float, claim_chances: Sequence[float], tags: Tagger
) -> list[Record]:
    """The answer's texts, those alike once with their number.

    Raises:
        ValueError: a claim that the format cannot hold.
    """
    copies: Counter[str] = Counter()
    for _ in range(answer["count"]):
        claims = [
            Claim(claim["text"], tags.sure(of_claim))
            for claim, of_claim in zip(answer["claims"], claim_chances, strict=True)
        ]
        copies[render_response(claims, round(chance, DECIMALS))] += 1
    told = {"chance": round(chance, 4), "correct": answer["correct"]}
    return [{"text": text, "count": count, **told} for text, count in copies.items()]
