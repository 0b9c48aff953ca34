"""The same questions with and without the image that answers them: does the confidence fall?

A model that looks at the image is less sure when the image is gone, another one, or noise. One
whose confidence stays where it was while its accuracy falls is sure by the question alone. Plain
and corrupted records are paired by question and sample; a difference is corrupted minus plain,
with a paired bootstrap interval over questions, within each dataset.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.comparison import FEWEST_QUESTIONS
from eval.metrics import METRICS
from eval.metrics.bootstrap import paired_differences
from eval.metrics.ranked import Floats, Ranked, Rows, divide, estimate
from eval.naming.model_names import model_title, protocol_title
from eval.numbers.values import Interval
from eval.records import AnswerRecord, answers_path, question_key, settings_path
from eval.records.chosen import load_chosen
from eval.tables.table import Cell, Column, Table
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

TITLES = {"none": "no image (grey)", "other": "another image", "noise": "noise"}


@dataclass(frozen=True)
class Change:
    """A value with the question's own images and with others; `difference` is
    corrupted minus plain.
    """

    plain: float
    corrupted: float
    difference: Interval


@dataclass(frozen=True)
class BlindTest:
    """One model and protocol, plain against one kind of images.

    Attributes:
        images: a kind of `asking.shown_images.IMAGES`, or the directory's name
            where the records do not say.
        confidence, ece: on the answers whose confidence can be read in both; `readable` of the n,
            to `questions` distinct questions.
        accuracy: on all n answers that are in both; with n = 0 no value is defined.
    """

    images: str
    model: str
    protocol: str
    confidence: Change
    accuracy: Change
    ece: Change
    readable: int
    questions: int
    n: int

    def sentence(self) -> str:
        """What became of the confidence, in words and numbers."""
        what = f"{model_title(self.model)}, {protocol_title(self.protocol)}, {_title(self.images)}"
        if self.n == 0:
            return f"{what}: no question is in both directories: ask the same questions"
        return (
            f"{what}: {self._told()} ({_numbers(self.confidence)}); accuracy "
            f"{_numbers(self.accuracy)}."
        )

    def _told(self) -> str:
        _, low, high = self.confidence.difference
        if self.readable == 0:
            return "no confidence can be read in both"
        if self.questions < FEWEST_QUESTIONS:
            return f"fewer than {FEWEST_QUESTIONS} questions do not tell whether confidence falls"
        if math.isnan(low) or low <= 0 <= high:
            return "no change of the confidence can be told"
        return "confidence falls" if high < 0 else "confidence rises"


def blind_tests(
    plain: Path, corrupted: Sequence[Path], protocols: Sequence[str] | None = None
) -> list[BlindTest]:
    """Every model and protocol that is in the plain directory and in a corrupted one.

    Args:
        plain, corrupted: directories of record files.
        protocols: only these, None for all.

    Raises:
        UserError: what `records.load_records` refuses; records that were asked differently but for
            the images; plain records of other images, or corrupted ones of the questions' own; a
            directory with nothing to compare.
    """
    of_plain = load_chosen(plain, protocols)
    found: list[BlindTest] = []
    for directory in corrupted:
        groups = load_chosen(directory, protocols)
        pairs = [
            (model, protocol)
            for model, by_protocol in groups.items()
            for protocol in by_protocol
            if protocol in of_plain.get(model, {})
        ]
        if not pairs:
            raise UserError(
                f"{directory} and {plain} have no model and protocol in common: ask the "
                "same model with --images"
            )
        images = {model: _images(plain, directory, model) for model, _ in pairs}
        for model, protocol in pairs:
            a, b = of_plain[model][protocol], groups[model][protocol]
            found.append(blind_test(images[model], a, b))
    if not any(test.n for test in found):
        raise UserError(found[0].sentence())
    return found


def blind_test(
    images: str, plain: Sequence[AnswerRecord], corrupted: Sequence[AnswerRecord]
) -> BlindTest:
    """Compare the records of one model and protocol; of n = 0 answers where
    no question is in both.
    """
    of_plain = {(question_key(record), record.sample): record for record in plain}
    common = [
        (of_plain[key], record)
        for record in corrupted
        if (key := (question_key(record), record.sample)) in of_plain
    ]
    readable = [(a, b) for a, b in common if a.confidence is not None and b.confidence is not None]
    return BlindTest(
        images=images,
        model=plain[0].model,
        protocol=plain[0].protocol,
        confidence=_change(_mean_confidence, readable, _stated),
        accuracy=_change(METRICS["accuracy"].rows, common, _verdict),
        ece=_change(METRICS["ece"].rows, readable, _stated),
        readable=len(readable),
        questions=len({question_key(a) for a, _ in readable}),
        n=len(common),
    )


def _mean_confidence(answers: Ranked, weights: Floats) -> Floats:
    return divide(weights @ answers.confidence.astype(float), weights.sum(axis=1))


def _stated(record: AnswerRecord) -> float:
    assert record.confidence is not None  # only readable ones are compared
    return record.confidence


def _verdict(record: AnswerRecord) -> float:
    """In place of a confidence for accuracy, which looks at none: so it is the
    same by every protocol.
    """
    return record.correct


def _change(
    rows: Rows,
    pairs: Sequence[tuple[AnswerRecord, AnswerRecord]],
    confidence: Callable[[AnswerRecord], float],
) -> Change:
    plain, corrupted = [a for a, _ in pairs], [b for _, b in pairs]
    a, b = (
        ([confidence(record) for record in part], [record.correct for record in part])
        for part in (plain, corrupted)
    )
    found = paired_differences(
        {"": rows},
        b,
        a,
        strata=[record.dataset for record in plain],
        clusters=[question_key(record) for record in plain],
    )[""]
    difference = Interval(found.value, found.low, found.high)
    return Change(estimate(rows, *a), estimate(rows, *b), difference)


def _images(plain: Path, corrupted: Path, model: str) -> str:
    """What the model was shown in a directory; raises UserError unless all else was the same."""
    paths = [settings_path(answers_path(directory, model)) for directory in (plain, corrupted)]
    if not paths[1].is_file():  # made elsewhere
        return corrupted.resolve().name
    shown = read_mapping(paths[1])
    if "images" not in shown:  # the settings name the images unless they are the questions' own
        raise UserError(
            f"{corrupted}: {model} was shown the questions' own images; make these records with "
            "--images none, other or noise"
        )
    if paths[0].is_file():
        asked = read_mapping(paths[0])
        if "images" in asked:
            raise UserError(
                f"--plain {plain}: {model} was shown --images {asked['images']}; name "
                "records without that option"
            )
        keys = sorted((shown.keys() | asked.keys()) - {"images", "versions"})
        for key in keys:
            if shown.get(key) != asked.get(key):
                raise UserError(
                    f"{model} was asked with another {key} in {corrupted} than in {plain}: use "
                    "the same options but --images"
                )
    return str(shown["images"])


def _title(images: str) -> str:
    return TITLES.get(images, images)


def _numbers(change: Change) -> str:
    value, low, high = change.difference
    if math.isnan(value):
        return "no value"
    return f"{change.plain:.3f} to {change.corrupted:.3f}, {value:+.3f} [{low:+.3f}, {high:+.3f}]"


def blind_table(tests: Sequence[BlindTest]) -> Table:
    """A row a kind of images, model and protocol."""
    groups = ("mean confidence", "accuracy", "ECE")
    columns = (
        Column("images"),
        Column("model"),
        Column("protocol"),
        *(
            Column(name, group, signed=name == "difference")
            for group in groups
            for name in ("plain", "corrupted", "difference")
        ),
        Column("readable"),
        Column("n"),
    )
    rows = tuple(
        (
            _title(test.images),
            model_title(test.model),
            protocol_title(test.protocol),
            *_cells(test.confidence),
            *_cells(test.accuracy),
            *_cells(test.ece),
            test.readable,
            test.n,
        )
        for test in tests
    )
    notes = (
        "The same questions with other images; answers are judged against the questions' own. "
        "Difference: corrupted minus plain, with its 95 % paired bootstrap interval over "
        f"questions, within each dataset. Mean confidence and ECE ({METRICS['ece'].estimator}): "
        "where both confidences can be read (“readable”); accuracy: all n.",
    )
    return Table("blind", "Confidence without the image", columns, rows, notes)


def _cells(change: Change) -> tuple[Cell, ...]:
    if math.isnan(change.difference.value):
        return None, None, None
    return change.plain, change.corrupted, change.difference
