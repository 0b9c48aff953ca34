"""A whole quick run of the main job, interrupted at random moments, ends as an uninterrupted one. By hand.

    python tests/benchmarks/interrupted_runs.py plain a              an uninterrupted run, with its timeline
    python tests/benchmarks/interrupted_runs.py plain b              another of the same seed
    python tests/benchmarks/interrupted_runs.py compare a b          what repeats, file by file, what does not
    python tests/benchmarks/interrupted_runs.py chain c INT          the same run, interrupted ten times by one signal
    python tests/benchmarks/interrupted_runs.py chain d INT TERM KILL        by three in turn
    python tests/benchmarks/interrupted_runs.py compare a c
    python tests/benchmarks/interrupted_runs.py canaries a           secrets in the files of a run and in what it said

A chain is one run: its moments are drawn over run a's timeline, each is a stage and a second of it, and
the same command goes on after each. INT goes to the script's process group, as Ctrl-C does; TERM to the
script alone; KILL to the script alone and to all that it started, in turn. After each: which processes,
locks, segments and sockets are left. The expert is a judge behind a real server, which counts the
verdicts that were sent for each request. All is in outputs/interrupted-NAME and outputs/interrupted/.
"""

import argparse
import collections
import contextlib
import fcntl
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "servers")]
from judge_server import JudgeServer  # noqa: E402 (found by the line above)

HERE = ROOT / "outputs" / "interrupted"
MARK = "DIFFICULTY_CALIB_TEST_RUN"
PATIENCE_S = 45.0
"""Seconds within which all that a run started is to be over; a stage promises thirty."""
SEGMENTS = Path("/dev/shm")
SECRETS = {
    "OPENAI_API_KEY": "canary-openai-81274",
    "JUDGE_KEY": 'canary"judge/31415',  # in JSON it looks otherwise
    "TENANT": "canary-tenant-27182",
    "JUDGE_PASSWORD": "canary-password-16180",
}
# The server echoes what it was sent; each is tried again, so the verdicts stay the same.
ECHOES = {"429": 0.05, "500": 0.05}


