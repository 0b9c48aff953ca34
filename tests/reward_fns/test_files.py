"""Reading lines of JSON: whatever a line holds, the error names it. And one process a folder."""

import subprocess
import sys

import pytest

from reward_fns.errors import UserError
from reward_fns.files import alone_in, read_jsonl, read_mapping


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


HOLDER = """
import sys
from pathlib import Path
from reward_fns.files import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_holds_a_folder_is_named_and_its_death_lets_go(tmp_path):
    held = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(held, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(
            UserError, match=rf"^process {process.pid} \(since 2.*works on {tmp_path}"
        ):
            with alone_in(tmp_path):
                raise AssertionError
        process.kill()
    with alone_in(tmp_path):
        pass
