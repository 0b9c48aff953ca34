"""Reading lines of JSON: whatever a line holds, the error names it."""

import pytest

from reward_fns.errors import UserError
from reward_fns.files import read_jsonl, read_mapping


@pytest.mark.parametrize(
    "line", [b"{not json", b'{"a": "\xff"}', b"[" * 100_000, b"[]", b'{"a": 1}{"b": 2}']
)
def test_a_broken_line_is_named_and_those_before_it_are_read(tmp_path, line):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a": "\xc3\xa9"}\n\n' + line + b"\n")
    records = read_jsonl(path)
    assert next(records) == {"a": "\u00e9"}
    with pytest.raises(UserError, match=r"records.jsonl line 3 is no"):
        next(records)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"- 1"])
def test_a_broken_mapping_is_named(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="settings.json"):
        read_mapping(path)
