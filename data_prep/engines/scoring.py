"""Given answers as the token ids that an engine scores; the same for every engine.

An answer that was generated is known by its text alone. Its ids are those that the tokenizer makes
of the text, which are the generated ones but where a model spelled a word in an unusual way.
"""

from collections.abc import Sequence
from typing import Any


def answer_ids(tokenizer: Any, prompt: str, answer: str) -> list[int]:
    """Ids of an answer behind a prompt (`chat.chat_text`), the end of sequence included.

    A tokenizer of the Llama kind puts a blank before any text that it is given alone. So an answer
    that begins with a blank of its own is read together with the prompt, and any other alone, which
    gives back the blank that decoding took off its first word.
    """
    alone: list[int] = tokenizer(answer, add_special_tokens=False).input_ids
    if answer[:1].isspace():
        before: list[int] = tokenizer(prompt).input_ids
        together: list[int] = tokenizer(prompt + answer).input_ids
        if together[: len(before)] == before:
            alone = together[len(before) :]
    return [*alone, tokenizer.eos_token_id]


def shared_start(sequences: Sequence[list[int]]) -> int:
    """Length of the longest common prefix.

    >>> shared_start([[5, 6, 1], [5, 6, 2], [5, 6, 2, 3]])
    2
    """
    first, last = min(sequences), max(sequences)
    for position, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return position
    return min(len(first), len(last))
