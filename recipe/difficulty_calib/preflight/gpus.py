"""Which GPUs a CUDA program would see here: `nvidia-smi` and
``CUDA_VISIBLE_DEVICES``, without CUDA.

``CUDA_VISIBLE_DEVICES`` as the CUDA C++ Programming Guide has it (environment variables): a list of
indices or UUIDs, which may be cut short; an entry that names nothing ends the list; an entry twice
makes it empty. A slice of a GPU (MIG) as the MIG User Guide has it (device enumeration): a program
sees one slice at most, and beside a slice no whole GPU.
"""

import os
import re
import subprocess
from dataclasses import dataclass, replace

_GPU = re.compile(r"^GPU (\d+): (.*?)(?: \(UUID: (\S+)\))?$")
_SLICE = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (\S+)\)$")
_QUERY = "--query-gpu=uuid,memory.total,driver_version,compute_cap,name"


@dataclass(frozen=True)
class Device:
    """A GPU, or a slice of one. ``gib`` is 0 and ``driver``, ``capability``
    empty where not told.
    """

    name: str
    uuid: str
    gib: float = 0.0
    driver: str = ""
    capability: str = ""
    slices: tuple["Device", ...] = ()


class NoDriverError(RuntimeError):
    """`nvidia-smi` is there and does not work; the message is its own first line."""


def listed() -> list[Device]:
    """All GPUs of the machine in `nvidia-smi`'s order; none where there is no `nvidia-smi`.

    Raises:
        NoDriverError: `nvidia-smi` fails or does not answer within a minute.
    """
    listing = _ask("-L")
    devices = parsed(listing) if listing else []
    if not devices:
        return []
    return _with_details(devices, _ask(_QUERY, "--format=csv,noheader,nounits") or "")


def _ask(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDriverError(str(error)) from error
    # Some warn by their exit code and list all the same.
    if done.returncode != 0 and not parsed(done.stdout):
        said = (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
        raise NoDriverError(said.splitlines()[0])
    return done.stdout


def parsed(listing: str) -> list[Device]:
    """The output of ``nvidia-smi -L``: a GPU a line, its slices indented under it."""
    devices: list[Device] = []
    for line in listing.splitlines():
        if gpu := _GPU.match(line):
            devices.append(Device(name=gpu[2], uuid=gpu[3] or ""))
        elif (part := _SLICE.match(line)) and devices:
            gib = re.search(r"(\d+)gb", part[1])
            cut = Device(f"MIG {part[1]}", part[2], float(gib[1]) if gib else 0.0)
            devices[-1] = replace(devices[-1], slices=(*devices[-1].slices, cut))
    return devices


def _with_details(devices: list[Device], table: str) -> list[Device]:
    details = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(",", 4)]
        if len(cells) == 5:
            details[cells[0]] = {
                "gib": int(cells[1]) / 1024 if cells[1].isdigit() else 0.0,
                "driver": cells[2],
                "capability": cells[3],
            }
    return [_detailed(device, details.get(device.uuid, {})) for device in devices]


def _detailed(device: Device, details: dict) -> Device:
    shared = {name: value for name, value in details.items() if name != "gib"}
    slices = tuple(replace(cut, **shared) for cut in device.slices)
    return replace(device, slices=slices, **details)


def visible(devices: list[Device], variable: str | None) -> list[Device]:
    """Those of the machine's GPUs that a CUDA program sees.

    Args:
        devices: as `listed`.
        variable: ``CUDA_VISIBLE_DEVICES``; None where it is not set.
    """
    chosen = devices if variable is None else _named(devices, variable)
    for device in chosen:
        if device.slices:
            return [device.slices[0]]
    if any(device.uuid.startswith("MIG-") for device in chosen):
        return chosen[:1]
    return chosen


def _named(devices: list[Device], variable: str) -> list[Device]:
    chosen: list[Device] = []
    kind = _kind(variable)
    for entry in variable.split(","):
        device = _one(devices, entry.strip()) if _kind(entry) == kind else None
        if device is None:
            return chosen
        if any(device is other for other in chosen):
            return []
        chosen.append(device)
    return chosen


def _kind(entry: str) -> str:
    found = re.match(r"\s*(GPU-|MIG-)", entry)
    return found[1] if found else "index"


def _one(devices: list[Device], entry: str) -> Device | None:
    if index := re.match(r"\+?(\d+)", entry):  # as C's strtoul: what follows is left out
        return devices[int(index[1])] if int(index[1]) < len(devices) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    slices = [cut for device in devices for cut in device.slices]
    found = [device for device in [*devices, *slices] if device.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def here() -> list[Device]:
    """The GPUs that a CUDA program started now would see.

    Raises:
        NoDriverError: as `listed`.
    """
    return visible(listed(), os.environ.get("CUDA_VISIBLE_DEVICES"))
