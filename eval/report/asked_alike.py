"""Whether the models of a report were asked alike; if not, the report says so
before anything else.
"""

from collections.abc import Mapping
from typing import Any

from eval.naming.model_names import model_title
from eval.records import ANSWERS

_WHAT = {
    "questions_sha256": "questions",
    "limit": "--limit",
    "temperature": "temperature",
    "max_tokens": "--max-tokens",
    "samples": "--samples",
    "seed": "seed",
    "expert": "expert",
    "correctness": "--correctness",
    "thinking": "--thinking",
    "images": "--images",
}
_UNSAID = {"images": "as_is"}  # stands in no settings file


def differences(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each setting that is not the same for all models.

    Args:
        settings: name of a settings file -> its content; only those of answers are read.
    """
    asked = {
        name.removesuffix(f".{ANSWERS}.settings.json"): values
        for name, values in settings.items()
        if name.endswith(f".{ANSWERS}.settings.json")
    }
    sentences = []
    for key, what in _WHAT.items():
        models: dict[str, list[str]] = {}
        for model, values in asked.items():
            models.setdefault(str(values.get(key, _UNSAID.get(key))), []).append(model_title(model))
        if len(models) > 1:
            short = 12 if key == "questions_sha256" else None
            told = "; ".join(f"{v[:short]}: {', '.join(names)}" for v, names in models.items())
            sentences.append(f"The models were not asked alike, {what}: {told}.")
    return sentences
