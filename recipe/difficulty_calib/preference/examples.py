"""Examples: a prompt, its image, one answer (SFT) or a better and a worse one; batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_prep.engines.chat import chat_text, open_image
from data_prep.verl_rows import chat_content, load_preferences, read_rows
from data_prep.verl_rows.schema import check_sft
from data_prep.verl_rows.stored import StoredImage, StoredImages
from recipe.difficulty_calib.preference.losses import IGNORED
from reward_fns.errors import UserError

_SFT_COLUMNS = ("messages", "images", "data_source", "question_id")


@dataclass(frozen=True)
class Example:
    """One question with its answers, the better one first."""

    prompt: list[dict[str, Any]]
    image: StoredImage
    answers: tuple[str, ...]
    question_id: str


def preference_examples(path: Path, limit: int | None = None) -> list[Example]:
    """Of a parquet of preferences. Raises UserError as `load_preferences`."""
    return [
        Example(one.prompt, one.image, (one.chosen, one.rejected), one.question_id)
        for one in load_preferences(path, limit)
    ]


def sft_examples(path: Path, limit: int | None = None) -> list[Example]:
    """Of a parquet of SFT rows, as stage one writes it.

    Raises:
        UserError: the file is missing, corrupt or empty, or a row breaks a rule.
    """
    found: list[Example] = []
    images: StoredImages | None = None
    remedy = "make it by stage one, `python -m data_prep run`"
    for number, row in enumerate(read_rows(path, _SFT_COLUMNS, "SFT rows", remedy)):
        if limit is not None and number >= limit:
            break
        check_sft(row, f"{path} row {number}")
        images = images or StoredImages(path)
        user, assistant = (turn["content"] for turn in row["messages"])
        prompt = [{"role": "user", "content": chat_content(user)}]
        found.append(Example(prompt, images[number], (assistant,), row["question_id"]))
    if not found:
        raise UserError(f"{path} holds no SFT rows: {remedy}")
    return found


class Collator:
    """Examples to the tensors of a forward pass: all first answers, then all second ones.

    Padded on the right.

    The prompt is the chat template's with its generation prompt, the answer what the template puts
    behind it and the end of sequence: the tokens of the rollout, as in `dataset.AnswerSFTDataset`.
    `labels` are `IGNORED` but for these.

    Args:
        longest: positions that the model has.
    """

    def __init__(self, processor: Any, longest: int) -> None:
        self._processor, self._longest = processor, longest
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Tensors of `len(answers) * len(examples)` rows.

        Raises:
            UserError: an example is too long, its image cannot be read, or the template does not
            fit; names it.
        """
        rows = [
            (one, answer)
            for answers in zip(*(one.answers for one in examples), strict=True)
            for one, answer in zip(examples, answers, strict=True)
        ]
        written = [self._written(one, answer) for one, answer in rows]
        images = [[open_image(one.image.read())] for one in examples]
        images *= len(rows) // len(examples)
        texts = [text for text, _ in written]
        inputs = self._processor(text=texts, images=images, padding=True, return_tensors="pt")
        lengths = inputs["attention_mask"].sum(-1).tolist()
        labels = torch.full_like(inputs["input_ids"], IGNORED)
        for row, (length, (_, count)) in enumerate(zip(lengths, written, strict=True)):
            if length > self._longest:
                raise UserError(
                    f"{rows[row][0].question_id}: prompt and answer have {length} tokens, the "
                    f"model takes {self._longest}"
                )
            answer = slice(length - count, length)
            labels[row, answer] = inputs["input_ids"][row, answer]
        return {**inputs, "labels": labels}

    def _written(self, example: Example, answer: str) -> tuple[str, int]:
        """The whole conversation, and the number of tokens of its answer."""
        tokenizer = self._processor.tokenizer
        prompt = chat_text(self._processor, example.prompt)
        turn = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        whole = self._processor.apply_chat_template([*example.prompt, turn], tokenize=False)
        # `chat_text` may take a beginning of sequence off; it is taken off here too.
        start = whole.find(prompt)
        whole = whole[start:].rstrip().removesuffix(tokenizer.eos_token) + tokenizer.eos_token
        before, after = tokenizer(prompt).input_ids, tokenizer(whole).input_ids
        if start < 0 or after[: len(before)] != before:
            raise UserError(
                f"{example.question_id}: the chat template's generation prompt is no beginning of "
                "the conversation"
            )
        return whole, len(after) - len(before)
