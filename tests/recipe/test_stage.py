"""One stage of an entry script, with real processes:
its log, its limit, and what an interrupt ends.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
# A command with a child in a session of its own, as Ray's daemons are; the child ignores SIGINT.
WITH_CHILD = """
import pathlib, signal, subprocess, sys, time
ignore = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignore], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
try:
    time.sleep(600)
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(7)
"""
# The real thing, with less patience than a training needs.
IMPATIENT = (
    "import sys; from recipe.difficulty_calib import stage; stage.PATIENCE_S = 2.0;"
    "sys.exit(stage.main(sys.argv[1:]))"
)


def stage(log: Path, *command: str, limit: float = 60) -> list[str]:
    return [
        sys.executable,
        "-c",
        IMPATIENT,
        "--limit",
        str(limit),
        "--log",
        str(log),
        "--",
        *command,
    ]


def wait_for(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.05)
    return int(file.read_text())


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_output_goes_to_screen_and_log_and_the_log_is_appended_to(tmp_path):
    log = tmp_path / "log"
    for word in ("one", "two"):
        done = subprocess.run(
            stage(log, "bash", "-c", f"printf '{word}\\r'; echo {word} >&2; exit 3"),
            capture_output=True,
            cwd=ROOT,
        )
        assert done.returncode == 3
        assert done.stdout == f"{word}\r{word}\n".encode()
    assert log.read_bytes() == b"one\rone\ntwo\rtwo\n"


def test_steps_shows_a_line_a_step_and_logs_all(tmp_path):
    log = tmp_path / "log"
    script = "echo noise; echo 'step:1 - train/loss:2.5'"
    command = stage(log, "bash", "-c", script)
    command.insert(command.index("--"), "--steps")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "  step 1  loss 2.5000\n"
    assert log.read_text() == "noise\nstep:1 - train/loss:2.5\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_lets_the_command_save_and_ends_all_it_started(tmp_path, number, code):
    log, pid_file = tmp_path / "log", tmp_path / "pid"
    command = stage(log, sys.executable, "-c", WITH_CHILD, str(pid_file))
    running = subprocess.Popen(command, cwd=ROOT, preexec_fn=as_at_a_terminal)
    child = wait_for(pid_file)
    running.send_signal(number)
    assert running.wait(timeout=30) == code
    assert log.read_text() == "saved\n"
    assert gone(child, within_s=0)


def as_at_a_terminal():
    """These tests may run in the background, or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def in_the_background_under_nohup():
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def test_in_the_background_the_command_saves_too_and_nohup_is_heeded(tmp_path):
    log, pid_file = tmp_path / "log", tmp_path / "pid"
    command = stage(log, sys.executable, "-c", WITH_CHILD, str(pid_file))
    running = subprocess.Popen(command, cwd=ROOT, preexec_fn=in_the_background_under_nohup)
    child = wait_for(pid_file)
    running.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(timeout=2)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=30) == 143
    assert log.read_text() == "saved\n"
    assert gone(child, within_s=0)


def test_the_limit_ends_the_command_and_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    command = stage(tmp_path / "log", sys.executable, "-c", WITH_CHILD, str(pid_file), limit=3)
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == 124
    assert gone(wait_for(pid_file), within_s=0)


def test_a_script_that_is_killed_leaves_no_training_behind(tmp_path):
    pid_file = tmp_path / "pid"
    command = stage(tmp_path / "log", sys.executable, "-c", WITH_CHILD, str(pid_file))
    script = subprocess.Popen(["bash", "-c", '"$@"; echo after', "bash", *command], cwd=ROOT)
    child = wait_for(pid_file)
    script.kill()
    script.wait()
    assert gone(child, within_s=30)


