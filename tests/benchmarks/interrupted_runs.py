"""A whole quick run of the main job, interrupted at random moments, ends as an uninterrupted one.
By hand.

Behind `python tests/benchmarks/interrupted_runs.py`:

    plain a                 an uninterrupted run, with its timeline
    plain b                 another of the same seed
    compare a b             what repeats, file by file, what does not
    chain c INT             the same run, interrupted ten times by one signal
    chain d INT TERM KILL   by three in turn
    compare a c
    canaries a              secrets and references in a run's files, in what it said, and in
                            Ray's logs

A chain is one run: its moments are drawn over run a's timeline, each is a stage and a second of it,
and the same command goes on after each. INT goes to the script's process group, as Ctrl-C does;
TERM to the script alone; KILL to the script alone and to all that it started, in turn. After each:
which processes, locks, segments and sockets are left.
All is in outputs/interrupted-NAME and outputs/interrupted/.

The expert is a judge behind a real server, which knows when each request came and when its verdict
had been sent. Nothing is paid twice: a verdict is sent again only if the one before was in flight
at an interruption, that is, not sent whole `STORED_WITHIN_S` seconds before the signal. Others are
named, and the exit code is 1. After a signal of any kind what was in flight may be paid
again (`SECURITY.md`).

What it costs: mostly the start of processes. Importing vllm takes 6 s of CPU, verl's trainers 7 s
and more, and GRPO starts several such processes (75 s on two idle cores); a chain of ten pays the
interrupted stage's start ten times more. `--rules none` leaves GRPO out, `--count 3` draws three
moments; `plain` writes when each stage started to timeline.json.

Each reference answer carries a marker beside its facts, which no expert reads. It may stand where
`REFERENCES_STAND` says, and nowhere else.
"""

import argparse
import base64
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
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

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
REFERENCE = "canary-reference-14142"
REFERENCES_STAND = ("questions/*.parquet", "stage_one/*.parquet", "report.html")
"""Files that reference answers belong in:
the data set, the rows for training and evaluation, examples.
"""
STORED_WITHIN_S = 2.0
"""Seconds in which a client on a busy machine has read a verdict that was sent,
and put it on the disk.
"""
SIZES = {"rl_train": 64, "test": 100, "sft_questions": 64}
"""Questions of a quick run."""
# The server echoes what it was sent; each is tried again, so the verdicts stay the same.
ECHOES = {"429": 0.05, "500": 0.05}


def temporary_of(name: str) -> Path:
    """Where a run keeps what is temporary; short, since a socket's path may have 107 characters."""
    return Path(f"/tmp/ir-{name}")


def marked_questions(work: Path, seed: int) -> Path:
    """The quick run's questions, each reference with the marker;
    gives stage one's configuration of them.
    """
    import yaml

    from data_prep.pocket import data

    folder, config = work / "questions", work / "stage_one.yaml"
    if not config.exists():
        plain = data.ground_truth
        data.ground_truth = lambda things, task: marked(plain(things, task))
        data.write(folder, seed, SIZES)
        data.ground_truth = plain
        content = yaml.safe_load((ROOT / "data_prep/configs/pocket.yaml").read_text())
        content["datasets"][0]["root"] = str(folder)
        config.write_text(yaml.safe_dump(content))
    return config


def marked(reference: str) -> str:
    """A reference of the oracle's form with the marker; the facts are as before."""
    return json.dumps(json.loads(reference) | {"marker": REFERENCE})


