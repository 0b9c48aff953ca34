"""What the fuzzing of the readers draws, and what each may do with it:
a value, or an error that is meant for people.

`tests/reward_fns/test_fuzz.py` runs a hundred seeded cases of each,
`tests/benchmarks/test_fuzz.py` thousands.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

from data_prep.datasets.common import read_array
from eval.benchmarks.items import field, read_each
from eval.records import read_answers
from reward_fns.claims import parse_response
from reward_fns.errors import UserError
from reward_fns.expert import AnswerRequest, ExpertError, Source
from reward_fns.expert.prompting.forms import read_reply
from reward_fns.expert.serving.images import image_urls
from reward_fns.expert.serving.retry import retry_after_seconds
from reward_fns.files import read_jsonl, read_mapping

_ODD = st.sampled_from(
    [
        *("\ud800", "\u202e", "\U000e0041", "\x00", "\ufeff", "\u2028", "\u0661", "\u00b2"),
        *(
            "1e999",
            "NaN",
            "-0",
            10**400,
            2**63,
            -1,
            0.1,
            True,
            None,
            "",
            "1. ",
            "I'm sure.",
            "Confidence: ",
        ),
    ]
)
TEXTS = st.lists(st.text(max_size=12) | _ODD.map(str), max_size=12).map("".join)
VALUES = st.recursive(
    _ODD | st.text(max_size=8) | st.floats() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["claims", "overall", "label", "question_id", "response", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
DEEP = st.integers(1, 20_000).map(lambda n: "[" * n) | st.integers(1, 20_000).map(
    lambda n: '{"a":' * n
)
JSON = VALUES.map(json.dumps) | DEEP | TEXTS
BYTES = st.lists(
    JSON.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=20), max_size=4
).map(b"\n".join)


def _picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(buffer, kind)
    return buffer.getvalue()


_PICTURES = [_picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO")]


@st.composite
def pictures(draw: Callable) -> bytes:
    """A picture with a few bytes changed, cut off, or put twice."""
    content = bytearray(draw(st.sampled_from(_PICTURES)))
    for _ in range(draw(st.integers(0, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    end = draw(st.none() | st.integers(0, len(content)))
    return bytes(content[:end]) * draw(st.integers(1, 2))


def _of_file(read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def from_bytes(content: bytes, folder: Path) -> object:
        path = folder / "fuzzed.json"
        path.write_bytes(content)
        return read(path)

    return from_bytes


def _reply(text: str, _: Path) -> object:
    request = AnswerRequest("?", "QA", ("It is 7.",), "It is 7.", "7")
    return read_reply(request, text, Source("judge"))


def _benchmark(path: Path) -> object:
    return list(read_each(path, lambda record, where, number: field(record, "response"), []))


READERS: dict[str, tuple[st.SearchStrategy, Callable, type[Exception] | tuple[()]]] = {
    "response": (TEXTS, lambda text, _: parse_response(text), ()),
    "reply": (JSON, _reply, ExpertError),
    "retry-after": (TEXTS, lambda text, _: retry_after_seconds(text), ()),
    "jsonl": (BYTES, _of_file(lambda path: list(read_jsonl(path))), UserError),
    "mapping": (BYTES, _of_file(read_mapping), UserError),
    "answers": (BYTES, _of_file(read_answers), UserError),
    "benchmark": (BYTES, _of_file(_benchmark), UserError),
    "array": (BYTES, _of_file(lambda path: list(read_array(path))), UserError),
    "image": (pictures(), lambda content, _: image_urls((content,)), ExpertError),
}
"""Name -> what is drawn, how it is read, and the one error that it may raise."""


def check(reader: str, drawn: object, folder: Path) -> None:
    """Read what was drawn: any other error than the reader's own is a fault."""
    _, read, expected = READERS[reader]
    try:
        read(drawn, folder)
    except expected as error:
        assert str(error).strip()
