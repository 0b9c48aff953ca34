"""Untrusted text in a prompt: JSON strings on one line that hold nothing a server could
take for its own markup.

A JSON string cannot end the material it stands in: quotes and line breaks are escaped.
Beyond what JSON asks for, these are written as ``\\uXXXX`` too, so that reading the JSON
gives the text back exactly:

- the other line breaks, C1 controls, lone surrogates (no UTF-8 has them) and marks that
  turn the direction of text;
- ``< > [ ]``: chat markup such as ``<|im_start|>``, ``</s>``, ``[INST]`` and image placeholders
  such as ``<image>`` are special tokens to the tokenizer of many servers, wherever they stand.
"""

import json
import re
from collections.abc import Sequence

from reward_fns.claims import MAX_ANSWER_CHARS, MAX_CLAIM_CHARS

_ESCAPED = re.compile(
    "[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff<>\\[\\]"
    # What is not seen: soft hyphen, zero width, word joiner, variation
    # selectors, byte order mark, tags.
    "\xad\u180e\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
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
    return _ESCAPED.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    """As JSON writes it: `\\u200b`, and beyond U+FFFF two of these."""
    if ord(character) > 0xFFFF:
        return json.dumps(character)[1:-1]
    return f"\\u{ord(character):04x}"


def quoted_list(material: Sequence[str], limit: int = MAX_CLAIM_CHARS) -> str:
    """Texts as a JSON list of strings on one line."""
    return f"[{', '.join(quoted(text, limit) for text in material)}]"