class Run:
    """One run of the main job, and the judge that it asks."""

    def __init__(self, name: str, rules: str, seed: int) -> None:
        self.name = f"interrupted-{name}"
        self.out = ROOT / "outputs" / self.name
        self.work = HERE / name
        self.work.mkdir(parents=True, exist_ok=True)
        # Short: a socket's path may have 107 characters.
        self.temporary = Path(f"/tmp/ir-{os.getpid() % 10000}")
        self.temporary.mkdir(exist_ok=True)
        self.server = JudgeServer(latency=0.01, faults=ECHOES, seed=seed)
        self.said = self.work / "said.txt"
        self.timeline = self.work / "timeline.json"
        self._rules, self._seed = rules, seed

    def command(self) -> tuple[list[str], dict[str, str]]:
        expert = {
            "kind": "openai",
            "model": "judge",
            "base_url": self.server.url.replace("://", "://me@"),
            "password_env": "JUDGE_PASSWORD",
            "server": "the counted one",
            "api_key_env": "JUDGE_KEY",
            "cache": str(self.work / "cache"),
            "backoff": 0.01,
        }
        variables = {
            "RUN": self.name,
            "SEED": str(self._seed),
            "RULE": self._rules,
            "EXPERT": json.dumps(expert),
            "TMPDIR": str(self.temporary),
            MARK: self.name,
        }
        return ["bash", "examples/run_llava_grpo.sh", "--quick"], os.environ | SECRETS | variables

    def start(self) -> subprocess.Popen[bytes]:
        command, environment = self.command()
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_as_at_a_terminal,
        )

    def processes(self) -> list[psutil.Process]:
        """Those that this run started, wherever they are now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.name and process.pid != os.getpid():
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
        return found

    def until(self, moment: tuple[str, float] | None, order: Sequence[str]) -> str | None:
        """Read the script's output until it ends, or the moment has come; where it was then, None at the end."""
        output = self.script.stdout.fileno()
        stage, since, rest = "", time.monotonic(), ""
        with self.said.open("a") as said:
            while True:
                ready = select.select([output], [], [], 0.05)[0]
                if ready and (chunk := os.read(output, 65536).decode(errors="replace")):
                    said.write(chunk)
                    said.flush()
                    *lines, rest = (rest + chunk).split("\n")
                    for line in lines:
                        if found := re.match(r"\[(\w+)\] [\d:]+ started", line):
                            stage, since = found[1], time.monotonic()
                            self.started.append((stage, since - self.begun))
                elif self.script.poll() is not None:
                    return None
                elif ready:
                    time.sleep(0.05)  # the script has closed it and is ending
                if moment and stage and order.index(stage) >= order.index(moment[0]):
                    late = order.index(stage) > order.index(moment[0])
                    if time.monotonic() - since >= (0.2 if late else moment[1]):
                        return f"{stage} +{time.monotonic() - since:.1f} s"

    def go(self, moment: tuple[str, float] | None = None, order: Sequence[str] = ()) -> str | None:
        self.begun, self.started = time.monotonic(), []
        self.script = self.start()
        return self.until(moment, order)

    def left(self) -> dict[str, list[str]]:
        """What is left when it should be over."""
        deadline = time.monotonic() + PATIENCE_S
        while (processes := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = {"processes": [" ".join(each.cmdline())[:100] for each in processes]}
        lock = self.out / ".lock"
        if lock.exists():
            with lock.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found["locks"] = [str(lock)]
        found["temporary"] = [
            str(path.relative_to(self.temporary))
            for path in self.temporary.glob("*")
            if path.name != "ray"  # its sessions, with its logs, stay
        ]
        found["sockets"] = [
            line.split()[-1]
            for line in Path("/proc/net/unix").read_text().splitlines()
            if str(self.temporary) in line
        ]
        prefixes = {name for name in found["temporary"] if re.fullmatch(r"dc[0-9a-f]{5}", name)}
        found["segments"] = [
            path.name
            for path in SEGMENTS.iterdir()
            if path.name not in self.segments_before
            and (path.name[:7] in prefixes or not path.name.startswith("dc"))
        ]
        return {kind: each for kind, each in found.items() if each}

    def __enter__(self) -> "Run":
        self.segments_before = {path.name for path in SEGMENTS.iterdir()}
        port = self.work / "port"
        self.server.port = int(port.read_text()) if port.exists() else 0
        self.server.__enter__()
        port.write_text(str(self.server.port))
        return self

    def __exit__(self, *_: object) -> None:
        if self.script.poll() is None:
            os.killpg(self.script.pid, signal.SIGTERM)
            self.script.wait(60)
        self.server.__exit__()


def _as_at_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(run: Run, name: str, nth: int) -> str:
    """Send the signal; says to whom."""
    if name == "INT":
        # The kernel sends it to the terminal's foreground group: script and stage, not the stage's command.
        os.killpg(run.script.pid, signal.SIGINT)
        return "group"
    if name == "TERM":
        run.script.terminate()
        return "script"
    if nth % 2:
        for process in [psutil.Process(run.script.pid), *run.processes()]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return "all"
    run.script.kill()
    return "script"


def plain(name: str, rules: str, seed: int) -> int:
    with Run(name, rules, seed) as run:
        run.go()
        code, seconds = run.script.returncode, time.monotonic() - run.begun
        timeline = {"seconds": seconds, "started": run.started}
        run.timeline.write_text(json.dumps(timeline, indent=1))
        summary = {"code": code, "seconds": round(seconds), "left": run.left()}
        print(json.dumps(summary | paid(run), indent=1))
    return code


def paid(run: Run) -> dict[str, object]:
    times = collections.Counter(run.server.answers.values())
    return {"requests by how often they were answered": dict(times), "calls": run.server.calls}


def moments(timeline: dict, count: int, seed: str) -> list[tuple[str, float]]:
    """Moments of an uninterrupted run, in order, each a stage and the seconds since it started."""
    draw = random.Random(seed)
    drawn = sorted(
        draw.uniform(timeline["started"][0][1], timeline["seconds"]) for _ in range(count)
    )
    found = []
    for moment in drawn:
        stage, start = [each for each in timeline["started"] if each[1] <= moment][-1]
        found.append((stage, moment - start))
    return found


def chain(name: str, signals: list[str], count: int, rules: str, seed: int) -> int:
    timeline = json.loads((HERE / "a" / "timeline.json").read_text())
    order = [stage for stage, _ in timeline["started"]]
    begun = time.monotonic()
    with Run(name, rules, seed) as run:
        for nth, moment in enumerate(moments(timeline, count, f"{name} {seed}")):
            where = run.go(moment, order)
            if where is None:
                print(f"{name} {nth}: ended before {moment}, code {run.script.returncode}")
                break
            to = interrupt(run, signals[nth % len(signals)], nth // len(signals))
            sent = time.monotonic()
            run.script.wait(PATIENCE_S)
            left = run.left()
            after = time.monotonic() - sent
            sign = signals[nth % len(signals)]
            line = {
                "nth": nth,
                "signal": sign,
                "at": where,
                "to": to,
                "over after": round(after, 1),
            } | left
            print(json.dumps(line), flush=True)
        else:
            run.go()
        print(json.dumps({"code": run.script.returncode, "left": run.left()} | paid(run)))
        print(f"{time.monotonic() - begun:.0f} s")
        return run.script.returncode


def _told(path: Path) -> bytes:
    """What a file says, less the run's name and the moments that have to differ."""
    name = re.search(r"interrupted-\w+", str(path))
    content = path.read_bytes().replace(name[0].encode(), b"RUN") if name else path.read_bytes()
    if path.name == "report.json":
        report = json.loads(content)
        report.pop("stage_seconds", None)
        return json.dumps(report, sort_keys=True).encode()
    return content


def compare(first: str, second: str) -> int:
    """Print each file that differs, and how."""
    one, two = (ROOT / "outputs" / f"interrupted-{name}" for name in (first, second))
    names = sorted(
        {
            str(path.relative_to(run))
            for run in (one, two)
            for path in run.rglob("*")
            if path.is_file()
        }
    )
    same = collections.Counter()
    for name in names:
        a, b = one / name, two / name
        part = name.split("/")[0]
        if not a.exists() or not b.exists():
            print("only in", first if a.exists() else second, name)
        elif _told(a) == _told(b):
            same[part] += 1
        else:
            print("differs", name)
    print("the same:", dict(same))
    return 0


def canaries(name: str) -> int:
    """Print the files that hold a secret; the exit code says whether one was found."""
    forms = {secret: {value, json.dumps(value)[1:-1]} for secret, value in SECRETS.items()}
    folders = [ROOT / "outputs" / f"interrupted-{name}", HERE / name]
    found = 0
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for secret, ways in forms.items():
            if any(way.encode() in content for way in ways):
                print(secret, path.relative_to(ROOT))
                found += 1
    print(f"{found} found in {len(files)} files")
    return int(found > 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", default="segments")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("what", choices=["plain", "chain", "compare", "canaries"])
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    match options.what:
        case "plain":
            return plain(options.names[0], options.rules, options.seed)
        case "chain":
            name, *signals = options.names
            return chain(name, signals, options.count, options.rules, options.seed)
        case "compare":
            return compare(*options.names)
        case _:
            return canaries(options.names[0])


if __name__ == "__main__":
    sys.exit(main())
