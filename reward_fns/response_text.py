"""The text of a response below its grammar: which characters say something,
and what frames an answer.

The strict and the lenient reader share this. All of it takes time linear in the length of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from unicodedata import category

SPECIAL_TOKENS = (
    "</s>",
    "<eos>",
    "<pad>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<end_of_turn>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
"""What is taken off the end of a response: the end and padding tokens of common model families."""

Span = tuple[int, int]
"""Start and end of a piece of a response, in characters; `response[start:end]` is the piece."""

_WORD = re.compile(r"\S+")
_CHECK_MARKS = "\u2705\u2714\u2611\ufe0f"


def _speaks(character: str) -> bool:
    """Whether a character says something.

    Silent are ASCII punctuation, all Unicode punctuation, blanks, control and format characters,
    and a check mark. Every letter, digit, mark and symbol speaks, and so do the invisible tag
    characters (U+E0000 to U+E007F), which can spell whole sentences.
    """
    if character.isascii():
        return character.isalnum()
    if character in _CHECK_MARKS:
        return False
    if "\U000e0000" <= character <= "\U000e007f":
        return True
    kind = category(character)
    return kind[0] not in "PZ" and kind not in ("Cc", "Cf")


def spoken(text: str) -> str:
    """The text up to its last character that says something."""
    end = len(text)
    while end and not _speaks(text[end - 1]):
        end -= 1
    return text[:end]


def unfold(text: str, span: Span, wanted: Sequence[Span]) -> list[Span]:
    """The spans in `text` of spans in the folded form of its piece `span`."""
    if not wanted:
        return []
    words = [word.span() for word in _WORD.finditer(text, *span)]
    folded = list(accumulate((end - start + 1 for start, end in words), initial=0))

    def position(at: int) -> int:
        word = bisect_right(folded, at) - 1
        return words[word][0] + at - folded[word]

    return [(position(start), position(end - 1) + 1) for start, end in wanted]


def end_of_text(text: str) -> int:
    """Where `text` ends without the special tokens and blanks at its end."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        token = next((t for t in SPECIAL_TOKENS if text.endswith(t, 0, end)), None)
        if token is None:
            return end
        end -= len(token)


def answer_start(text: str, thinking: tuple[str, str]) -> int | None:
    """Where the answer begins behind a leading thinking block; None if the block does not end.

    A response may also begin inside the block, where the prompt has opened it: then it goes up to
    the first closing tag. 0 where there is no such block.

    Args:
        text: the response.
        thinking: the opening and the closing tag, e.g. ``("<think>", "</think>")``.
    """
    opening, closing = thinking
    closed = text.find(closing)
    if text.lstrip().startswith(opening):
        return closed + len(closing) if closed >= 0 else None
    if closed >= 0 and text.find(opening, 0, closed) < 0:
        return closed + len(closing)
    return 0
