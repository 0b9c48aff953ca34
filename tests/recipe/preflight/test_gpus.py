"""The GPUs that count: those that CUDA_VISIBLE_DEVICES names,
a slice for one and never beside a GPU.
"""

import pytest

from recipe.difficulty_calib.preflight import gpus

THREE = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-11aa)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-11bb)
GPU 2: NVIDIA A100-SXM4-80GB (UUID: GPU-22cc)
  MIG 3g.40gb     Device  0: (UUID: MIG-aaaa)
  MIG 1g.10gb     Device  1: (UUID: MIG-bbbb)"""


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("0", ["GPU-11aa"]),
        ("1,0", ["GPU-11bb", "GPU-11aa"]),
        (" 1 ", ["GPU-11bb"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,1", ["GPU-11aa"]),
        ("0,7,1", ["GPU-11aa"]),
        ("0,0", []),
        ("GPU-11bb", ["GPU-11bb"]),
        ("GPU-11b", ["GPU-11bb"]),
        ("GPU-11", []),  # two begin so
        ("GPU-11aa,GPU-11bb", ["GPU-11aa", "GPU-11bb"]),
        ("GPU-11aa,1", ["GPU-11aa"]),
        ("MIG-bbbb", ["MIG-bbbb"]),
        ("MIG-aaaa,MIG-bbbb", ["MIG-aaaa"]),  # CUDA sees one slice
        ("2", ["MIG-aaaa"]),  # a GPU that is cut up is its first slice
        ("0,2", ["MIG-aaaa"]),  # and no GPU beside it
        (None, ["MIG-aaaa"]),
    ],
)
def test_three_gpus_and_two_slices(variable: str | None, names: list[str]) -> None:
    devices = gpus.visible(gpus.parsed(THREE), variable)
    assert [device.uuid for device in devices] == names


@pytest.mark.parametrize(
    "variable",
    [
        "0",
        "0,2",
        "2,1,0",
        "",
        "-1",
        "x",
        "0,-1,1",
        "1,1",
        "1gpu,2",
        "0,9,1",
        " 1, 2",
        "+1",
        "GPU-11bb",
    ]
    + ["GPU-11", "GPU-11aa,GPU-11aa", "GPU-11aa,0", "GPU-22,GPU-11a", "GPU-zz,GPU-11aa"],
)
def test_whole_gpus_are_counted_as_torch_counts_them(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.cuda

    devices = gpus.parsed("\n".join(THREE.splitlines()[:3]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    ordinals = torch.cuda._parse_visible_devices()
    if ordinals and isinstance(ordinals[0], str):
        ordinals = torch.cuda._transform_uuid_to_ordinals(ordinals, [d.uuid for d in devices])
    expected = []
    for ordinal in ordinals:
        if ordinal >= len(devices):
            break
        expected.append(devices[ordinal])
    assert gpus.visible(devices, variable) == expected


def test_details_come_from_the_query_and_a_slice_s_memory_from_its_name(nvidia_smi) -> None:
    nvidia_smi(THREE, "GPU-11aa, 81920, 580.95.05, 8.0, A, B\nGPU-22cc, 81920, 580.95.05, 8.0, C")
    first, second, third = gpus.listed()
    assert (first.gib, first.driver, first.capability) == (80.0, "580.95.05", "8.0")
    assert second.gib == 0
    assert [(cut.gib, cut.driver) for cut in third.slices] == [(40, "580.95.05"), (10, "580.95.05")]


def test_old_drivers_name_slices_by_their_gpu() -> None:
    listing = "GPU 0: A100 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-GPU-1/7/0)"
    assert gpus.visible(gpus.parsed(listing), "MIG-GPU-1/7/0")[0].gib == 5


def test_a_broken_driver_is_told_in_its_own_words(nvidia_smi) -> None:
    nvidia_smi("NVIDIA-SMI has failed because it couldn't communicate with the driver.", code=9)
    with pytest.raises(gpus.NoDriverError, match="couldn't communicate"):
        gpus.listed()
