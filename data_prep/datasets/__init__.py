"""Datasets: one adapter each for the fourteen of the paper's Table 13, one that reads them all
from RLAIF-V, the pocket ones, and one's own.

An adapter reads files as their publisher ships them and yields a `SourceQuestion` a question, or
`Rejected` for a record that it cannot read. An image stays where it lies and is not looked at.
Image ids start with the name of the collection: datasets over the same pictures (COCO, OpenImages)
share it, and the splits rely on that. The paper does not say which split of a dataset it uses; the
default is the one that people evaluate on and that has answers.

    datasets:
      - {name: VQAv2, root: DIR, sample: 12942}
      - {name: my-birds, kind: jsonl, root: DIR, file: birds.jsonl, task: Detail,
         use_for: evaluation}
"""

import hashlib
import heapq
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.datasets import (
    art500k,
    coco,
    google_landmark,
    gqa,
    llava,
    movienet,
    ocr_vqa,
    pocket,
    records,
    rlaif_v,
    textvqa,
    vqa,
)
from data_prep.datasets.common import Item, is_url
from data_prep.questions import SPLITS, Rejected
from reward_fns.errors import UserError

__all__ = ["DATASETS", "Item", "open_dataset"]

DATASETS: dict[str, Callable[..., Iterator[Item]]] = {
    "OCR-VQA": ocr_vqa.ocr_vqa,
    "TextVQA": textvqa.textvqa,
    "OK-VQA": vqa.ok_vqa,
    "GQA": gqa.gqa,
    "VQAv2": vqa.vqav2,
    "sharegpt4v-textvqa": llava.sharegpt4v_textvqa,
    "sharegpt4v-web-landmark": llava.sharegpt4v_web_landmark,
    "sharegpt4v-web-celebrity": llava.sharegpt4v_web_celebrity,
    "sharegpt4v-wikiart": llava.sharegpt4v_wikiart,
    "LCS-558K": llava.lcs_558k,
    "Google-Landmark": google_landmark.google_landmark,
    "ART500K": art500k.art500k,
    "COCO": coco.coco,
    "MovieNet": movienet.movienet,
    "rlaif_v": rlaif_v.rlaif_v,
    "pocket": pocket.pocket,
    "jsonl": records.jsonl,
    "parquet": records.parquet,
    "huggingface": records.huggingface,
}
"""Kind of dataset -> its adapter: (dataset, root, *, options) -> items. The fourteen have
their tag of Table 13.
"""


def open_dataset(config: Mapping[str, Any]) -> Iterator[Item]:
    """The items of a configured dataset, in the order of its files.

    Args:
        config: name, the tag of the questions; kind, a key of `DATASETS` (default: the name);
            root, the folder of its files; one of limit, the first so many questions, and sample,
            so many drawn at random (a function of the question ids and `seed` alone; reads the
            dataset to its end and holds the sample; a dataset that has fewer is an error);
            use_for, the side that all of its questions go to (default: the step `splits` divides
            them); and the adapter's own. A rejected record does not count, and comes as it is met.

    Raises:
        UserError: an unknown kind or option, one that is missing, or a number out of range; when
            the items are read, what the adapter raises.
    """
    options = dict(config)
    name = options.pop("name", None)
    if not isinstance(name, str) or not name:
        raise UserError(f"a dataset needs a name; {dict(config)} has none")
    kind = options.pop("kind", name)
    if kind not in DATASETS:
        raise UserError(f"dataset {name}: unknown kind {kind!r}; there are {', '.join(DATASETS)}")
    root, seed = options.pop("root", None), options.pop("seed", 0)
    if not root:
        raise UserError(f"dataset {name} needs root, the folder of its files")
    for key, value in {"root": root, **options}.items():
        if is_url(value):
            raise UserError(
                f"dataset {name}: {key} is a URL ({value}): download the files, and give their path"
            )
    limit, sample = (_number(name, key, options.pop(key, None)) for key in ("limit", "sample"))
    if limit is not None and sample is not None:
        raise UserError(f"dataset {name} has both limit and sample; leave one out")
    use_for = options.pop("use_for", None)
    if use_for not in (None, *SPLITS):
        raise UserError(f"dataset {name}: use_for is one of {', '.join(SPLITS)}, got {use_for!r}")
    adapter = DATASETS[kind]
    known = {
        key: option
        for key, option in inspect.signature(adapter).parameters.items()
        if option.kind == option.KEYWORD_ONLY
    }
    if unknown := [key for key in options if key not in known]:
        own = ", ".join(("name", "kind", "root", "limit", "sample", "seed", "use_for", *known))
        raise UserError(f"dataset {name}: unknown option {unknown[0]!r}; there are {own}")
    if missing := [
        key
        for key, option in known.items()
        if option.default is option.empty and key not in options
    ]:
        raise UserError(f"dataset {name} of kind {kind} needs {missing[0]}")
    items = _when_read(adapter, name, Path(root), options)
    if use_for is not None:
        items = (
            item if isinstance(item, Rejected) else replace(item, use_for=use_for) for item in items
        )
    if limit is not None:
        return _first(items, limit)
    return items if sample is None else _sampled(name, items, sample, seed)


def _when_read(
    adapter: Callable[..., Iterator[Item]], name: str, root: Path, options: Mapping[str, Any]
) -> Iterator[Item]:
    """The adapter's items; its files are not touched before the first is asked for."""
    yield from adapter(name, root, **options)


def _number(name: str, key: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UserError(
            f"dataset {name}: {key} must be a whole number of at least 1, got {value!r}"
        )
    return value


def _first(items: Iterator[Item], limit: int) -> Iterator[Item]:
    for item in items:
        yield item
        limit -= not isinstance(item, Rejected)
        if limit == 0:
            return


def _sampled(name: str, items: Iterator[Item], sample: int, seed: int) -> Iterator[Item]:
    """The rejected ones as they come, then the questions with the smallest hashes,
    in the order of the files.

    Raises:
        UserError: there are fewer questions.
    """
    kept: list[tuple[int, int, Item]] = []  # a heap whose first has the largest hash, as -hash
    for position, item in enumerate(items):
        if isinstance(item, Rejected):
            yield item
            continue
        digest = hashlib.sha256(f"{seed}/{item.question_id}".encode()).digest()
        entry = (-int.from_bytes(digest, "big"), position, item)
        if len(kept) < sample:
            heapq.heappush(kept, entry)
        elif entry > kept[0]:
            heapq.heapreplace(kept, entry)
    if len(kept) < sample:
        raise UserError(
            f"dataset {name} has {len(kept)} questions, sample asks for {sample}: leave sample "
            "out to take all, or choose another split"
        )
    for _, _, item in sorted(kept, key=lambda entry: entry[1]):
        yield item
