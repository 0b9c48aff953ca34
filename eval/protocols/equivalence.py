"""When two answers to one question say the same: `--equivalence` of sc_own and semantic_entropy.

    text     their statements are the same, by normalised text (`reward_fns.claims.normalise`)
    MODEL    a sentence-transformers NLI cross-encoder: each entails the other
    expert   the labels of the expert layer (`PairRequest`): each entails the other

`text` is the default. It merges nothing that reads differently, and is right for answers of one
short claim, which a model says in one way. Two long answers are seldom the same word by word: for
those name a model or the expert.

Entailment both ways is the criterion of Kuhn et al. 2023 (ICLR, "Semantic Uncertainty")
and Farquhar et al. 2024 (Nature 630, 625): a entails b and b entails a, each read behind
the question, for a short answer alone states nothing. Texts that are equal when
normalised are equivalent unasked.
"""

import asyncio
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data_prep.verl_rows import Question
from eval.records import file_sha256
from reward_fns.claims import normalise
from reward_fns.errors import UserError
from reward_fns.expert import Expert, ExpertError, PairRequest
from reward_fns.expert.nli import load_cross_encoder
from reward_fns.expert.oracle import OracleExpert
from reward_fns.expert.protocol import identity_of
from reward_fns.lenient import running_text, statements

TEXT, EXPERT = "text", "expert"
_ENTAILMENT = "entailment"


@dataclass(frozen=True)
class Pair:
    """Two responses to one question."""

    question: Question
    first: str
    second: str


class Equivalence(Protocol):
    """A way to tell whether two answers say the same."""

    @property
    def name(self) -> str:
        """Identifies it in settings: records of another one are not reused."""
        ...

    def equal(self, pairs: Sequence[Pair]) -> list[bool]:
        """For each pair whether they are equivalent, in order.

        Raises:
            UserError: that cannot be told.
        """
        ...


class TextEquivalence:
    """By normalised text: the same statements, in any order."""

    name = "normalised text"

    def equal(self, pairs: Sequence[Pair]) -> list[bool]:
        """Compare."""
        return [_stated(pair.first) == _stated(pair.second) for pair in pairs]


def _stated(response: str) -> frozenset[str]:
    return frozenset(map(normalise, statements(response)))


@dataclass(frozen=True)
class _Texts:
    """A pair as it is asked about; the same for both orders."""

    question: str
    task: str
    first: str
    second: str


class _BothWays(ABC):
    """Entailment both ways. What was asked once is known: sc_own and
    semantic_entropy share their samples.
    """

    def __init__(self) -> None:
        self._known: dict[_Texts, bool] = {}

    def equal(self, pairs: Sequence[Pair]) -> list[bool]:
        """Ask about the pairs that are new.

        Raises:
            UserError: the model or the expert failed.
        """
        texts = [_texts(pair) for pair in pairs]
        new = [
            one
            for one in dict.fromkeys(texts)
            if one not in self._known and normalise(one.first) != normalise(one.second)
        ]
        self._known.update(zip(new, self._ask(new) if new else [], strict=True))
        return [self._known.get(one, True) for one in texts]

    @abstractmethod
    def _ask(self, pairs: Sequence[_Texts]) -> list[bool]: ...


def _texts(pair: Pair) -> _Texts:
    first, second = sorted(map(running_text, (pair.first, pair.second)))
    return _Texts(pair.question.question, pair.question.task, first, second)


class NliEquivalence(_BothWays):
    """By a local NLI cross-encoder.

    Raises:
        UserError: it cannot be loaded, or its labels are not the three of NLI.
    """

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model, columns = load_cross_encoder(model)
        self._column = columns[_ENTAILMENT]
        self.name = f"entailment both ways by {model}{_digest(Path(model))}"

    def _ask(self, pairs: Sequence[_Texts]) -> list[bool]:
        asked = []
        for pair in pairs:
            first, second = (f"{pair.question} {text}" for text in (pair.first, pair.second))
            asked += [(first, second), (second, first)]
        scores = self._model.predict(asked, show_progress_bar=False)  # (2n, 3)
        entails = [int(row.argmax()) == self._column for row in scores]
        return [a and b for a, b in zip(entails[::2], entails[1::2], strict=True)]


def _digest(directory: Path) -> str:
    """Of the weights, so that a model that was trained again is another one; ""
    for a name on the hub.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        return ""
    return _short("".join(map(file_sha256, files)))


def _short(content: str) -> str:
    return f" {hashlib.sha256(content.encode()).hexdigest()[:12]}"


class ExpertEquivalence(_BothWays):
    """By the expert, which is shown the question and both answers, neither image nor reference."""

    def __init__(self, expert: Expert) -> None:
        super().__init__()
        if isinstance(expert, OracleExpert):
            raise UserError(
                "--equivalence expert: the oracle compares no answers; name a judge (--expert) or "
                "an NLI model (--equivalence DIRECTORY)"
            )
        self._expert = expert
        version = getattr(expert, "prompt_version", None)
        of_pairs = f" {version(PairRequest('', 'QA', '', ''))}" if version else ""
        identity = identity_of(expert)
        # Digested: a server and its parameters are long, and the name is one line.
        who = "" if identity is None else _short(json.dumps(identity, sort_keys=True))
        self.name = f"entailment both ways by {expert.name}{who}{of_pairs}"

    def _ask(self, pairs: Sequence[_Texts]) -> list[bool]:
        return asyncio.run(self._ask_all(pairs))

    async def _ask_all(self, pairs: Sequence[_Texts]) -> list[bool]:
        # All outcomes are awaited, so that a failure leaves no call behind that nobody waits for.
        results: list[Any] = await asyncio.gather(
            *map(self._both_ways, pairs), return_exceptions=True
        )
        for pair, result in zip(pairs, results, strict=True):
            if isinstance(result, ExpertError):
                raise UserError(
                    f"the expert {self._expert.name} failed to compare two answers to "
                    f"{pair.question[:80]!r} ({result}): run the same command again"
                ) from result
            if isinstance(result, BaseException):
                raise result
        return results

    async def _both_ways(self, pair: _Texts) -> bool:
        for better, worse in ((pair.first, pair.second), (pair.second, pair.first)):
            request = PairRequest(pair.question, pair.task, better, worse)
            if (await self._expert.ask(request)).label != _ENTAILMENT:
                return False
        return True


def make_equivalence(spec: str, expert: Expert) -> Equivalence:
    """What `--equivalence` names: "text", "expert", or an NLI model.

    Raises:
        UserError: the expert compares no answers, or the model cannot be used.
    """
    if spec == TEXT:
        return TextEquivalence()
    return ExpertEquivalence(expert) if spec == EXPERT else NliEquivalence(spec)
