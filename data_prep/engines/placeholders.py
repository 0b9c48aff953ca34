"""The tokens that stand for an image, a video or a sound in a prompt, which no answer may hold.

A model has learned a little probability for each of them. In an answer such a token stands for
nothing: the next forward pass over it fails ("image features and image tokens do not match"), or
takes features that belong elsewhere. So no engine and no rollout may draw one:

    p'(token) = p(token) / (1 - sum of p over placeholders)    for every other token

Which ones they are, the model's configuration says: every `..._token_id` (or `..._token_index`)
that is named after an image, a video, vision or audio, such as LLaVA's `<image>` and Qwen2.5-VL's
`<|image_pad|>`, `<|video_pad|>`, `<|vision_start|>`, `<|vision_end|>`.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_NAMED = re.compile(
    r"(.*_)?(image|img|video|vision|audio|boi|eoi|boa|eoa)(_.*)?_token_(id|ids|index)"
)


def placeholder_ids(config: Any) -> tuple[int, ...]:
    """Ids of a model's placeholder tokens, ascending; none for a model of text.

    Args:
        config: a transformers configuration, or `config.json` as a mapping. Ids outside the
            vocabulary, which stand for no token (-200 in LLaVA's first checkpoints), are left out.

    >>> text = {"vocab_size": 8, "eos_token_id": 2}
    >>> placeholder_ids({"image_token_index": 4, "text_config": text})
    (4,)
    """
    content = config if isinstance(config, Mapping) else config.to_dict()
    found = set(_named_ids(content))
    size = max(_values(content, "vocab_size"), default=None)
    return tuple(sorted(i for i in found if i >= 0 and (size is None or i < size)))


def placeholder_texts(config: Any, tokenizer: Any) -> list[str]:
    """The placeholder tokens as the tokenizer writes them, for servers that are told texts."""
    return [str(text) for text in tokenizer.convert_ids_to_tokens(list(placeholder_ids(config)))]


def placeholder_texts_of(served: str | Path) -> list[str]:
    """As `placeholder_texts`, of the model directory or hub name that a server says it has loaded.

    None, and a warning, where that cannot be read on this machine.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config, tokenizer = (
            loader.from_pretrained(served) for loader in (AutoConfig, AutoTokenizer)
        )
    except (OSError, ValueError) as error:
        logger.warning(
            "the configuration of %s, which is served, cannot be read here (%s): "
            "name its placeholder tokens in extra_body, as {bad_words: ['<image>']}, "
            "or an answer may hold one",
            served,
            str(error).strip().splitlines()[0],
        )
        return []
    return placeholder_texts(config, tokenizer)


def never(ids: Sequence[int]) -> dict[int, float]:
    """The `logit_bias` of vLLM's `SamplingParams` under which these tokens have probability 0."""
    return dict.fromkeys(ids, float("-inf"))


def _named_ids(content: Mapping[Any, Any]) -> Iterator[int]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _named_ids(value)
        elif _NAMED.fullmatch(str(name)):  # id2label has numbers for keys
            yield from (i for i in (value if isinstance(value, list) else [value]) if _is_id(i))


def _values(content: Mapping[Any, Any], key: str) -> Iterator[int]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _values(value, key)
        elif name == key and _is_id(value):
            yield value


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
