"""What a served model is told for each kind of request, and how its reply is read: a prompt,
a JSON schema, a reader.

A reply is read strictly (`replies`): one JSON object, exactly the declared keys, each once, with
values of the declared type and range. Nothing of any other reply is used, and no message repeats
it: a judge may quote the reference answer.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from reward_fns import prompts
from reward_fns.claims import MAX_CLAIM_CHARS
from reward_fns.expert.errors import ExpertError
from reward_fns.expert.prompting import values
from reward_fns.expert.prompting.quoting import quoted, quoted_list
from reward_fns.expert.prompting.replies import one_object
from reward_fns.expert.requests import (
    PAIR_LABELS,
    AnswerRequest,
    AnswerVerdict,
    ClaimRequest,
    ClaimVerdict,
    EntitiesRequest,
    EntitiesVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    ObjectsRequest,
    ObjectsVerdict,
    OverallRequest,
    OverallVerdict,
    PairRequest,
    PairVerdict,
    Request,
    RubricRequest,
    RubricVerdict,
    Source,
    V,
)

R = TypeVar("R", bound=Request[Any])
Schema = dict[str, Any]
_BINARY: Schema = {"type": "integer", "enum": [0, 1]}
# Not any number in [0, 1]: held to that, a weak model writes digits until its context is full.
_SHARE: Schema = {"type": "number", "enum": [hundredth / 100 for hundredth in range(101)]}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}


@dataclass(frozen=True)
class Form(Generic[R, V]):
    """How one kind of request is put to a served model.

    Attributes:
        templates: the prompt templates that the request uses, the one to render first.
        text: the rendered prompt.
        fields: JSON schema of each key of the reply.
        verdict: the verdict from a reply whose keys are those of `fields`; raises
            ValueError with what is wrong.
    """

    templates: Callable[[R], tuple[str, ...]]
    text: Callable[[R], str]
    fields: Callable[[R], dict[str, Schema]]
    verdict: Callable[[R, dict[str, Any], Source], V]


def _overall_field(task: str) -> Schema:
    return _BINARY if task == "QA" else _SHARE


def _answer_text(r: AnswerRequest) -> str:
    return prompts.render(
        f"expert_answer_{r.task.lower()}",
        question=quoted(r.question),
        reference=quoted(r.ground_truth or None),
        response=quoted(r.response),
        claims=quoted_list(r.claims),
        count=str(len(r.claims)),
    )


def _rubric_text(r: RubricRequest) -> str:
    rubric = prompts.render(r.rubric, **{name: quoted(value) for name, value in r.values.items()})
    return prompts.render(
        "expert_rubric_reply", rubric=rubric, lowest=str(r.lowest), highest=str(r.highest)
    )


_FORMS: dict[type, Form[Any, Any]] = {
    AnswerRequest: Form[AnswerRequest, AnswerVerdict](
        templates=lambda r: (f"expert_answer_{r.task.lower()}",),
        text=_answer_text,
        fields=lambda r: {
            "claims": {
                "type": "array",
                "items": _BINARY,
                "minItems": len(r.claims),
                "maxItems": len(r.claims),
            },
            "overall": _overall_field(r.task),
        },
        verdict=lambda r, reply, source: AnswerVerdict(
            values.labels(reply["claims"], len(r.claims)),
            values.overall(reply["overall"], r.task),
            source,
        ),
    ),
    ClaimRequest: Form[ClaimRequest, ClaimVerdict](
        templates=lambda r: ("expert_claim",),
        text=lambda r: prompts.render(
            "expert_claim",
            question=quoted(r.question),
            reference=quoted(r.ground_truth or None),
            response=quoted(r.response),
            claim=quoted(r.claim, MAX_CLAIM_CHARS),
        ),
        fields=lambda r: {"label": _BINARY},
        verdict=lambda r, reply, source: ClaimVerdict(values.binary(reply["label"]), source),
    ),
    OverallRequest: Form[OverallRequest, OverallVerdict](
        templates=lambda r: (f"expert_overall_{r.task.lower()}",),
        text=lambda r: prompts.render(
            f"expert_overall_{r.task.lower()}",
            question=quoted(r.question),
            reference=quoted(r.ground_truth or None),
            response=quoted(r.response),
        ),
        fields=lambda r: {"overall": _overall_field(r.task)},
        verdict=lambda r, reply, source: OverallVerdict(
            values.overall(reply["overall"], r.task), source
        ),
    ),
    PairRequest: Form[PairRequest, PairVerdict](
        templates=lambda r: ("expert_pair",),
        text=lambda r: prompts.render(
            "expert_pair",
            question=quoted(r.question),
            reference=quoted(r.ground_truth or None),
            better=quoted(r.better),
            worse=quoted(r.worse),
        ),
        fields=lambda r: {"label": {"type": "string", "enum": list(PAIR_LABELS)}},
        verdict=lambda r, reply, source: PairVerdict(
            values.one_of(reply["label"], PAIR_LABELS), source
        ),
    ),
    FactRequest: Form[FactRequest, FactVerdict](
        templates=lambda r: ("expert_fact",),
        text=lambda r: prompts.render(
            "expert_fact",
            fact=quoted(r.fact),
            question=quoted(r.question),
            answer=quoted(r.answer),
            reference=quoted(r.ground_truth or None),
        ),
        fields=lambda r: {"supported": _BINARY},
        verdict=lambda r, reply, source: FactVerdict(
            bool(values.binary(reply["supported"])), source
        ),
    ),
    FactsRequest: Form[FactsRequest, FactsVerdict](
        templates=lambda r: ("expert_facts",),
        text=lambda r: prompts.render(
            "expert_facts", question=quoted(r.question), response=quoted(r.response)
        ),
        fields=lambda r: {"facts": _TEXTS},
        verdict=lambda r, reply, source: FactsVerdict(values.texts(reply["facts"]), source),
    ),
    FactQuestionRequest: Form[FactQuestionRequest, FactQuestionVerdict](
        templates=lambda r: ("expert_fact_question",),
        text=lambda r: prompts.render("expert_fact_question", fact=quoted(r.fact)),
        fields=lambda r: {"question": {"type": "string"}},
        verdict=lambda r, reply, source: FactQuestionVerdict(
            values.question(reply["question"]), source
        ),
    ),
    EntitiesRequest: Form[EntitiesRequest, EntitiesVerdict](
        templates=lambda r: ("expert_entities",),
        text=lambda r: prompts.render("expert_entities", text=quoted(r.text)),
        fields=lambda r: {"entities": _TEXTS},
        verdict=lambda r, reply, source: EntitiesVerdict(values.texts(reply["entities"]), source),
    ),
    ObjectsRequest: Form[ObjectsRequest, ObjectsVerdict](
        templates=lambda r: ("expert_objects",),
        text=lambda r: prompts.render("expert_objects", text=quoted(r.text)),
        fields=lambda r: {"objects": _TEXTS},
        verdict=lambda r, reply, source: ObjectsVerdict(values.texts(reply["objects"]), source),
    ),
    RubricRequest: Form[RubricRequest, RubricVerdict](
        templates=lambda r: ("expert_rubric_reply", r.rubric),
        text=_rubric_text,
        fields=lambda r: {"score": {"type": "integer", "minimum": r.lowest, "maximum": r.highest}},
        verdict=lambda r, reply, source: RubricVerdict(
            values.score(reply["score"], r.lowest, r.highest), source
        ),
    ),
}


def _form(request: Request[V]) -> Form[Request[V], V]:
    form = _FORMS.get(type(request))
    if form is None:
        raise ExpertError(f"no prompt for a {type(request).__name__}", "kind")
    return cast(Form[Request[V], V], form)


def prompt_text(request: Request[Any]) -> str:
    """The prompt of a request, without its image.

    Raises:
        ExpertError: a kind without a form.
        ValueError: the values of a rubric are not its template's placeholders.
    """
    return _note(request) + _form(request).text(request)


def prompt_version(request: Request[Any]) -> str:
    """Digest of the instructions that the request uses."""
    return _digest(_form(request).templates(request), _note(request))


def earlier_versions(request: Request[Any]) -> tuple[str, ...]:
    """Digests of earlier instructions for the same judgement, whose verdicts still hold.

    An answer without an image was judged by the same template without the note on that.
    """
    templates = _form(request).templates(request)
    if not isinstance(request, AnswerRequest | ClaimRequest | OverallRequest) or request.images:
        return ()
    return (_digest(templates, ""),)


def _note(request: Request[Any]) -> str:
    """What a judge is told where its prompt speaks of "the image" and there is not exactly one."""
    if not isinstance(request, AnswerRequest | ClaimRequest | OverallRequest):
        return ""
    n = len(request.images)
    if n == 0:
        return "No image comes with this request: judge by the reference and the question alone.\n"
    return "" if n == 1 else f'{n} images come with this request: "the image" is all of them.\n'


@cache
def _digest(templates: tuple[str, ...], note: str) -> str:
    # A prompt without a note has the digest that it always had, so recorded verdicts stay valid.
    text = "\0".join([*map(prompts.template, templates), *([note] if note else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def reply_schema(request: Request[Any]) -> Schema:
    """JSON schema of a reply to the request."""
    fields = _form(request).fields(request)
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def read_reply(request: Request[V], content: str | None, source: Source) -> V:
    """The verdict of a reply that is exactly what `reply_schema` describes, see `replies`.

    Raises:
        ExpertError: anything else (reason "unreadable").
    """
    form = _form(request)
    try:
        reply = one_object(content or "")
        if reply.keys() != form.fields(request).keys():
            raise ValueError(f"it must have exactly the keys {', '.join(form.fields(request))}")
        return form.verdict(request, reply, source)
    except ValueError as error:
        raise ExpertError(
            f"the reply of {source.model} ({len(content or '')} characters) is unreadable: {error}",
            "unreadable",
        ) from None
