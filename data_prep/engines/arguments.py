"""A model on the command line."""

import argparse
import json
from typing import Any


def json_or_text(text: str) -> str | dict[str, Any]:
    """A mapping if the text begins with a brace, else the text."""
    try:
        return json.loads(text) if text.startswith("{") else text
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
