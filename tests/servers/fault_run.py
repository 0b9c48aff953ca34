"""A fault run: reward workers with one cache ask a faulty server through the reward;
one is killed and restarted.

    python tests/servers/fault_run.py 8400 10

makes 10,080 requests with 10 s before a timeout, and prints the counts as JSON.

Two workers ask six tenths of n questions each, a fifth of them both. The first is killed with
SIGKILL when it has a quarter of its rewards, and started again with all of its part.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from judge_server import ISSUE_FAULTS, JudgeServer, exact_reply

from reward_fns.expert import stats_of
from reward_fns.reward import expert_for, make_reward
from reward_fns.sample import read_sample

CONCURRENCY = 32
"""Low, so that a worker on a busy machine does not time out on what was answered:
that would be paid for again.
"""
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})


def options(url, cache, max_retries, timeout):
    """The expert of all workers."""
    return {
        "kind": "openai",
        "model": "judge",
        "base_url": url,
        "cache": str(cache),
        "lease": 5.0,
        "concurrency": CONCURRENCY,
        "max_retries": max_retries,
        "backoff": 0.01,
        "longest_wait": 0.2,
        "timeout": timeout,
    }


def response(number):
    """Every third answer is wrong."""
    return f"1. The digit is {1 if number % 3 == 0 else 7}. I'm sure.\nConfidence: 0.5"


async def _work(config, first, last, out):
    with out.open("a") as file:

        async def one(number):
            info = {"question": f"Which digit is in picture {number}?", "task": "QA"}
            sample = read_sample(data_source="VQAv2", ground_truth=TRUTH, extra_info=info)
            reward = await make_reward({"expert": config}).score(response(number), sample)
            line = {"number": number, "acc": reward["acc"], "score": reward["score"]}
            file.write(json.dumps(line | {"failed": reward["expert_failed"]}) + "\n")
            file.flush()

        await asyncio.gather(*map(one, range(first, last)))
    stats = stats_of(expert_for(config))
    return stats.totals() | {"answered": stats.answered, "summary": stats.summary()}


def worker(arguments):
    """The process of one reward worker."""
    first, last, out, config = (
        int(arguments[0]),
        int(arguments[1]),
        Path(arguments[2]),
        json.loads(arguments[3]),
    )
    print(json.dumps(asyncio.run(_work(config, first, last, out))))


def start(first, last, out, config):
    command = [
        sys.executable,
        __file__,
        "worker",
        str(first),
        str(last),
        str(out),
        json.dumps(config),
    ]
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def lines(out):
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def run(n, folder, max_retries=2, timeout=5.0):
    """Counts of one fault run of n questions.

    Returns:
        questions, killed (questions whose reward the killed worker had), server (outcome ->
        requests), answered_twice (question -> answers), by worker:
        rewards (the lines it wrote) and totals.
    """
    begun = time.monotonic()
    answers = Counter()

    def reply(prompt):
        answers[int(re.search(r"in picture (\d+)\?", prompt)[1])] += 1
        return exact_reply(prompt)

    with JudgeServer(
        reply=reply, faults=ISSUE_FAULTS, hang=timeout + 5, retry_after="0.05"
    ) as server:
        config = options(server.url, folder / "cache", max_retries, timeout)
        cut = {"first": (0, int(0.6 * n)), "second": (int(0.4 * n), n)}
        killed = start(*cut["first"], folder / "killed.jsonl", config)
        second = start(*cut["second"], folder / "second.jsonl", config)
        while len(lines(folder / "killed.jsonl")) < cut["first"][1] / 4:
            assert time.monotonic() - begun < 900
            time.sleep(0.01)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        first = start(*cut["first"], folder / "first.jsonl", config)
        told = {
            name: process.communicate(timeout=1800)[0]
            for name, process in (("first", first), ("second", second))
        }
        return {
            "questions": n,
            "parts": cut,
            "killed": [reward["number"] for reward in lines(folder / "killed.jsonl")],
            "server": dict(server.calls),
            "questions_answered": len(answers),
            "answered_twice": {number: count for number, count in answers.items() if count > 1},
            "rewards": {name: lines(folder / f"{name}.jsonl") for name in cut},
            "totals": {name: json.loads(text) for name, text in told.items()},
            "seconds": time.monotonic() - begun,
        }


def problems(found):
    """What a run must not show, in words; empty if it held.

    Every question ends in one reward; each is a verdict, exact, or a counted failure, which is not
    scored; no key is answered twice, but for those that the killed worker had in flight.
    """
    wrong = []
    for name, (first, last) in found["parts"].items():
        rewards, totals = found["rewards"][name], found["totals"][name]
        if sorted(reward["number"] for reward in rewards) != list(range(first, last)):
            wrong.append(f"{name}: questions lost or doubled")
        failed = [reward for reward in rewards if reward["failed"]]
        if len(failed) != totals["failures"]:
            wrong.append(
                f"{name}: {len(failed)} rewards without verdict, {totals['failures']} counted"
            )
        if any(reward["score"] for reward in failed):
            wrong.append(f"{name}: a failure was scored")
        if any(
            reward["acc"] != (reward["number"] % 3 != 0)
            for reward in rewards
            if not reward["failed"]
        ):
            wrong.append(f"{name}: a wrong verdict")
        if (
            totals["asked"]
            != totals["cache_hits"] + totals["shared"] + totals["answered"] + totals["failures"]
        ):
            wrong.append(f"{name}: counts do not add up")
    in_flight = set(range(*found["parts"]["first"])) - set(found["killed"])
    twice = found["answered_twice"]
    if (
        not twice.keys() <= in_flight
        or len(twice) > CONCURRENCY
        or any(count > 2 for count in twice.values())
    ):
        wrong.append(f"paid for twice: {twice}")
    return wrong


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = run(int(sys.argv[1]), Path(folder), timeout=float(sys.argv[2]))
    print("problems:", problems(found) or "none")
    del found["rewards"]
    found["killed"] = len(found["killed"])
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    worker(sys.argv[2:]) if sys.argv[1] == "worker" else main()
