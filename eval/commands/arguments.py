"""Values of options that several commands take."""

import argparse
import re
from typing import Any

from data_prep.engines.arguments import json_or_text


def model_spec(text: str) -> tuple[str, str | dict[str, Any]]:
    """NAME=SPEC: a model's name, and what `data_prep.engines.open_engine` takes."""
    name, equals, spec = text.partition("=")
    if not equals or not spec or not re.fullmatch(r"[A-Za-z0-9_-]+(@[0-9]+)?", name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=SPEC or NAME@STEP=SPEC with a name of letters, digits, _ and -"
        )
    return name, json_or_text(spec)


def share(text: str) -> float:
    """A number above 0 and of at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: above 0, and at most 1")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
