"""One Ctrl-C ends stage one within seconds,
also while a server that never replies is being asked.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import scripted
from hanging_server import HangingServer

from data_prep.engines.at_once import at_once


@pytest.fixture
def hanging():
    with HangingServer() as server:
        yield server


@pytest.mark.parametrize(("asked", "step"), [("the model", "sample"), ("the expert", "label")])
def test_one_interrupt_ends_a_step_that_waits_for_a_hanging_server(
    tmp_path, tiny_encoder, hanging, asked, step
):
    served = {"kind": "openai", "model": "m", "base_url": hanging.url}
    sections = {"model": served} if asked == "the model" else {"label": {"expert": served}}
    config = scripted.write_config(
        tmp_path / "config.yaml",
        [scripted.write_dataset(tmp_path / "places", 30)],
        pair={"encoder": str(tiny_encoder)},
        splits={"train": 2, "sft": 2},
        **sections,
    )
    here = str(Path(scripted.__file__).parent)
    folders = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "data_prep", step, str(config), "--out", str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert hanging.asked.wait(120)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        # Far below any timeout of a request; the rest is room for a busy machine.
        told, _ = process.communicate(timeout=25)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted: the same command goes on where it stopped"
    assert "Traceback" not in told


def test_results_come_in_the_order_of_the_questions():
    asks = [lambda n=n: time.sleep(0.01 * (5 - n)) or n for n in range(5)]
    assert at_once(asks, 3) == list(range(5))
    assert at_once([], 3) == []


def test_so_many_are_under_way_as_allowed():
    # Three meet, and no fourth is begun before one of them has ended.
    meeting, begun = threading.Barrier(3, timeout=60), []

    def ask(number):
        begun.append(number)
        if number < 3:
            meeting.wait()
            assert sorted(begun[:3]) == [0, 1, 2]
        return number

    assert at_once([lambda n=n: ask(n) for n in range(9)], 3) == list(range(9))


def test_none_is_begun_after_a_failure():
    begun = []

    def ask(number):
        begun.append(number)
        if number == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        at_once([lambda n=n: ask(n) for n in range(100)], 1)
    assert begun == [0, 1, 2, 3, 4, 5]
