"""The cache around an expert: one call for one question, over threads of control, processes,
kills and restarts.
"""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from reward_fns.expert import AnswerRequest, AnswerVerdict, ExpertError, Source, Usage, make_expert
from reward_fns.expert.keeping.cache import CachedExpert
from reward_fns.expert.keeping.entries import content_key, verdict_key
from reward_fns.expert.keeping.leases import LEASE_PREFIX
from reward_fns.expert.keeping.replay import ReplayExpert
from reward_fns.expert.stats import Stats

REQUEST = AnswerRequest(
    "Which digit?", "QA", ("The digit is 7.",), "1. The digit is 7. I'm sure.", "7", (b"\x89PNG 1",)
)


class SlowExpert:
    """Answers after a moment and counts; a response that says "fail" fails."""

    name = "slow"

    def __init__(self, version="1"):
        self.asked = 0
        self.version = version
        self.stats = Stats()

    def prompt_version(self, request):
        return self.version

    async def ask(self, request):
        self.asked += 1
        await asyncio.sleep(0.02)
        if "fail" in request.response:
            raise ExpertError("no verdict today")
        return AnswerVerdict(
            (1,), 1.0, Source("slow-2026", self.version, Usage(calls=1, prompt_tokens=9))
        )


def judge(expert, *requests):
    async def all_at_once():
        return await asyncio.gather(
            *(expert.ask(request) for request in requests), return_exceptions=True
        )

    return asyncio.run(all_at_once())


def test_a_second_run_finds_what_the_first_paid_for(tmp_path):
    first, second = SlowExpert(), SlowExpert()
    (paid,) = judge(CachedExpert(first, tmp_path), REQUEST)
    (kept,) = judge(CachedExpert(second, tmp_path), REQUEST)
    assert paid == AnswerVerdict(
        (1,), 1.0, Source("slow-2026", "1", Usage(calls=1, prompt_tokens=9))
    )
    assert kept == AnswerVerdict((1,), 1.0, Source("slow-2026", "1", Usage(), cached=True))
    assert (first.asked, second.asked) == (1, 0)


def test_identical_requests_in_flight_are_one_call(tmp_path):
    expert = SlowExpert()
    cached = CachedExpert(expert, tmp_path)
    other = replace(REQUEST, response="another")
    verdicts = judge(cached, *[REQUEST] * 20, *[other] * 20)
    assert expert.asked == 2
    assert sum(verdict.source.usage.calls for verdict in verdicts) == 2
    assert [verdict.source.cached for verdict in verdicts] == [False, *[True] * 19] * 2


def test_no_more_leases_are_held_than_requests_are_asked_at_once(tmp_path):
    # A lease has to be renewed; thousands that wait for their turn must not cost thousands
    # of writes a second.
    expert = SlowExpert()
    cached = CachedExpert(expert, tmp_path, concurrency=3)
    held = []

    async def look():
        while True:
            held.append(sum(key.startswith(LEASE_PREFIX) for key in cached._cache))
            await asyncio.sleep(0.005)

    async def ask_all():
        watching = asyncio.ensure_future(look())
        await asyncio.gather(*(cached.ask(replace(REQUEST, question=str(i))) for i in range(30)))
        watching.cancel()

    asyncio.run(ask_all())
    assert (expert.asked, max(held)) == (30, 3)


def test_a_failure_reaches_everyone_who_waits_and_is_not_kept(tmp_path):
    expert = SlowExpert()
    cached = CachedExpert(expert, tmp_path)
    failing = replace(REQUEST, response="fail")
    assert [str(error) for error in judge(cached, failing, failing)] == ["no verdict today"] * 2
    assert expert.asked == 1
    judge(cached, failing)
    assert expert.asked == 2


