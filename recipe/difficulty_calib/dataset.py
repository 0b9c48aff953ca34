"""RL and SFT data as verl reads them, chosen by ``data.custom_cls``.

Stock verl resizes every image for Qwen2-VL (`smart_resize`) before the model's own processor sees
it, which for CLIP means two resizes and other pixels than the model was trained on: these classes
hand images on as they are. The SFT class also tokenises a conversation as the rollout does, and
ends the answer with the end-of-sequence token, which LLaVA's chat template leaves out: without it
SFT unlearns to stop. Both leave out rows that are too long, and say how many: one of them would
end the run, in the middle of a rollout or of an epoch.
"""

from itertools import compress, pairwise
from typing import Any

import datasets
import pandas as pd
import torch
from PIL import Image
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.tokenizer import build_multimodal_processor_inputs

from recipe.difficulty_calib.images import images_of, open_image
from recipe.difficulty_calib.patches.stock import check_all

#: What these classes override: module of verl -> names in it.
OVERRIDES = {
    RLHFDataset.__module__: (
        "RLHFDataset._build_messages",
        "RLHFDataset._process_multi_modal_info",
        "RLHFDataset.maybe_filter_out_long_prompts",
    ),
    MultiTurnSFTDataset.__module__: (
        "MultiTurnSFTDataset._read_files_and_process",
        "MultiTurnSFTDataset._build_messages",
        "MultiTurnSFTDataset._process_single_message",
        "MultiTurnSFTDataset.sanity_check",
    ),
}
# Under another name in verl an override is never called, and images are resized without a word.
check_all(OVERRIDES, "difficulty_calib.dataset")


