"""Untrusted text in a prompt: JSON strings on one line that hold nothing a server could take for its own markup.

A JSON string cannot end the material it stands in: quotes and line breaks are escaped. Beyond what JSON asks for, these
are written as ``\\uXXXX`` too, so that reading the JSON gives the text back exactly:

- the other line breaks, C1 controls, lone surrogates (no UTF-8 has them) and marks that turn the direction of text;
- ``< > [ ]``: chat markup such as ``<|im_start|>``, ``</s>``, ``[INST]`` and image placeholders such as ``<image>``
  are special tokens to the tokenizer of many servers, wherever they stand.
"""

import json
import re
from collections.abc import Sequence

from reward_fns.claims import MAX_ANSWER_CHARS, MAX_CLAIM_CHARS

_ESCAPED = re.compile(
    "[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff<>\\[\\]]"
)


def cut(text: str, limit: int) -> str:
    """The text, or its two ends around a note where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"


def quoted(material: str | None, limit: int = MAX_ANSWER_CHARS) -> str:
    """A text as a JSON string on one line, ``null`` for None."""
    if material is None:
        return "null"
    text = json.dumps(cut(material, limit), ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def quoted_list(material: Sequence[str], limit: int = MAX_CLAIM_CHARS) -> str:
    """Texts as a JSON list of strings on one line."""
    return f"[{', '.join(quoted(text, limit) for text in material)}]"
