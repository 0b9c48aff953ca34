"""How often SC's cosine rule put answers that read differently into one cluster."""

from collections.abc import Sequence

from eval.naming.model_names import model_title, ordered_models
from eval.records import AnswerRecord


def merged_by_sc(records: Sequence[AnswerRecord]) -> list[str]:
    """One sentence with each model's share of questions; [] where it never
    happened or is not known.

    Answers that read differently may contradict each other: by cosine two cats
    and three cats are near.
    """
    seen: dict[str, dict[str, bool]] = {}
    for record in records:
        if record.protocol == "sc" and "merged" in record.detail:
            seen.setdefault(record.model, {})[record.question_id] = record.detail["merged"]
    if not any(any(of_model.values()) for of_model in seen.values()):
        return []
    shares = ", ".join(
        f"{model_title(model)} {sum(seen[model].values()) / len(seen[model]):.0%}"
        for model in ordered_models(seen)
    )
    return [
        "SC: the cosine rule counted samples that read differently as one answer, on this share of "
        f"the questions: {shares}. sc_own compares texts."
    ]