class Run:
    """One run of the main job, and the judge that it asks."""

    def __init__(self, name: str, rules: str, seed: int) -> None:
        self.name = f"interrupted-{name}"
        self.out = ROOT / "outputs" / self.name
        self.work = HERE / name
        self.work.mkdir(parents=True, exist_ok=True)
        self.temporary = temporary_of(name)
        self.temporary.mkdir(exist_ok=True)
        self.server = JudgeServer(latency=0.01, faults=ECHOES, seed=seed)
        self.said = self.work / "said.txt"
        self.timeline = self.work / "timeline.json"
        self._rules, self._seed = rules, seed
        self.config = marked_questions(self.work, seed)

    def command(self) -> tuple[list[str], dict[str, str]]:
        expert = {
            "kind": "openai",
            "model": "judge",
            "base_url": self.server.url.replace("://", "://me@"),
            "password_env": "JUDGE_PASSWORD",
            "server": "the counted one",
            "api_key_env": "JUDGE_KEY",
            "parameters_env": {"tenant": {"token": "TENANT"}},
            "cache": str(self.work / "cache"),
            "backoff": 0.01,
        }
        variables = {
            "RUN": self.name,
            "SEED": str(self._seed),
            "RULE": self._rules,
            "CONFIG": str(self.config),
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
        """Read the script's output until it ends, or the moment has come;
        where it was then, None at the end.
        """
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
            and _belongs_to(path.name.removeprefix("sem."), prefixes)
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


def _belongs_to(segment: str, prefixes: set[str]) -> bool:
    """Whether a segment or semaphore is this run's, or nobody's:
    others bear their own run's name.
    """
    return segment[:7] in prefixes or not segment.startswith("dc")


def _as_at_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(run: Run, name: str, nth: int) -> str:
    """Send the signal; says to whom."""
    if name == "INT":
        # The kernel sends it to the terminal's foreground group:
        # script and stage, not the stage's command.
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
        found = paid(run)
        print(json.dumps(summary | found, indent=1))
    return code or int(bool(found["PAID TWICE"]))


Span = tuple[float, float]
"""From a moment to another, by the monotonic clock."""


def paid(run: Run, interruptions: Sequence[Span] = ()) -> dict[str, object]:
    times = collections.Counter(run.server.answers.values())
    again, twice = paid_again(run.server.verdicts, interruptions)
    return {
        "requests by how often they were answered": dict(times),
        "paid again, in flight at an interruption": again,
        "PAID TWICE": twice,
        "calls": run.server.calls,
    }


def paid_again(
    verdicts: Mapping[str, Sequence[Span]], interruptions: Sequence[Span]
) -> tuple[int, list[str]]:
    """How many verdicts were paid again since the one before was in flight,
    and the requests paid for no such reason.

    Args:
        verdicts: request -> of each verdict, when the request came and the verdict had been sent.
        interruptions: of each, the signal and the moment at which all was over.
    """
    again, twice = 0, []
    for request, spans in verdicts.items():
        # The last one is kept; each before was lost, and must have been in flight.
        for came, sent in sorted(spans)[:-1]:
            if any(
                came <= over and signalled - STORED_WITHIN_S <= sent
                for signalled, over in interruptions
                if sent <= over + STORED_WITHIN_S
            ):
                again += 1
            else:
                twice.append(request)
    return again, twice


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
    begun, interruptions = time.monotonic(), []
    with Run(name, rules, seed) as run:
        for nth, moment in enumerate(moments(timeline, count, f"{name} {seed}")):
            where = run.go(moment, order)
            if where is None:
                print(f"{name} {nth}: ended before {moment}, code {run.script.returncode}")
                break
            sent = time.monotonic()
            to = interrupt(run, signals[nth % len(signals)], nth // len(signals))
            run.script.wait(PATIENCE_S)
            left = run.left()
            interruptions.append((sent, time.monotonic()))
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
        found = paid(run, interruptions)
        print(json.dumps({"code": run.script.returncode, "left": run.left()} | found))
        print(f"{time.monotonic() - begun:.0f} s")
        return run.script.returncode or int(bool(found["PAID TWICE"]))


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
            if path.is_file() and path.name != ".lock"  # who holds it, since when
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
    """Print the files that hold a secret, or a reference where none belongs; 1 if there is one."""
    run = ROOT / "outputs" / f"interrupted-{name}"
    folders = [run, HERE / name, temporary_of(name)]
    files = [
        (folder, path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    found, references = 0, 0
    for folder, path in files:
        for canary in canaries_in(path):
            if canary == "reference" and _belongs(path.relative_to(folder)):
                references += 1
                continue
            print(canary, path)
            found += 1
    print(f"{found} found in {len(files)} files; references where they belong: {references}")
    if not references:
        print("no reference was found where they belong: this search finds nothing")
    return int(found > 0 or not references)


def _belongs(path: Path) -> bool:
    return any(fnmatch(str(path), pattern) for pattern in REFERENCES_STAND)


def canaries_in(path: Path) -> list[str]:
    """Names of the secrets that a file holds, and "reference",
    in any of the forms that text takes on its way.
    """
    content = _text_of(path)
    forms = {secret: set(_forms(value)) for secret, value in SECRETS.items()}
    basic = f"me:{SECRETS['JUDGE_PASSWORD']}".encode()
    forms["JUDGE_PASSWORD"].add(base64.b64encode(basic).decode())
    forms["reference"] = {REFERENCE}
    return [name for name, ways in forms.items() if any(way.encode() in content for way in ways)]


def _forms(value: str) -> Iterator[str]:
    """As it stands, in JSON, in JSON within JSON, and in an address."""
    once = json.dumps(value)[1:-1]
    yield from (value, once, json.dumps(once)[1:-1], quote(value, safe=""))


def _text_of(path: Path) -> bytes:
    """A file's bytes; of a parquet, whose pages are compressed, the texts of its columns."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if name != "images"]
        rows = [batch.to_pylist() for batch in file.iter_batches(columns=columns)]
    return "\n".join(_texts(rows)).encode(errors="replace")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


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
