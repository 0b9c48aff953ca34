"""Look at everything that a GRPO run is given before minutes are spent on starting it.

Checks the versions that the patches are for, the model and its processor, the parquet files row by
row (columns, images, dataset tags), and, for LLaVA, that the number of image tokens in a prompt is
the one that vLLM will count.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from omegaconf import DictConfig

from recipe.difficulty_calib.options import TrainerOptions, check_served_expert, configured_reward
from recipe.difficulty_calib.patches import UnsupportedVersionError
from recipe.difficulty_calib.patches.llava_image_tokens import (
    collapse_image_tokens,
    tokens_per_image,
)
from recipe.difficulty_calib.plugin import check_patches
from reward_fns.errors import ConfigurationError
from reward_fns.reward import DifficultyReward


class PreflightError(ValueError):
    """Something that the run is given will not do; the message names it and
    the remedy, on one line.
    """


def check(config: DictConfig) -> None:
    """Raise `PreflightError` for the first thing found wrong with a composed GRPO configuration."""
    check_versions()
    check_trainer(config)
    reward = check_reward(config)
    processor = check_model(config.actor_rollout_ref.model.path)
    first_prompt: list[dict[str, Any]] | None = None
    for path in _as_list(config.data.train_files):
        rows = check_parquet(path, config.data.image_key)
        for tag in sorted({row["data_source"] for row in rows}):
            check_tag(path, tag, reward)
        check_measured(path, rows, reward)
        first_prompt = first_prompt or rows[0]["prompt"]
    if type(processor).__name__ == "LlavaProcessor" and first_prompt is not None:
        check_image_tokens(processor)


def check_versions() -> None:
    """What the patches change is what they are for."""
    try:
        check_patches()
    except UnsupportedVersionError as error:
        raise PreflightError(str(error)) from error


def check_trainer(config: DictConfig) -> None:
    """The trainer's options exist, and a reward model has GPUs of its own."""
    try:
        TrainerOptions.of(config)
        check_served_expert(config)
    except ConfigurationError as error:
        raise PreflightError(str(error)) from error


def check_model(path: str) -> Any:
    """The model's processor, as verl will load it."""
    from verl.utils import hf_processor

    if not Path(path).is_dir() and (
        path.startswith((".", "/", "~")) or os.environ.get("HF_HUB_OFFLINE") == "1"
    ):
        raise PreflightError(
            f"no model directory {path}: mend actor_rollout_ref.model.path, or "
            "train the model first"
        )
    if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
        raise PreflightError(f"no config.json in {path}: name a Hugging Face model directory")
    try:
        processor = hf_processor(path)
    except (OSError, ValueError) as error:
        raise PreflightError(
            f"{path} has no processor that loads ({_first_line(error)}): copy the base's beside it"
        ) from error
    if processor is None:
        raise PreflightError(
            f"{path} has no processor: a text model, or its processor_config.json "
            "is missing beside it"
        )
    return processor


def check_parquet(path: str, image_key: str) -> list[dict[str, Any]]:
    """Rows of a parquet file without their encoded images, once columns and images
    are seen to be there.
    """
    needed = ["data_source", "prompt", "reward_model", "extra_info", image_key]
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise PreflightError(
            f"no data file {path}: make it with `python -m data_prep.pocket data`, "
            "or mend data.*_files"
        ) from error
    except (OSError, ValueError) as error:
        raise PreflightError(
            f"{path} is no parquet file ({_first_line(error)}): it is cut short or "
            "corrupt, make it again"
        ) from error
    missing = [name for name in needed if name not in file.schema_arrow.names]
    if missing:
        raise PreflightError(
            f"{path} lacks the columns {', '.join(missing)}: see "
            "recipe/difficulty_calib/README.md for the schema"
        )
    rows: list[dict[str, Any]] = []
    for row in _read(path, file, needed):
        _check_images(path, len(rows), row.pop(image_key))
        rows.append(row)
    if not rows:
        raise PreflightError(f"{path} holds no rows: make it again")
    return rows


def _read(path: str, file: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    try:
        for group in file.iter_batches(batch_size=1024, columns=columns):
            yield from group.to_pylist()
    except (OSError, ValueError) as error:  # a torn page; text that is no UTF-8
        raise PreflightError(
            f"{path} cannot be read to its end ({_first_line(error)}): make it again"
        ) from error


def _check_images(path: str, index: int, images: list[Any] | None) -> None:
    if not images:
        raise PreflightError(f"row {index} of {path} has no image: give it one or drop it")
    for image in images:
        reference = image if isinstance(image, str) else image.get("path") or image.get("image")
        if isinstance(image, dict) and image.get("bytes"):
            continue
        if not reference or not Path(str(reference).removeprefix("file://")).is_file():
            raise PreflightError(
                f"row {index} of {path}: image {reference} does not exist; mend the "
                "path or drop the row"
            )


def check_reward(config: DictConfig) -> DifficultyReward:
    """The reward's options are right, and name an expert."""
    try:
        return configured_reward(config)
    except ConfigurationError as error:
        raise PreflightError(_first_line(error)) from error


def check_tag(path: str, tag: str, reward: DifficultyReward) -> None:
    """A dataset tag has reward coefficients."""
    try:
        reward.coefficients_of(tag)
    except ConfigurationError as error:
        raise PreflightError(f"{path}: {_first_line(error)}") from error


def check_measured(path: str, rows: list[dict[str, Any]], reward: DifficultyReward) -> None:
    """With the reward's difficulty "question" every row holds the question's statistics."""
    if reward.difficulty != "question":
        return
    for row in rows:
        try:
            reward.coefficients_of(row["data_source"], row["extra_info"] or {})
        except ConfigurationError as error:
            raise PreflightError(f"{path}: {_first_line(error)}") from error


def check_image_tokens(processor: Any) -> None:
    """A LLaVA prompt goes to vLLM with one placeholder an image, which vLLM turns into as many
    tokens as the processor did.

    vLLM counts from the vision tower's configuration, the processor from its own: they differ when
    a processor was copied from another model, and then the policy is trained on another prompt
    than it is sampled with.
    """
    from PIL import Image

    vision = processor.config.vision_config
    per_image = (vision.image_size // vision.patch_size) ** 2
    if processor.config.vision_feature_select_strategy == "full":
        per_image += 1
    images = [Image.new("RGB", (64, 48))] * 2
    ids = processor(text="<image>\n<image>\nWhat differs?", images=images)["input_ids"][0]
    expanded = sum(token == processor.image_token_id for token in ids)
    collapsed = collapse_image_tokens(
        list(ids), processor.image_token_id, tokens_per_image(processor)
    )
    if (
        expanded != 2 * per_image
        or sum(token == processor.image_token_id for token in collapsed) != 2
    ):
        raise PreflightError(
            f"the processor makes {expanded / 2:g} tokens of an image, the vision tower "
            f"{per_image}: the processor is not this model's; copy the right "
            "processor_config.json"
        )


def _as_list(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else list(files)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
