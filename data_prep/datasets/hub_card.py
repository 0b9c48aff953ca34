"""What a Hugging Face folder's own card names as its data files, looked at before
`load_dataset` follows it.

The library reads `configs` in the head of README.md, and in .huggingface.yaml, and fetches what
stands there: from a server, offline too, or from anywhere on this machine.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError
from reward_fns.files import read_mapping


def check_card(dataset: str, root: Path) -> None:
    """Let no card name data files outside its folder.

    Raises:
        UserError: one does, or cannot be read.
    """
    import yaml
    from datasets import config
    from huggingface_hub import DatasetCard

    card, beside = root / config.REPOCARD_FILENAME, root / config.REPOYAML_FILENAME
    try:
        named: dict[str, Any] = DatasetCard.load(card).data.to_dict() if card.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{dataset}: {card} cannot be read ({reason})") from error
    named |= read_mapping(beside) if beside.is_file() else {}
    for text in _texts(named.get("configs")):
        if _leads_out(text):
            raise UserError(
                f"{dataset}: {root} names the data file {text!r}, which is not in the folder: "
                "fetch it yourself, and read it by kind parquet or jsonl"
            )


def _leads_out(text: str) -> bool:
    # fsspec's addresses: memory://a, zip://a::http://b
    return "::" in text or "://" in text or text[:1] in ("/", "~") or ".." in Path(text).parts


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