def test_a_caller_that_gives_up_leaves_the_answer_to_the_others(tmp_path):
    cached = CachedExpert(SlowExpert(), tmp_path)

    async def one_gives_up():
        impatient = asyncio.ensure_future(cached.ask(REQUEST))
        patient = asyncio.ensure_future(cached.ask(REQUEST))
        await asyncio.sleep(0.005)
        impatient.cancel()
        return await patient

    assert asyncio.run(one_gives_up()).overall == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"question": "What digit?"},
        {"task": "Detail"},
        {"claims": ("The digit is 1.",)},
        {"claims": ("The digit", "is 7.")},
        {"response": "other"},
        {"ground_truth": None},
        {"images": (b"\x89PNG 2",)},
        {"images": ()},
    ],
)
def test_everything_the_expert_sees_is_in_the_key(change):
    assert content_key(replace(REQUEST, **change)) != content_key(REQUEST)


def test_another_judge_or_prompt_is_asked_anew(tmp_path):
    assert (
        len(
            {verdict_key("content", name, version) for name in ("a", "b") for version in ("1", "2")}
        )
        == 4
    )
    judge(CachedExpert(SlowExpert("1"), tmp_path), REQUEST)
    changed = SlowExpert("2")
    judge(CachedExpert(changed, tmp_path), REQUEST)
    assert changed.asked == 1


def test_offline_replays_what_was_recorded(tmp_path):
    judge(CachedExpert(SlowExpert(), tmp_path), REQUEST)
    replay = ReplayExpert(tmp_path)
    kept, missing = judge(replay, REQUEST, replace(REQUEST, question="Never asked?"))
    assert kept.overall == 1.0 and kept.source.model == "slow-2026"
    assert isinstance(missing, ExpertError) and "Never asked?" in str(missing)


def test_wrong_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no recorded verdicts"):
        ReplayExpert(tmp_path / "none")
    with pytest.raises(ValueError, match="lease"):
        CachedExpert(SlowExpert(), tmp_path, lease=0)
    with pytest.raises(ValueError, match="does not take"):
        make_expert({"kind": "oracle", "cache": str(tmp_path)})


def test_one_line_of_configuration_adds_it(tmp_path):
    expert = make_expert(
        {
            "kind": "openai",
            "model": "judge",
            "base_url": "http://127.0.0.1:9/v1",
            "cache": str(tmp_path),
        }
    )
    assert isinstance(expert.expert, CachedExpert) and expert.name == "judge"
    assert (tmp_path / "cache.db").is_file()


WORKER = """
import asyncio, json, sys, time
from reward_fns.expert import AnswerRequest, AnswerVerdict, Source
from reward_fns.expert.keeping.cache import CachedExpert

class Expert:
    name = "slow"
    def prompt_version(self, request):
        return "1"
    async def ask(self, request):
        print(request.question, flush=True)
        await asyncio.sleep(float(sys.argv[3]))
        return AnswerVerdict((1,), 1.0, Source("slow"))

async def main():
    cached = CachedExpert(Expert(), sys.argv[1], lease=float(sys.argv[2]))
    asked = [AnswerRequest(f"q{i}", "QA", ("c",), "r") for i in range(8)]
    await asyncio.gather(*(cached.ask(request) for request in asked))

asyncio.run(main())
"""


def worker(directory, lease, seconds):
    command = [sys.executable, "-c", WORKER, str(directory), str(lease), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_their_calls(tmp_path):
    workers = [worker(tmp_path, 60, 0.3) for _ in range(3)]
    printed = "".join(process.communicate(timeout=60)[0] for process in workers)
    assert all(process.returncode == 0 for process in workers)
    assert sorted(printed.split()) == [f"q{i}" for i in range(8)]


def test_what_a_killed_process_was_asking_is_asked_again_after_its_lease(tmp_path):
    killed = worker(tmp_path, 1.0, 60)
    for _ in range(8):
        killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=10)
    heir = worker(tmp_path, 1.0, 0)
    printed, _ = heir.communicate(timeout=60)
    assert heir.returncode == 0 and len(printed.split()) == 8