def test_a_script_that_is_killed_while_its_stage_starts_leaves_none(tmp_path):
    """Python takes a while to start, under load seconds: by then the stage's parent is another."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    command = stage(tmp_path / "log", "touch", str(tmp_path / "ran"))
    command[command.index("--limit") : command.index("--limit")] = ["--parent", str(dead.pid)]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == 143
    assert not (tmp_path / "ran").exists()


SCRIPT = """
set -euo pipefail
run=$1
mkdir -p "$run"/{stages,logs}
. examples/stages.sh
lock_run
shift
"$@"
echo "all done"
"""


def script(run: Path, *call: str) -> list[str]:
    return ["bash", "-c", SCRIPT, "bash", str(run), *call]


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def call(
    run: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        script(run, *arguments), cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_ctrl_c_at_a_terminal_ends_the_script_and_its_stage(tmp_path, environment):
    run, pid_file = tmp_path / "run", tmp_path / "pid"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        command = [sys.executable, "-c", WITH_CHILD, str(pid_file)]
        os.execvpe(
            "bash", script(run, "training_stage", "rl", f"{run}/rl/x", "60", *command), environment
        )
    child = wait_for(pid_file)
    os.write(terminal, b"\x03")
    output = b""
    try:
        while chunk := os.read(terminal, 4096):
            output += chunk
    except OSError:  # how a pty says that the other end has closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (130, -signal.SIGINT)
    assert b"Traceback" not in output and b"all done" not in output
    assert gone(child, within_s=0)
    assert "saved" in (run / "logs" / "rl.log").read_text()


def test_a_second_script_in_the_same_run_is_refused_and_told_by_whom(tmp_path, environment):
    run, pid_file = tmp_path / "run", tmp_path / "pid"
    command = [sys.executable, "-c", WITH_CHILD, str(pid_file)]
    first = subprocess.Popen(
        script(run, "stage", "a", "x", "60", *command), cwd=ROOT, env=environment
    )
    wait_for(pid_file)
    second = call(run, environment, "stage", "a", "x", "60", *command)
    first.terminate()
    first.wait()
    assert second.returncode == 1
    assert f"in use by process {first.pid} since" in second.stderr


def train(
    run: Path, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    command = ("bash", "-c", f"date +%N >{run}/rl/steps; cat {run}/rl/steps", "train", *options)
    return call(run, environment, "training_stage", "rl", f"{run}/rl/steps", "60", *command)


def test_another_option_is_another_training_and_the_first_is_set_aside(tmp_path, environment):
    run = tmp_path / "run"
    assert train(run, environment, "rule=paper").returncode == 0
    steps = (run / "rl" / "steps").read_text()
    assert "already done" in train(run, environment, "rule=paper").stdout
    changed = train(run, environment, "rule=proper")
    assert "its inputs or options changed: training anew" in changed.stdout
    (aside,) = run.glob("rl.before-*")
    assert (aside / "steps").read_text() == steps
    assert (run / "rl" / "steps").read_text() != steps


def test_a_checkpoint_that_would_run_code_is_not_resumed_from(tmp_path, environment):
    run = tmp_path / "run"
    checkpoint = run / "rl" / "global_step_1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "data.pt").write_bytes(b"no zip file of torch's")
    (run / "rl" / "latest_checkpointed_iteration.txt").write_text("1")
    refused = train(run, environment, "rule=paper")
    assert refused.returncode == 1 and "is no checkpoint that torch wrote" in refused.stderr
    assert "started" not in refused.stdout


def test_more_steps_of_the_same_training_go_on_in_its_folder(tmp_path, environment):
    run = tmp_path / "run"
    train(run, environment, "rule=paper", "trainer.total_training_steps=2")
    longer = train(run, environment, "rule=paper", "trainer.total_training_steps=4")
    assert "started, log" in longer.stdout and "training anew" not in longer.stdout
    assert not list(run.glob("rl.before-*"))


def test_a_failed_stage_names_the_error_of_its_own_call(tmp_path, environment):
    run = tmp_path / "run"
    for error in ("ValueError: the first", "ValueError: the second"):
        # More than a pipe holds: whoever reads a part of it leaves the writer with SIGPIPE.
        script = f"seq 40000; echo {error!r}; exit 1"
        failed = call(run, environment, "stage", "a", "x", "60", "bash", "-c", script)
        assert failed.returncode == 1
        assert failed.stderr.splitlines()[-1].startswith(f"FAILED: stage a: {error} (exit code 1)")
    assert "the first" in (run / "logs" / "a.log").read_text()


def test_a_stage_in_a_subshell_is_not_taken_for_an_orphan(tmp_path, environment):
    done = call(
        tmp_path, environment, "eval", f"(stage look '{tmp_path}/seen' 60 touch '{tmp_path}/seen')"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "seen").exists()
