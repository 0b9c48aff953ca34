"""What is left of a run that is ended or killed: removed at its end,
or when the next one starts.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.difficulty_calib import leftovers
from recipe.difficulty_calib.leftovers import SEGMENTS

ROOT = Path(__file__).parents[2]
# What verl does to vLLM's servers: no handler runs, and the segment's tracker dies too.
LITTERS = """
import os, signal, tempfile
from multiprocessing import get_context, resource_tracker, shared_memory
import recipe.difficulty_calib.plugin
import joblib  # which names semaphores in its own way
semaphore = get_context("spawn").Lock()
resource_tracker.unregister(semaphore._semlock.name, "semaphore")
segment = shared_memory.SharedMemory(create=True, size=4096)
resource_tracker.unregister(segment._name, "shared_memory")
tempfile.mkstemp(prefix="vllm_dist_")
print(segment.name, tempfile.gettempdir(), semaphore._semlock.name[1:], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}


def through_stage(environment, log, code):
    stage = [sys.executable, "-m", "recipe.difficulty_calib.stage", "--limit", "60"]
    return subprocess.run(
        [*stage, "--log", str(log), "--", sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_stage_removes_what_a_killed_command_leaves(tmp_path, environment, tmp_path_factory):
    done = through_stage(environment, tmp_path_factory.mktemp("logs") / "log", LITTERS)
    segment, folder, semaphore = done.stdout.split()
    assert done.returncode == 128 + 9 and Path(folder).parent == tmp_path
    assert segment.startswith(Path(folder).name) and not (SEGMENTS / segment).exists()
    assert semaphore.startswith(Path(folder).name) and not (SEGMENTS / f"sem.{semaphore}").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_removes_what_a_killed_one_left_and_spares_a_live_one(tmp_path, environment):
    with_block = "from recipe.difficulty_calib import leftovers\nwith leftovers.removed():\n"
    inside = "".join(f"    {line}\n" for line in LITTERS.strip().splitlines())
    done = subprocess.run(
        [sys.executable, "-c", with_block + inside], env=environment, capture_output=True, text=True
    )
    segment, folder, semaphore = done.stdout.split()
    assert Path(folder).is_dir() and (SEGMENTS / segment).exists()
    assert (SEGMENTS / f"sem.{semaphore}").exists()
    alive, foreign = tmp_path / "dc00000", tmp_path / "dcfffff"
    alive.mkdir()
    foreign.mkdir()  # no lock: not ours
    young = Path(folder)
    with leftovers._held(alive):
        leftovers.remove_abandoned(tmp_path)
        assert young.exists()  # its run may be about to take the lock
        for each in (young, alive):
            os.utime(each / ".lock", (0, 0))
        leftovers.remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == [alive, foreign]
    assert not (SEGMENTS / segment).exists() and not (SEGMENTS / f"sem.{semaphore}").exists()


def test_blocks_do_not_nest_and_the_environment_is_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    before = dict(os.environ)
    with leftovers.removed(), leftovers.removed():
        (folder,) = tmp_path.iterdir()
        assert os.environ["TMPDIR"] == str(folder) and os.environ["RAY_TMPDIR"] == str(tmp_path)
        assert folder.stat().st_mode & 0o77 == 0
    assert dict(os.environ) == before and list(tmp_path.iterdir()) == []
