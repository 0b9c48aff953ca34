"""ART500K: works of art with their labels, in either of the two forms that its publisher has.

Whole dataset: `label_list.csv`, no header, fields parted by tabs (some copies: by "|"), their
names in `head_info.csv` as a Python list; the last one is the image's path.

    head_info.csv    ['author_name', 'painting_name', 'image_url', 'Genre', 'Style', ..., 'Path']
    label_list.csv   Claude Monet<TAB>Water Lilies<TAB>...<TAB>Artists1/Claude Monet/WL##9AE.jpg
    images           under root

Toy dataset: `toy_dataset_label.csv` with a header, fields parted by tabs, images in `toy_dataset/`.

    ID<TAB>FILE<TAB>AUTHOR<TAB>TITLE<TAB>DATE<TAB>TECHNIQUE<TAB>LOCATION<TAB>URL<TAB>FORM<TAB>
    TYPE<TAB>SCHOOL<TAB>...                                                     (one line)

Both are read as a stream, without quoting (titles hold stray quotes). In the whole list two fields
are swapped in some lines, so the path is the last field that names an image. The reference says
what is known of the work, in the order title, artist, date, style, genre, ...; a work of which
nothing is known is rejected. One picture may lie in the folders of its artist and of its style;
what stands behind "##" in its name is its own, and is the picture's id.
"""

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from data_prep.datasets.common import (
    Item,
    attempt,
    fields_of,
    folder,
    published,
    read_lines,
    record_of,
    there,
)
from data_prep.datasets.detail import detail_question
from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError

_SOURCE = 'ART500K at HKUST, "Download"'
_FACTS = {
    "Title": ("painting_name", "TITLE"),
    "Artist": ("author_name", "AUTHOR"),
    "Date": ("Date", "DATE"),
    "Style": ("Style",),
    "Genre": ("Genre", "TYPE"),
    "Movement": ("Art Movement",),
    "School": ("Painting School", "SCHOOL"),
    "Technique": ("Media", "TECHNIQUE"),
    "Place": ("Location", "LOCATION"),
}
"""What the reference says -> the columns that hold it, in either form."""

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def art500k(dataset: str, root: Path, *, images: str | None = None) -> Iterator[Item]:
    """ART500K: the whole list if it is there, else the toy list.

    Raises:
        UserError: neither list is there, or the names of the columns cannot be read.
    """
    toy = root / "toy_dataset_label.csv"
    if not there(root / "label_list.csv") and there(toy):
        lines = read_lines(toy)
        header = next(lines, ("", b""))[1]
        columns = [name.strip() for name in fields_of(header, "\t", quoted=False)] if header else []
        if "FILE" not in columns:
            raise UserError(f"{toy} has no column FILE: it is not the published file")
        directory, delimiter = folder(root, images, "toy_dataset"), "\t"
    else:
        listing = published(root, "label_list.csv", _SOURCE)
        columns = _columns(published(root, "head_info.csv", _SOURCE))
        directory, delimiter = folder(root, images, ""), _delimiter(listing)
        lines = read_lines(listing)
    for place, line in lines:
        yield attempt(dataset, place, _question, dataset, line, columns, delimiter, directory)


def _columns(path: Path) -> list[str]:
    try:
        names = ast.literal_eval(path.read_text(encoding="utf-8").strip())
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"{path} does not hold a list of column names: it is not the published file"
        ) from error
    return [str(name).strip() for name in names]


def _delimiter(path: Path) -> str:
    first = next(read_lines(path), ("", b""))[1]
    return max("\t|", key=lambda mark: first.count(mark.encode()))


def _question(
    dataset: str, line: bytes, columns: list[str], delimiter: str, directory: Path
) -> SourceQuestion:
    record = record_of(line, columns, delimiter, quoted=False)
    path = record["FILE"] if "FILE" in record else _path(list(record.values()))
    facts = {label: _first(record, names) for label, names in _FACTS.items()}
    known = [f"{label}: {value}." for label, value in facts.items() if value]
    if not path.strip() or not known:
        raise ValueError("nothing is known of the work" if path.strip() else "no image path")
    question_id = f"{dataset}/{PurePosixPath(path.strip()).with_suffix('')}"
    return SourceQuestion(
        question_id=question_id,
        dataset=dataset,
        task="Detail",
        question=detail_question(question_id, "artwork"),
        image_id=f"art500k/{path.strip().rpartition('##')[2]}",
        image=directory / path.strip(),
        ground_truth=" ".join(known),
        answers=tuple(facts[label] for label in ("Title", "Artist") if facts[label]),
    )


def _path(values: list[str]) -> str:
    return next(
        (value for value in reversed(values) if value.strip().lower().endswith(_IMAGE_SUFFIXES)), ""
    )


def _first(record: dict[str, str], names: tuple[str, ...]) -> str:
    value = next((record[name].strip() for name in names if name in record), "")
    return "" if value.lower() in ("nan", "null", "none", "unknown", "-") else value
