"""Whether the answers of a model were cut off too often; if so, the report says so
before anything else.
"""

from collections.abc import Iterable

from eval.naming.model_names import model_title, ordered_models
from eval.records import MOST_TRUNCATED, AnswerRecord, truncated_share


def cut_off(records: Iterable[AnswerRecord]) -> list[str]:
    """A sentence for each model of whose answers more than `records.MOST_TRUNCATED` were cut off.

    A model's answers are the same for every protocol and count once.
    """
    answers: dict[str, dict[str, AnswerRecord]] = {}
    for record in records:
        answers.setdefault(record.model, {}).setdefault(record.key, record)
    sentences = []
    for model in ordered_models(answers):
        share = truncated_share(answers[model].values())
        if share is not None and share > MOST_TRUNCATED:
            sentences.append(
                f"{model_title(model)}: {share:.1%} of the answers were cut off at --max-tokens."
            )
    return sentences