def without_newline_after_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, changed in place: verl cuts ``<image>\\nWhich`` after the mark, and LLaVA's
    template adds a newline of its own, so that the model would see two
    (`data_prep.verl_rows.chat_content` does the same for its requests)."""
    for message in messages:
        parts = message["content"]
        if isinstance(parts, str):
            continue
        for before, part in pairwise(parts):
            if before["type"] == "image" and part["type"] == "text":
                part["text"] = part["text"].removeprefix("\n")
        message["content"] = [part for part in parts if part != {"type": "text", "text": ""}]
    return messages


def say_left_out(left_out: int, total: int, key: str, limit: int) -> None:
    """Print how many of a dataset's rows are too long.

    Args:
        key: the configuration's key that holds the limit, a number of tokens.

    Raises:
        ValueError: all of them are.
    """
    if left_out == total:
        raise ValueError(f"all {total} rows are longer than {key}={limit} tokens: raise it")
    if left_out:
        print(f"{left_out} of {total} rows are longer than {key}={limit} tokens and are left out")


class UntouchedImageDataset(RLHFDataset):
    """`RLHFDataset` without `smart_resize`, and with one newline after an image."""

    def maybe_filter_out_long_prompts(self, dataframe: datasets.Dataset) -> datasets.Dataset:
        """The rows whose prompt, image tokens included, has at most
        ``data.max_prompt_length`` tokens.

        verl's own leaves out what it cannot read as well, with a traceback in the
        log; here that is an error.

        Raises:
            ValueError: a row cannot be read, or none is short enough.
        """
        if not self.filter_overlong_prompts:
            return dataframe
        kept = dataframe.filter(
            self._fits,
            with_indices=True,
            num_proc=self.num_workers if self.num_workers > 1 else None,
            load_from_cache_file=False,
            desc="Measuring prompts",
        )
        left_out = len(dataframe) - len(kept)
        say_left_out(left_out, len(dataframe), "data.max_prompt_length", self.max_prompt_length)
        return kept

    def _fits(self, row: dict[str, Any], index: int) -> bool:
        try:
            messages = self._build_messages(row, key=self.prompt_key)
            text = self.processor.apply_chat_template(
                messages,
                add_generation_prompt=True,
                tokenize=False,
                **self.apply_chat_template_kwargs,
            )
            ids = build_multimodal_processor_inputs(
                self.processor, text=[text], images=images_of(messages) or None
            )["input_ids"][0]
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"row {index} of {self.data_files}: {error}") from error
        return len(ids) <= int(self.max_prompt_length)

    def _build_messages(self, example: dict[str, Any], key: str) -> list[dict[str, Any]]:
        return without_newline_after_images(super()._build_messages(example, key))

    @classmethod
    def _process_multi_modal_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: Any
    ) -> tuple[list[Image.Image] | None, None, None]:
        return images_of(messages) or None, None, None


class AnswerSFTDataset(MultiTurnSFTDataset):
    """`MultiTurnSFTDataset` for one question and one answer, with the ids that
    rollout and policy will see.

    The prompt is the chat template with its generation prompt, the answer what follows it in the
    tokenised whole, and the end-of-sequence token. Loss is on the answer.
    """

    # Set by verl when it has read the files.
    dataframe: pd.DataFrame
    messages: list[Any]
    tools: list[Any] | None
    enable_thinking: list[Any] | None

    def _read_files_and_process(self) -> None:
        # verl asks the tokenizer for the template; older LLaVA folders hold it in
        # chat_template.json alone, which is the processor's.
        if self.tokenizer.chat_template is None:
            self.tokenizer.chat_template = self.processor.chat_template
        super()._read_files_and_process()
        if self.truncation == "error":
            self._leave_out_overlong()

    def _leave_out_overlong(self) -> None:
        rows = [self.dataframe.iloc[place].to_dict() for place in range(len(self.dataframe))]
        fits = [len(self._whole_ids(self._build_messages(row))) <= self.max_length for row in rows]
        say_left_out(fits.count(False), len(fits), "data.max_length", self.max_length)
        self.dataframe = self.dataframe[fits]
        self.messages = list(compress(self.messages, fits))
        if self.tools is not None:
            self.tools = list(compress(self.tools, fits))
        if self.enable_thinking is not None:
            self.enable_thinking = list(compress(self.enable_thinking, fits))

    def _build_messages(self, example: dict[str, Any]) -> list[dict[str, Any]]:
        images = example.get(self.image_key)
        if images is not None:
            example = {**example, self.image_key: [open_image(dict(image)) for image in images]}
        return without_newline_after_images(super()._build_messages(example))

    def _process_single_message(
        self, index: int, message: dict[str, Any], full_message: list[dict[str, Any]], **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        if [turn["role"] for turn in full_message] != ["user", "assistant"]:
            raise ValueError(
                "SFT rows hold one user and one assistant message, got "
                f"{[m['role'] for m in full_message]}"
            )
        prompt = self._tokenize(
            full_message[:1], self._text(full_message[:1], add_generation_prompt=True)
        )
        prompt_ids = prompt.pop("input_ids")[0]
        if index == 0:
            mask = torch.ones_like(prompt_ids)
            prompt.pop("attention_mask")
            return prompt_ids, torch.zeros_like(prompt_ids), mask, prompt
        whole_ids = self._whole_ids(full_message)
        if not torch.equal(whole_ids[: len(prompt_ids)], prompt_ids):
            raise ValueError(
                "the chat template's generation prompt is no prefix of the conversation; "
                "SFT needs one that is"
            )
        answer_ids = whole_ids[len(prompt_ids) :]
        return answer_ids, torch.ones_like(answer_ids), torch.ones_like(answer_ids), {}

    def _whole_ids(self, messages: list[dict[str, Any]]) -> torch.Tensor:
        text = self._text(messages, add_generation_prompt=False)
        text = text.rstrip().removesuffix(self.tokenizer.eos_token)
        return self._tokenize(messages, text + self.tokenizer.eos_token)["input_ids"][0]

    def _text(self, messages: list[dict[str, Any]], add_generation_prompt: bool) -> str:
        template = self.processor.apply_chat_template
        return template(
            messages,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **self.apply_chat_template_kwargs,
        )

    def _tokenize(self, messages: list[dict[str, Any]], text: str) -> dict[str, torch.Tensor]:
        return dict(
            build_multimodal_processor_inputs(
                self.processor, text=[text], images=images_of(messages)
            )
        )

    def sanity_check(self, *args: Any, **kwargs: Any) -> None:
        """The ids are the whole conversation's by construction; stock verl would miss the
        end-of-sequence token.
        """
