"""A local NLI cross-encoder as the expert on pairs: a model that reads two texts and says whether
the first entails, contradicts, or neither, the second. It answers `PairRequest` and nothing else.

The texts are the question followed by the better, and by the worse answer, for a short answer
alone states nothing. The model is asked in both directions and the probabilities are averaged,

    P(label) = (P(label | better -> worse) + P(label | worse -> better)) / 2,

since the label is about how two answers relate, not about which follows from which. The most
probable label is taken, of equally probable ones the first of contradiction, neutral, entailment.
One pair is one batch of two, so that the result depends on nothing beside it.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from reward_fns.errors import UserError
from reward_fns.expert.errors import ExpertError
from reward_fns.expert.requests import PairRequest, PairVerdict, Request, Source, V

_ORDER = ("contradiction", "neutral", "entailment")
_TEXT = "{question} {answer}"


def label_columns(id2label: Mapping[int, str]) -> dict[str, int]:
    """The column of each label in the model's output, by the names that its
    configuration gives them.

    Raises:
        UserError: the configuration does not name all three.
    """
    columns = {name.casefold(): column for column, name in id2label.items()}
    if missing := [label for label in _ORDER if label not in columns]:
        raise UserError(
            f"the NLI model's labels are {sorted(columns)}, without {missing[0]!r}: set id2label "
            "in its config.json to entailment, neutral and contradiction"
        )
    return {label: columns[label] for label in _ORDER}


def load_cross_encoder(model: str) -> tuple[Any, dict[str, int]]:
    """A sentence-transformers CrossEncoder, and the column of each label (`label_columns`).

    Raises:
        UserError: the model cannot be loaded, or its labels are not those of NLI.
    """
    from sentence_transformers import CrossEncoder

    try:
        loaded: Any = CrossEncoder(model)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no NLI cross-encoder {model!r} ({str(error).splitlines()[0]}): give a directory "
            "or a name of the hub"
        ) from error
    return loaded, label_columns(loaded.model.config.id2label)


class NliExpert:
    """A sentence-transformers CrossEncoder with three labels.

    Args:
        model: a directory or a hub name, e.g. "cross-encoder/nli-deberta-v3-base"; also the
            expert's name in records.

    Raises:
        UserError: the model cannot be loaded, or its labels are not those three.
    """

    def __init__(self, model: str) -> None:
        self._model, self._columns = load_cross_encoder(model)
        self.name = model

    def prompt_version(self, request: Request[Any]) -> str:
        """Digest of how the two texts are made."""
        return hashlib.sha256(_TEXT.encode()).hexdigest()[:12]

    async def ask(self, request: Request[V]) -> V:
        """The label of one pair.

        Raises:
            ExpertError: any other kind of request.
        """
        if not isinstance(request, PairRequest):
            raise ExpertError(
                f"an NLI model labels pairs of answers, it cannot answer a {type(request).__name__}"
            )
        probabilities = await asyncio.to_thread(self._probabilities, request)
        label = max(_ORDER, key=lambda name: probabilities[name])
        verdict: Any = PairVerdict(label, Source(self.name, self.prompt_version(request)))
        return verdict

    def _probabilities(self, request: PairRequest) -> dict[str, float]:
        better, worse = (
            _TEXT.format(question=request.question, answer=a)
            for a in (request.better, request.worse)
        )
        scores = self._model.predict(
            [(better, worse), (worse, better)], apply_softmax=True, show_progress_bar=False
        )
        return {label: float(scores[:, column].mean()) for label, column in self._columns.items()}
