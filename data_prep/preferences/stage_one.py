"""Stage one's Better and Worse (step `pair`) as preferences: DPO on the model's own answers.

A question's prompt is the one that its answers were sampled with (`sample.prompt`). Questions of
the splits "selection" and "evaluation" are left out, and those without a pair. The worse answer is
one that the model voted False.
"""

from collections.abc import Iterator
from pathlib import Path

from data_prep.preferences.pairs import Pair
from data_prep.questions import Rejected, read_questions
from data_prep.steps.step_log import join
from reward_fns.claims import claim_prompt
from reward_fns.errors import UserError
from reward_fns.files import read_mapping


def stage_one_pairs(run: Path) -> Iterator[Pair | Rejected]:
    """The pairs of a run's directory, in its order.

    Raises:
        UserError: the steps `pair` and `splits` are not done there.
    """
    files = (run / "pairs.jsonl", run / "splits.jsonl")
    for path in (*files, run / "manifest.json"):
        if not path.is_file():
            raise UserError(
                f"no {path}: run stage one first, `python -m data_prep splits CONFIG --out {run}`"
            )
    in_claims = read_mapping(run / "manifest.json")["config"]["sample"]["prompt"] == "claims"
    for question, (pair, split) in join(read_questions(run / "questions.parquet"), *files):
        if pair is None or split is None:
            continue
        if split["split"] in ("selection", "evaluation"):
            reason = split["split"]
            detail = f"the split {reason} is not trained on"
        elif pair["better"] is None or pair["worse"] is None:
            reason, detail = pair["reason"] or "no pair", "no Better or no Worse answer"
        else:
            asked = claim_prompt(question.question) if in_claims else question.question
            yield Pair(
                question.dataset,
                question.question_id,
                (("user", asked),),
                question.image,
                pair["better"],
                pair["worse"],
                question.question_id,
            )
            continue
        yield Rejected(question.dataset, question.question_id, reason, detail)
