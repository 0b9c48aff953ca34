"""A disk that is full ends a run with one line, and costs nothing that was done."""

import resource

import pytest
import scripted
import warm_runs


@pytest.fixture(scope="module")
def start(tmp_path_factory, zygote, tiny_encoder):
    """Start a run of one configuration into a named directory;
    returns its pid and the directory.
    """
    folder = tmp_path_factory.mktemp("full")
    config = scripted.write_config(
        folder / "config.yaml",
        [scripted.write_dataset(folder / "places", 100)],
        model={"kind": "scripted:ScriptedEngine", "delay": 0.02},
        sample={"batch": 16},
        pair={"encoder": str(tiny_encoder)},
        splits={"train": 4, "sft": 4},
    )

    def start(name):
        return zygote.start("run", str(config), "--out", str(folder / name)), folder / name

    return start


@pytest.fixture(scope="module")
def whole(start, zygote):
    """The directory of a run that nothing stopped."""
    _, run = start("whole")
    assert zygote.result()[0] == 0, zygote.log()
    return run


@pytest.mark.parametrize("limit", [4_000, 30_000, 60_000])
def test_a_run_that_could_not_write_goes_on_when_it_can(start, whole, zygote, limit):
    # The limit is on the size of each file: the questions, candidates,
    # the expert's cache break in turn.
    name = f"limit{limit}"
    pid, _ = start(name)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
    assert zygote.result()[0] == 1
    assert "\nerror: " in zygote.log() and "Traceback" not in zygote.log()

    _, run = start(name)
    assert zygote.result()[0] == 0, zygote.log()
    warm_runs.assert_same_files(run, whole)
