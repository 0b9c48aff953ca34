"""Leases and rates: they end, whatever any clock says, and whoever has died."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from reward_fns.expert.keeping import leases
from reward_fns.expert.keeping.leases import LONGEST_LEASE, Lease
from reward_fns.expert.keeping.store import Store
from reward_fns.expert.serving.limits import Limits

DAY = 86_400

HOLDER = """
import sys, time
wall = time.time
time.time = lambda: wall() + float(sys.argv[3])
from reward_fns.expert.keeping.leases import Lease
from reward_fns.expert.keeping.store import Store
lease = Lease(Store(sys.argv[1]), "key", float(sys.argv[2]))
print(lease.take(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened:
        yield opened


def killed_holder(directory, seconds, ahead):
    """A process of which nothing is left but its lease; its clock was `ahead` seconds ahead."""
    command = [sys.executable, "-c", HOLDER, str(directory), str(seconds), str(ahead)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)


def seconds_until_taken(lease, at_most=30.0):
    start = time.monotonic()
    while not lease.take():
        assert time.monotonic() - start < at_most, "the lease never ends"
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_a_dead_process_s_lease_ends_whatever_its_clock_said(store, tmp_path, ahead):
    killed_holder(tmp_path, 1.0, ahead)
    lease = Lease(store, "key", 30.0)
    assert not lease.take()
    # That of the holder, of which a part has passed.
    assert 0 < seconds_until_taken(lease) < 5


def test_a_lease_that_ended_long_ago_is_taken_at_once(store):
    assert Lease(store, "key", 0.01).take()
    time.sleep(0.02)
    assert Lease(store, "key", 30.0).take()


def odd(**changes):
    lease = {"holder": "other", "boot": leases.boot(), "until": 0.0, "seconds": 0.2}
    return json.dumps(lease | changes)


@pytest.mark.parametrize(
    "text",
    [
        # Of a machine that has since been started again, or of another one.
        odd(boot="another", until=time.monotonic() + DAY),
        odd(until=time.monotonic() + DAY),
        odd(until=float("nan")),
        odd(until="soon", seconds=None),
        odd(until=1e300, seconds=1e300),
        "[" * 100_000,
        "{torn",
        "1790000000.0",
    ],
    # Two of them hold the time, which each of pytest's processes would write into the name anew.
    ids=["another boot", "far ahead", "nan", "words", "endless", "deep", "torn", "wall clock"],
)
def test_a_lease_that_tells_nothing_ends_once_it_has_stood_still(store, text):
    store.set("asking key", text)
    lease = Lease(store, "key", 0.3)
    assert not lease.take()
    assert 0.1 < seconds_until_taken(lease) < 5


def test_a_lease_of_another_boot_that_is_renewed_does_not_end(store):
    lease = Lease(store, "key", 0.2)
    for number in range(4):
        store.set("asking key", odd(boot="another", until=number))
        assert not lease.take()
        time.sleep(0.1)


def test_a_lease_is_taken_by_one_and_renewed_and_given_back_by_its_holder_alone(store):
    holder, other = Lease(store, "key", 30.0), Lease(store, "key", 30.0)
    assert holder.take() and not other.take()
    other.renew()
    other.release()
    assert not other.take()
    holder.release()
    assert other.take() and not holder.take()


def test_what_a_process_lost_while_it_was_stopped_stays_its_heir_s(store):
    stopped, heir = Lease(store, "key", 0.01), Lease(store, "key", 30.0)
    assert stopped.take()
    time.sleep(0.02)
    assert heir.take()
    stopped.renew()
    stopped.release()
    assert not Lease(store, "key", 30.0).take()


def test_a_lease_longer_than_anybody_needs_is_refused(tmp_path):
    from reward_fns.expert import make_expert

    with pytest.raises(ValueError, match=f"lease is {LONGEST_LEASE:g} s at most, got 86400"):
        make_expert({"kind": "openai", "model": "m", "cache": str(tmp_path), "lease": DAY})


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_a_clock_that_is_set_makes_nobody_wait(tmp_path, monkeypatch, ahead):
    wall = time.time
    first, second = (Limits(requests_per_minute=60, directory=tmp_path) for _ in range(2))
    monkeypatch.setattr(time, "time", lambda: wall() + ahead)
    asyncio.run(first.admit())
    monkeypatch.setattr(time, "time", wall)
    # One a second, of which the second that has passed unused is let through at once.
    assert second._reserve("requests", 1.0) <= 1.0
    assert second._reserve("requests", 1.0) > 0.0


def test_a_rate_of_before_the_machine_started_again_paces_nothing(tmp_path, monkeypatch):
    first = Limits(requests_per_minute=0.1, directory=tmp_path)
    asyncio.run(first.admit())
    assert first._reserve("requests", 1.0) > 300
    monkeypatch.setattr("reward_fns.expert.serving.limits.boot", lambda: "the next boot")
    assert Limits(requests_per_minute=0.1, directory=tmp_path)._reserve("requests", 1.0) == 0.0
