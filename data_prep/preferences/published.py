"""Published preference sets, in their publishers' file formats.

    HA-DPO    desc_data.json   {"2370799": {"chosen": [text, ...], "rejected": [text, ...]}, ...}
              pope_data.json   [{"image_id", "question", "correct", "chosen", "reject", ...}]
              images           Visual Genome's: VG_100K/ID.jpg, VG_100K_2/ID.jpg, or ID.jpg (.png)
    POVID     *.json           [{"id", "image", "conversations": [{"from": "human", "value"}, ...],
                                 "rejected_conversations": [...]}, ...], images by "image"
    RLAIF-V   *.parquet        `datasets.rlaif_v`, whose reader this is, with `rejected`

HA-DPO spells the worse answer `rejected` in one file and `reject` in the other; both are read in
both. As in its training, a record with `correct: true` (the model was right) is left out, and a
description's better and worse wording are drawn from its lists, here by a hash of image and seed.
Its training shows descriptions twice in an epoch; here they are there once. The questions about
descriptions are ours (`datasets.detail`): its files hold none.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.datasets.common import attempt, matching, read_array, read_members, text
from data_prep.datasets.detail import detail_question
from data_prep.datasets.rlaif_v import COLUMNS, rlaif_v_rows
from data_prep.preferences.pairs import Pair
from data_prep.questions import Rejected
from reward_fns.errors import UserError

Reader = Callable[[Path, Path, int], Iterator[Pair | Rejected]]
_ROLES = {"human": "user", "gpt": "assistant"}


def ha_dpo(root: Path, images: Path, seed: int = 0) -> Iterator[Pair | Rejected]:
    """HA-DPO; either of its two files may be missing.

    Raises:
        UserError: neither file is there, or one is torn.
    """
    described, asked = root / "desc_data.json", root / "pope_data.json"
    if not described.is_file() and not asked.is_file():
        raise UserError(f"no {described} and no {asked}: unpack HA-DPO's data there as published")
    if described.is_file():
        for image_id, record in read_members(described):
            place = f"{described.name} {image_id}"
            yield attempt("ha_dpo", place, _description, image_id, record, images, seed, place)
    if asked.is_file():
        for index, record in enumerate(read_array(asked)):
            place = f"{asked.name} item {index}"
            yield attempt("ha_dpo", place, _asked, record, images, index, place)


def _description(image_id: str, record: Any, images: Path, seed: int, place: str) -> Pair:
    if not isinstance(record, dict):
        raise ValueError("is no object")
    chosen, rejected = (
        _drawn(_listed(record, field), f"{seed}/{image_id}/{field}")
        for field in ("chosen", "rejected")
    )
    question_id = f"ha_dpo/desc/{image_id}"
    turns = (("user", detail_question(question_id, "scene")),)
    image = _visual_genome(images, image_id)
    return Pair("ha_dpo", question_id, turns, image, chosen, rejected, place)


def _asked(record: Any, images: Path, index: int, place: str) -> Pair | Rejected:
    question, chosen = text(record, "question"), text(record, "chosen")
    if record.get("correct") is True:
        return Rejected("ha_dpo", place, "correct: true", "the model was right")
    image_id = str(record["image_id"])
    return Pair(
        "ha_dpo",
        f"ha_dpo/pope/{index}",
        (("user", question),),
        _visual_genome(images, image_id),
        chosen,
        text(record, _spelled(record)),
        place,
    )


def _spelled(record: dict[str, Any]) -> str:
    return "reject" if "reject" in record and "rejected" not in record else "rejected"


def _listed(record: dict[str, Any], field: str) -> list[str]:
    given = record[_spelled(record) if field == "rejected" else field]
    texts = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(one, str) and one.strip() for one in texts):
        raise ValueError(f"{field} is no list of texts")
    return [one.strip() for one in texts]


def _drawn(texts: Sequence[str], key: str) -> str:
    return texts[int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % len(texts)]


def _visual_genome(images: Path, image_id: str) -> Path:
    if not image_id.isalnum():
        raise ValueError(f"image id {image_id!r} is no name of Visual Genome's")
    places = [
        images / folder / f"{image_id}{ending}"
        for folder in ("VG_100K", "VG_100K_2", "")
        for ending in (".jpg", ".png")
    ]
    return next((place for place in places if place.is_file()), places[0])


def povid(root: Path, images: Path, seed: int = 0) -> Iterator[Pair | Rejected]:
    """POVID: every *.json of the folder. `image` is a path under `images`, or its last parts are.

    Raises:
        UserError: no file, or a torn one.
    """
    for path in matching(
        root, "*.json", "Hugging Face, YiyangAiLab/POVID_preference_data_for_VLLMs"
    ):
        for index, record in enumerate(read_array(path)):
            place = f"{path.name} item {index}"
            yield attempt("povid", place, _povid_pair, record, images, index, place)


def _povid_pair(record: Any, images: Path, index: int, place: str) -> Pair:
    name = text(record, "image")
    kept, worse = (_turns(record, name) for name in ("conversations", "rejected_conversations"))
    if kept[:-1] != worse[:-1]:
        raise ValueError("its two conversations differ before the last answer")
    return Pair(
        "povid",
        f"povid/{record.get('id', index)}",
        kept[:-1],
        _under(images, name),
        kept[-1][1],
        worse[-1][1],
        place,
    )


def _turns(record: dict[str, Any], field: str) -> tuple[tuple[str, str], ...]:
    found = []
    for turn in record[field]:
        if turn["from"] not in _ROLES:
            raise ValueError(f"{field}: a turn is from {turn['from']!r}, not human or gpt")
        found.append((_ROLES[turn["from"]], text(turn, "value").replace("<image>", "").strip()))
    if len(found) < 2 or found[-1][0] != "assistant":
        raise ValueError(f"{field} does not end with an answer of gpt")
    return tuple(found)


def _under(images: Path, name: str) -> Path:
    """The image by its path, else by as many of its last parts as lead to a file."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise ValueError(f"image {name!r} is no path under the images' folder")
    places = [images.joinpath(*parts[start:]) for start in range(len(parts))]
    return next((place for place in places if place.is_file()), places[0])


def rlaif_v_pairs(root: Path, images: Path, seed: int = 0) -> Iterator[Pair | Rejected]:
    """RLAIF-V-Dataset, its pictures in the shards.

    Raises:
        UserError: as `datasets.rlaif_v.rlaif_v`.
    """
    for item, row in rlaif_v_rows("rlaif_v", root, columns=(*COLUMNS, "rejected")):
        if isinstance(item, Rejected):
            yield item
            continue
        yield attempt("rlaif_v", item.question_id, _rlaif_v_pair, item, row)


def _rlaif_v_pair(item: Any, row: dict[str, Any]) -> Pair:
    return Pair(
        item.dataset,
        item.question_id,
        (("user", item.question),),
        item.image,
        item.ground_truth,
        text(row, "rejected"),
        f"idx {row['idx']}",
    )


READERS: dict[str, Reader] = {"ha_dpo": ha_dpo, "povid": povid, "rlaif_v": rlaif_v_pairs}
"""Name -> (folder of its files, folder of its images, seed) -> pairs."""
