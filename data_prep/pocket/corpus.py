"""Texts the base model is trained on: every kind of prompt that this project uses, with
the answer it should give.

Answers to a question, and verdicts on a proposed answer, carry the truth. Tags and numeric
confidences carry nothing: they are drawn independently of the truth, as the paper's base has a
Verbal AUROC near one half.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.pocket import datasets, draw, emblems
from data_prep.pocket.datasets import DATASETS, Thing
from reward_fns import claims, prompts

SURE_SHARE = 0.6
"""Chance of "I'm sure." in the base's training, for true facts (all its
training claims are true).
"""

SINGLE_FACT_SHARE = 0.8
"""Share of the short statements that are about one fact and not about the whole image."""

SIMILAR_DIGITS = ((6, 8), (7, 4), (7, 3), (8, 5), (9, 7), (3, 6), (0, 5), (1, 9), (3, 9), (4, 7))
"""Digit -> the two that it is easily taken for."""


class Scene(NamedTuple):
    """What one text is written about."""

    task: str
    question: str
    things: tuple[Thing, ...]


class Examples(NamedTuple):
    """A batch for training: images (n, 32, 32, 3) uint8, and for each the prompt and the answer."""

    images: npt.NDArray[np.uint8]
    prompts: list[str]
    answers: list[str]


Writer = Callable[[Scene, np.random.Generator], tuple[str, str]]


def altered(things: tuple[Thing, ...], task: str, rng: np.random.Generator) -> tuple[Thing, ...]:
    """A plausible wrong version of a scene: another value, colour or place, or
    (Detail) a thing left out.
    """
    out = list(things)
    which = int(rng.integers(len(out)))
    thing = out[which]
    change = (
        "value"
        if task == "QA"
        else str(rng.choice(["value", "colour", "place", "drop"], p=[0.7, 0.1, 0.1, 0.1]))
    )
    if change == "drop" and len(out) > 1:
        del out[which]
        return tuple(out)
    if change == "colour" and not thing.emblem:
        out[which] = thing._replace(colour=_other(thing.colour, len(datasets.COLOURS), rng))
    elif change == "place" and len(out) < len(datasets.PLACES):
        free = sorted(set(range(len(datasets.PLACES))) - {other.place for other in out})
        out[which] = thing._replace(place=int(rng.choice(free)))
        out.sort(key=lambda item: item.place)
    else:
        out[which] = thing._replace(value=_other_value(thing, rng))
    return tuple(out)


def _other(value: int, n: int, rng: np.random.Generator) -> int:
    return int((value + rng.integers(1, n)) % n)


def _other_value(thing: Thing, rng: np.random.Generator) -> int:
    similar = rng.random() < 0.5
    if not thing.emblem:
        return (
            int(rng.choice(SIMILAR_DIGITS[thing.value]))
            if similar
            else _other(thing.value, 10, rng)
        )
    if similar:
        return int(rng.choice(emblems.lookalikes(thing.value)))
    # A wrong name is as frequent as a right one: the name alone must not tell the verdict.
    value = thing.value
    while value == thing.value:
        value = int(rng.choice(len(emblems.NAMES), p=emblems.probabilities(emblems.BASE_EXPONENT)))
    return value


def plain_answer(things: tuple[Thing, ...], task: str) -> str:
    """The facts as running text."""
    return " ".join(datasets.sentences(things, task))


def claims_answer(things: tuple[Thing, ...], task: str, rng: np.random.Generator) -> str:
    """The facts in the claim format, with tags and a confidence that carry no information."""
    facts = [
        claims.Claim(fact, bool(rng.random() < SURE_SHARE))
        for fact in datasets.sentences(things, task)
    ]
    return claims.render_response(facts, int(rng.integers(11)) / 10)


def _number(rng: np.random.Generator) -> str:
    return f"{rng.random():.2f}" if rng.random() < 0.5 else f"{rng.integers(11) / 10:.1f}"


def _proposal(scene: Scene, rng: np.random.Generator) -> tuple[str, bool]:
    right = bool(rng.random() < 0.5)
    things = scene.things if right else altered(scene.things, scene.task, rng)
    numbered = rng.random() < 0.2
    return (claims_answer if numbered else lambda a, b, _: plain_answer(a, b))(
        things, scene.task, rng
    ), right


def _plain(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    describe = scene.task == "QA" and rng.random() < 0.1
    question = str(rng.choice(DATASETS["pocket-scene"].questions)) if describe else scene.question
    return question, plain_answer(scene.things, scene.task)


def _claims(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    return claims.claim_prompt(scene.question), claims_answer(scene.things, scene.task, rng)


def _verdict(template: str, yes: str, no: str) -> Writer:
    def write(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
        answer, right = _proposal(scene, rng)
        return prompts.render(
            template, question=scene.question, answer=answer
        ), yes if right else no

    return write


def _statement(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """The shortest form of a verdict: one fact, or the whole answer, and nothing else. Where
    a verdict is learned.
    """
    right = bool(rng.random() < 0.5)
    things = scene.things
    if rng.random() < SINGLE_FACT_SHARE:
        things = (things[int(rng.integers(len(things)))],)
    if not right:
        wrong = altered(things, scene.task, rng)
        # Another thing of the image may stand where this one was moved to, or be the
        # same: then it is still true.
        right = set(wrong) <= set(scene.things)
        things = wrong
    return f"True or false? {plain_answer(things, scene.task)}", "True" if right else "False"


def _place(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """One fact of a Detail image by its place; a QA image has the one fact that
    its question asks for.
    """
    if scene.task == "QA":
        return _plain(scene, rng)
    thing = scene.things[int(rng.integers(len(scene.things)))]
    return place_question(datasets.PLACES[thing.place]), datasets.sentence(thing, scene.task)


def place_question(place: str) -> str:
    """The question that a Detail fact answers.

    >>> place_question("top left")
    'What is at the top left?'
    """
    return f"What is at the {place}?"


def _verbal(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    answer, _ = _proposal(scene, rng)
    return prompts.render("verbal_confidence", question=scene.question, answer=answer), _number(rng)


def _vcap_round1(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    prompt = prompts.render(f"vcap_{scene.task.lower()}_round1", question=scene.question)
    return prompt, f"{plain_answer(scene.things, scene.task)}\nVisual confidence: {_number(rng)}"


def _vcap_round2(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    answer, _ = _proposal(scene, rng)
    seen = f"{plain_answer(scene.things, scene.task)}\nVisual confidence: {_number(rng)}"
    values = {"visual_description": seen, "answer": answer}
    if scene.task == "QA":
        values["question"] = scene.question
    return prompts.render(
        f"vcap_{scene.task.lower()}_round2", **values
    ), f"Answer confidence: {_number(rng)}"


KINDS: dict[str, Writer] = {
    "plain": _plain,
    "claims": _claims,
    "self_verification": _verdict("self_verification", "Yes", "No"),
    "pcr_1": _verdict("pcr_1", "Yes", "No"),
    "pcr_2": _verdict("pcr_2", "True", "False"),
    "pcr_3": _verdict("pcr_3", "Yes", "No"),
    "statement": _statement,
    "place": _place,
    "verbal_confidence": _verbal,
    "vcap_round1": _vcap_round1,
    "vcap_round2": _vcap_round2,
}
VERDICT_KINDS = ("self_verification", "pcr_1", "pcr_2", "pcr_3")
NUMBER_KINDS = ("verbal_confidence", "vcap_round1", "vcap_round2")


def examples(dataset: str, kind: str, n: int, rng: np.random.Generator) -> Examples:
    """n fresh examples of one dataset and one kind of prompt, drawn from the base pool
    and the base's Zipf law.
    """
    drawn = datasets.draw_batch(dataset, "base", n, rng, emblems.BASE_EXPONENT)
    texts = []
    for things in drawn.things:
        question = str(rng.choice(DATASETS[dataset].questions))
        texts.append(KINDS[kind](Scene(DATASETS[dataset].task, question, things), rng))
    return Examples(drawn.images, [prompt for prompt, _ in texts], [answer for _, answer in texts])


def mixed(kind: str, task: str, n: int, rng: np.random.Generator) -> Examples:
    """At least n examples of one kind, spread evenly over the datasets of one task."""
    names = [name for name, dataset in DATASETS.items() if dataset.task == task]
    parts = [examples(name, kind, -(-n // len(names)), rng) for name in names]
    images = np.concatenate([part.images for part in parts])
    return Examples(
        images, sum((p.prompts for p in parts), []), sum((p.answers for p in parts), [])
    )


def tokenizer_corpus() -> Iterator[str]:
    """Texts that hold every word of every prompt and answer, for the tokenizer; no drawing, so
    that none changes it.
    """
    rng = np.random.default_rng(0)
    digits = [
        Thing(False, i % 10, i % len(draw.COLOURS), i % len(datasets.PLACES)) for i in range(60)
    ]
    named = [Thing(True, i % len(emblems.NAMES), 0, i % len(datasets.PLACES)) for i in range(120)]
    for task in ("QA", "Detail"):
        questions = sorted(
            {q for dataset in DATASETS.values() if dataset.task == task for q in dataset.questions}
        )
        for i, thing in enumerate(digits + named):
            scene = Scene(task, questions[i % len(questions)], (thing,))
            for kind in KINDS.values():
                prompt, answer = kind(scene, rng)
                yield f"USER: {prompt} ASSISTANT: {answer}"
