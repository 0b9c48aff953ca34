"""A stand-in for `nvidia-smi` at the head of PATH: no GPU is at hand where the tests run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """#!/bin/sh
if [ "$1" = -L ]; then cat <<'LISTING'
{listing}
LISTING
else cat <<'TABLE'
{table}
TABLE
fi
exit {code}
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``nvidia_smi(listing, table)``: what ``-L`` and the query print from now on."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(listing: str, table: str = "", code: int = 0) -> None:
        script = tmp_path / "nvidia-smi"
        script.write_text(SCRIPT.format(listing=listing, table=table, code=code), encoding="utf-8")
        script.chmod(0o755)

    return install


@pytest.fixture
def cards(nvidia_smi: Callable[..., None]) -> Callable[..., None]:
    """``cards(count, mib)``: so many A100s of so much memory."""

    def install(
        count: int, mib: int = 81920, driver: str = "580.95.05", capability: str = "8.0"
    ) -> None:
        uuids = [f"GPU-{index}d5ba0d6" for index in range(count)]
        listing = [f"GPU {i}: NVIDIA A100 (UUID: {uuid})" for i, uuid in enumerate(uuids)]
        table = [f"{uuid}, {mib}, {driver}, {capability}, NVIDIA A100" for uuid in uuids]
        nvidia_smi("\n".join(listing), "\n".join(table))

    return install
