"""The arithmetic, the batches as the configurations have them, CPUs as Ray counts them."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from recipe.difficulty_calib.preflight import machine, needs
from recipe.difficulty_calib.preflight.needs import LLAVA_PARAMETERS, Batches


@pytest.mark.parametrize("device", ["gpu_1x48", "gpu_1x80", "gpu_8x80"])
def test_batches_are_those_of_the_composed_configurations(device: str) -> None:
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        grpo = compose("llava_7b", overrides=[f"device={device}"])
        sft = compose("llava_7b_sft", overrides=[f"sft_device={device}"])
    actor = grpo.actor_rollout_ref
    assert needs.batches("llava_7b", device, [], []) == Batches(
        grpo.data.train_batch_size,
        actor.actor.ppo_mini_batch_size,
        actor.rollout.n,
        sft.data.train_batch_size,
    )
    units = grpo.transfer_queue.backend.SimpleStorage.num_data_storage_units
    assert needs.ray_cpus(1, []) == 3 + 1 + units


def test_overrides_change_the_batches_and_the_last_one_counts() -> None:
    grpo = ["data.train_batch_size=12", "+actor_rollout_ref.actor.ppo_mini_batch_size=6"]
    grpo += ["data.train_batch_size=24", "trainer.logger=[console]"]
    found = needs.batches("llava_7b", "gpu_1x80", grpo, ["data.train_batch_size=36"])
    assert found == Batches(24, 6, 8, 36)


def test_three_five_six_and_seven_gpus_do_not_split_the_paper_s_batch() -> None:
    sizes = needs.batches("llava_7b", "gpu_1x80", [], [])
    assert needs.working_counts(sizes, grpo=True) == [1, 2, 4, 8, 16]
    for gpus in (3, 5, 6, 7):
        remedy = needs.batch_remedy(sizes, gpus, grpo=True)
        arguments = remedy.replace(",", " ").split()
        # What the remedy says to type does split.
        sft = [word.removeprefix("SFT_ARGS=") for word in arguments if "SFT_ARGS" in word]
        typed = needs.batches("llava_7b", "gpu_1x80", arguments, sft)
        assert typed.fits(gpus) and typed.sft >= 32 and typed.train % typed.mini == 0


def test_verl_floors_an_sft_batch_and_refuses_a_mini_batch() -> None:
    """What `Batches.fits` guards against: 32 // 6 = 5, five times six is another batch; 256 % 6."""
    assert not Batches(64, 36, 8, 32).fits(6)
    assert not Batches(64, 32, 8, 36).fits(6)
    assert Batches(64, 32, 8, 36).fits(6, grpo=False)
    assert Batches(64, 3, 8, 36).fits(6)  # 24 answers, four each


@pytest.mark.parametrize(
    ("card", "count", "device"),
    [
        (24, 1, None),
        (24, 8, None),  # the first GPU holds the whole model as it loads
        (40, 1, None),
        (40, 8, "gpu_8x80"),
        (45, 1, "gpu_1x48"),  # an L40S, whose 48 GB are 45 GiB
        (48, 1, "gpu_1x48"),
        (48, 2, "gpu_1x80"),
        (79.6, 1, "gpu_1x80"),
        (80, 8, "gpu_8x80"),
    ],
)
def test_the_card_decides_the_device(card: float, count: int, device: str | None) -> None:
    assert needs.device_for(card, LLAVA_PARAMETERS, count) == device


def test_the_need_of_a_48_gb_card_by_hand() -> None:
    # fp32 26.3 + adapter 0.6 + bf16 13.2 + two contexts 2.0
    assert needs.card_gib(LLAVA_PARAMETERS, 1, offloaded=True) == pytest.approx(42.1, abs=0.1)


def test_one_gpu_needs_twelve_cpus_and_eight_need_33() -> None:
    assert (needs.ray_cpus(1, []), needs.ray_cpus(8, [])) == (12, 33)
    key = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
    assert needs.ray_cpus(1, [f"{key}=2"]) == 6


def test_verl_s_placement_group_still_asks_for_three_cpus_a_gpu() -> None:
    from verl.single_controller.ray.base import ResourcePoolManager

    assert ResourcePoolManager({}, {}).max_colocate_count == 3


def test_a_model_folder_is_weighed_by_its_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"0" * 2000)
    (tmp_path / "config.json").write_text("{}")
    assert needs.parameters_of(str(tmp_path)) == 1000
    assert needs.parameters_of("llava-hf/llava-1.5-7b-hf") == LLAVA_PARAMETERS


def groups(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"cpu_dot_max": "350000 100000\n"},
        {"cpu_dot_max": "50000 100000\n"},
        {"cpu_dot_max": "max 100000\n"},
        {"cpu__cpu_dot_cfs_quota_us": "250000\n", "cpu__cpu_dot_cfs_period_us": "100000\n"},
        {"cpu__cpu_dot_cfs_quota_us": "-1\n", "cpu__cpu_dot_cfs_period_us": "100000\n"},
        {"cpuset__cpuset_dot_cpus": "0-2,7\n", "cpu_dot_max": "900000 100000\n"},
    ],
)
def test_cpus_are_those_that_ray_counts(files: dict[str, str], tmp_path: Path, monkeypatch) -> None:
    from ray._private import utils

    root = groups(tmp_path, **files)
    folder = root / "sys/fs/cgroup"
    docker = utils._get_docker_cpus(
        str(folder / "cpu/cpu.cfs_quota_us"),
        str(folder / "cpu/cpu.cfs_period_us"),
        str(folder / "cpuset/cpuset.cpus"),
        str(folder / "cpu.max"),
    )
    monkeypatch.setattr(utils, "_get_docker_cpus", lambda: docker)
    # Ray makes 0 of half a CPU, and then 1 of it.
    assert machine.cpus(root) == max(1, utils.get_num_cpus(override_docker_cpu_warning=True))


def test_memory_is_the_container_s_where_that_is_less(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       67108864 kB\n")
    assert machine.memory_gib(tmp_path) == 64
    assert machine.memory_gib(groups(tmp_path, memory_dot_max="max\n")) == 64
    assert machine.memory_gib(groups(tmp_path, memory_dot_max=str(16 * 1024**3))) == 16


def test_free_space_of_a_folder_that_is_not_yet_made(tmp_path: Path) -> None:
    assert machine.free_gib(tmp_path / "a/b") > 0
    assert machine.same_disk(tmp_path / "a", tmp_path)
