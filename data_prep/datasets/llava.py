"""LLaVA's conversation files: LCS-558K, and the four subsets of ShareGPT4V that the paper names.

    LCS-558K    blip_laion_cc_sbu_558k.json   images/00453/004539375.jpg
    ShareGPT4V  sharegpt4v_instruct_gpt4-vision_cap100k.json   data/FOLDER/images/NAME.jpg

    [{"id": "004539375", "image": "00453/004539375.jpg",
      "conversations": [{"from": "human", "value": "...<image>"},
                        {"from": "gpt", "value": "the caption"}]}, ...]

Read as a stream. The reference is the caption (BLIP's, GPT-4V's); the question is ours
(`detail.detail_question`). ShareGPT4V's share_textvqa images are OpenImages', as TextVQA's, and
are named by the same ids.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.datasets.common import Item, attempt, folder, published, read_array, text
from data_prep.datasets.detail import detail_question
from data_prep.questions import SourceQuestion

_SHAREGPT4V = "sharegpt4v_instruct_gpt4-vision_cap100k.json"


def lcs_558k(dataset: str, root: Path, *, images: str | None = None) -> Iterator[Item]:
    """LCS-558K, the captions of LLaVA's pre-training."""
    path = published(root, "blip_laion_cc_sbu_558k.json", "Hugging Face, liuhaotian/LLaVA-Pretrain")
    return _read(dataset, path, "", "lcs", "scene", folder(root, images, "images"))


def sharegpt4v_textvqa(dataset: str, root: Path, *, images: str | None = None) -> Iterator[Item]:
    """ShareGPT4V's images with text."""
    return _sharegpt4v(dataset, root, images, "share_textvqa/images/", "openimages", "text")


def sharegpt4v_web_landmark(
    dataset: str, root: Path, *, images: str | None = None
) -> Iterator[Item]:
    """ShareGPT4V's landmarks."""
    return _sharegpt4v(
        dataset, root, images, "web-landmark/images/", "sharegpt4v/web-landmark", "landmark"
    )


def sharegpt4v_web_celebrity(
    dataset: str, root: Path, *, images: str | None = None
) -> Iterator[Item]:
    """ShareGPT4V's known persons."""
    return _sharegpt4v(
        dataset, root, images, "web-celebrity/images/", "sharegpt4v/web-celebrity", "person"
    )


def sharegpt4v_wikiart(dataset: str, root: Path, *, images: str | None = None) -> Iterator[Item]:
    """ShareGPT4V's works of art."""
    return _sharegpt4v(dataset, root, images, "wikiart/images/", "sharegpt4v/wikiart", "artwork")


def _sharegpt4v(
    dataset: str, root: Path, images: str | None, prefix: str, space: str, kind: str
) -> Iterator[Item]:
    path = published(
        root,
        _SHAREGPT4V,
        "Hugging Face, Lin-Chen/ShareGPT4V; its images as data/README of ShareGPT4V says",
    )
    return _read(dataset, path, prefix, space, kind, folder(root, images, "data"))


def _read(
    dataset: str, path: Path, prefix: str, space: str, kind: str, directory: Path
) -> Iterator[Item]:
    for index, record in enumerate(read_array(path)):
        if isinstance(record, dict) and not str(record.get("image", prefix)).startswith(prefix):
            continue  # of another subset
        yield attempt(
            dataset, f"{path.name} item {index}", _question, dataset, record, space, kind, directory
        )


def _question(
    dataset: str, record: dict[str, Any], space: str, kind: str, directory: Path
) -> SourceQuestion:
    image = text(record, "image")
    said = [turn for turn in record["conversations"] if turn["from"] == "gpt"]
    if not said:
        raise ValueError("no turn of gpt")
    caption = text(said[0], "value")
    question_id = f"{dataset}/{PurePosixPath(image).stem}"
    return SourceQuestion(
        question_id=question_id,
        dataset=dataset,
        task="Detail",
        question=detail_question(question_id, kind),
        image_id=f"{space}/{PurePosixPath(image).stem}",
        image=directory / image,
        ground_truth=caption,
        answers=(caption,),
    )
