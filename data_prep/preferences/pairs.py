"""What a reader yields: a better and a worse answer to one question about one image."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_prep.questions import Rejected, SourceQuestion, UnreadableImage, image_bytes
from data_prep.verl_rows import preference_row, preference_writer
from reward_fns.errors import UserError


@dataclass(frozen=True)
class Pair:
    """One preference as its source gives it.

    Attributes:
        turns: (role, text) of the prompt, the user's first and last; without image mark.
        image: the encoded file, or where it lies.
        place: file and item, so that a person finds it.
    """

    source: str
    question_id: str
    turns: tuple[tuple[str, str], ...]
    image: Path | bytes
    chosen: str
    rejected: str
    place: str


def write_pairs(out: Path, pairs: Iterable[Pair | Rejected]) -> tuple[int, list[Rejected]]:
    """Write the pairs, whole or not at all; returns their number and what was left out.

    Raises:
        UserError: there is none.
    """
    left_out: list[Rejected] = []
    with preference_writer(out) as writer:
        for pair in pairs:
            if isinstance(pair, Rejected):
                left_out.append(pair)
                continue
            try:
                writer.write(_row(pair))
            except UserError as error:  # it is named, and the others go on
                reason = "image" if isinstance(error, UnreadableImage) else "malformed record"
                left_out.append(Rejected(pair.source, pair.place, reason, str(error)))
        if not writer.count:
            first = f": the first, {left_out[0].place}: {left_out[0].detail}" if left_out else ""
            raise UserError(f"no preference can be used, {len(left_out)} were left out{first}")
        return writer.count, left_out


def _row(pair: Pair) -> dict[str, object]:
    asked = pair.turns[-1][1]
    # `image_bytes` reads the picture of a question.
    question = SourceQuestion(
        pair.question_id, pair.source, "Detail", asked, pair.question_id, pair.image, ""
    )
    content = image_bytes(question)
    return preference_row(
        pair.turns, content, pair.chosen, pair.rejected, pair.source, pair.question_id
    )
