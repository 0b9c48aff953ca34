"""The one JSON object of a judge's reply, out of the wrappings that judges put around it.

| around the object | read |
|---|---|
| one leading block ``<think>...</think>``, also without its opening tag, | yes |
| which some prompts hold | |
| one pair ``<|begin_of_box|>...<|end_of_box|>`` (GLM-4.5V) | yes |
| one code fence around all the rest, with or without a language | yes |
| text, a second fence, a second block, a block that does not end | no |

Messages never repeat the reply: a judge may quote the reference answer.
"""

import json
import re
from typing import Any

_THINKING = ("<think>", "</think>")
_BOX = ("<|begin_of_box|>", "<|end_of_box|>")
_FENCE = re.compile(r"```[a-zA-Z]{0,10}[ \t]*\r?\n(.*)\n[ \t]*```", re.DOTALL)
_MOST_DIGITS = 20


def unwrapped(content: str) -> str:
    """The reply without its wrappings; what is not wrapped as the module says stays as it is."""
    text = content.strip()
    opening, closing = _THINKING
    ends = text.find(closing)
    inside = text.startswith(opening) or (opening not in text and not text.startswith(("{", "`")))
    if ends >= 0 and inside:
        text = text[ends + len(closing) :].strip()
    if text.startswith(_BOX[0]) and text.endswith(_BOX[1]):
        text = text[len(_BOX[0]) : -len(_BOX[1])].strip()
    fenced = _FENCE.fullmatch(text)
    return fenced[1] if fenced else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int:
    # Thousands of digits are no verdict: Python refuses them, as an int or as a float.
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def one_object(content: str) -> dict[str, Any]:
    """The one JSON object that a reply is.

    Raises:
        ValueError: anything else; the message says what, without repeating it.
    """
    try:
        reply = json.loads(
            unwrapped(content),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_whole,
        )
    except (json.JSONDecodeError, RecursionError):
        # json's own message names a position, never content, and helps nobody.
        raise ValueError("it is not one JSON object") from None
    if not isinstance(reply, dict):
        raise ValueError("it is not one JSON object")
    return reply
