"""RL and SFT data as verl reads them, chosen by ``data.custom_cls``.

Stock verl resizes every image for Qwen2-VL (`smart_resize`) before the model's own processor sees it, which for CLIP
means two resizes and other pixels than the model was trained on: these classes hand images on as they are. The SFT
class also tokenises a conversation as the rollout does, and ends the answer with the end-of-sequence token, which
LLaVA's chat template leaves out: without it SFT unlearns to stop.
"""

from itertools import pairwise
from typing import Any

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
    """The messages, changed in place: verl cuts ``<image>\\nWhich`` after the mark, and LLaVA's template adds a newline
    of its own, so that the model would see two (`data_prep.verl_rows.chat_content` does the same for its requests)."""
    for message in messages:
        parts = message["content"]
        if isinstance(parts, str):
            continue
        for before, part in pairwise(parts):
            if before["type"] == "image" and part["type"] == "text":
                part["text"] = part["text"].removeprefix("\n")
        message["content"] = [part for part in parts if part != {"type": "text", "text": ""}]
    return messages


class UntouchedImageDataset(RLHFDataset):
    """`RLHFDataset` without `smart_resize`, and with one newline after an image."""

    def _build_messages(self, example: dict[str, Any], key: str) -> list[dict[str, Any]]:
        return without_newline_after_images(super()._build_messages(example, key))

    @classmethod
    def _process_multi_modal_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: Any
    ) -> tuple[list[Image.Image] | None, None, None]:
        return images_of(messages) or None, None, None


class AnswerSFTDataset(MultiTurnSFTDataset):
    """`MultiTurnSFTDataset` for one question and one answer, with the ids that rollout and policy will see.

    The prompt is the chat template with its generation prompt, the answer what follows it in the tokenised whole, and
    the end-of-sequence token. Loss is on the answer.
    """

    def _read_files_and_process(self) -> None:
        # verl asks the tokenizer for the template; older LLaVA folders hold it in chat_template.json alone, which is
        # the processor's.
        if self.tokenizer.chat_template is None:
            self.tokenizer.chat_template = self.processor.chat_template
        super()._read_files_and_process()

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
                f"SFT rows hold one user and one assistant message, got {[m['role'] for m in full_message]}"
            )
        prompt = self._tokenize(
            full_message[:1], self._text(full_message[:1], add_generation_prompt=True)
        )
        prompt_ids = prompt.pop("input_ids")[0]
        if index == 0:
            mask = torch.ones_like(prompt_ids)
            prompt.pop("attention_mask")
            return prompt_ids, torch.zeros_like(prompt_ids), mask, prompt
        text = (
            self._text(full_message, add_generation_prompt=False)
            .rstrip()
            .removesuffix(self.tokenizer.eos_token)
        )
        whole_ids = self._tokenize(full_message, text + self.tokenizer.eos_token)["input_ids"][0]
        if not torch.equal(whole_ids[: len(prompt_ids)], prompt_ids):
            raise ValueError(
                "the chat template's generation prompt is no prefix of the conversation; SFT needs one that is"
            )
        answer_ids = whole_ids[len(prompt_ids) :]
        return answer_ids, torch.ones_like(answer_ids), torch.ones_like(answer_ids), {}

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
        """The ids are the whole conversation's by construction; stock verl would miss the end-of-sequence token."""
