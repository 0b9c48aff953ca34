"""Memory in use while the stages run: a line a sample, `{"at": seconds, "bytes": n}`.

On a GPU what `nvidia-smi` tells of the card: actor, rollout engine and CUDA's own share together.
On a CPU the resident memory of the watched process's descendants; a page that several of them
share counts once for each.
"""

import json
import subprocess
import time
from pathlib import Path

import psutil

_EVERY_S = 1.0


def card_bytes(card: str) -> int:
    """Bytes in use on a card, named by index or UUID."""
    query = ["nvidia-smi", "-i", card, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout.split()[0]) * 2**20


def resident_bytes(process: psutil.Process) -> int:
    """Bytes resident in all that a process started."""
    total = 0
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:  # it ended since it was listed
            continue
    return total


def watch(out: Path, process: int, card: str | None) -> None:
    """Sample until the process `process` is gone."""
    watched = psutil.Process(process)
    with out.open("a", encoding="utf-8") as lines:
        while watched.is_running():
            used = card_bytes(card) if card else resident_bytes(watched)
            print(json.dumps({"at": time.time(), "bytes": used}), file=lines, flush=True)
            time.sleep(_EVERY_S)


def peak(samples: Path, start: float, end: float) -> int | None:
    """The most bytes between two times (epoch seconds); None without a sample there."""
    if not samples.is_file():
        return None
    whole = [json.loads(line) for line in samples.read_text().splitlines() if line.endswith("}")]
    return max((line["bytes"] for line in whole if start <= line["at"] <= end), default=None)
