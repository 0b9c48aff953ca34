"""A checkpoint that would run code is refused before verl loads it; real shards are not."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from data_prep.engines.pickled_shards import TRUST_VARIABLE, check_shards, main
from reward_fns.errors import UserError


class Bomb:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_what_fsdp_writes_is_loaded(tmp_path):
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("fsdp",))
        weights = {
            str(dtype): distribute_tensor(torch.zeros(4, dtype=dtype), mesh, [placement])
            for dtype in (torch.float32, torch.bfloat16)
            for placement in (Shard(0), Replicate())
        }
        torch.save(weights | {"plain": torch.nn.Parameter(torch.ones(2))}, tmp_path / "shard.pt")
    finally:
        torch.distributed.destroy_process_group()
    check_shards([tmp_path / "shard.pt"])


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_would_run_code_is_refused_and_named(tmp_path, monkeypatch, protocol):
    shard = tmp_path / "model_world_size_1_rank_0.pt"
    torch.save({"weight": torch.zeros(2), "x": Bomb()}, shard, pickle_protocol=protocol)
    with pytest.raises(UserError, match=r"would call .*(posix system|STACK_GLOBAL)") as raised:
        check_shards([shard])
    assert TRUST_VARIABLE in str(raised.value) and not (tmp_path / "ran").exists()
    monkeypatch.setenv(TRUST_VARIABLE, "1")
    check_shards([shard])


def test_what_is_no_zip_of_torchs_is_refused(tmp_path):
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Bomb()))
    two = tmp_path / "two.pt"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/constants.pkl", pickle.dumps(Bomb(), 2))
    for shard in (plain, two):
        with pytest.raises(UserError, match="no checkpoint that torch wrote"):
            check_shards([shard])


def test_a_training_resumes_from_what_verl_writes_and_from_nothing_that_calls_more(
    tmp_path, capsys
):
    assert main(tmp_path) == 0  # nothing to resume from
    actor = tmp_path / "global_step_2" / "actor"
    actor.mkdir(parents=True)
    # As verl keeps the states of the generators, and the place in the data.
    states = {"rng": {"numpy": np.random.get_state(), "cpu": torch.get_rng_state()}, "lr": None}
    torch.save(states, actor / "extra_state_world_size_1_rank_0.pt")
    torch.save({"_num_yielded": 2}, actor.parent / "data.pt")
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("2")
    assert main(tmp_path) == 0
    torch.save(states | {"x": Bomb()}, actor / "extra_state_world_size_1_rank_0.pt")
    assert main(tmp_path) == 1
    assert "would call posix system" in capsys.readouterr().err
    # verl opens the same by another spelling of the number, and through a link to a folder.
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("02")
    assert main(tmp_path) == 1
    actor.rename(tmp_path / "elsewhere")
    actor.symlink_to(tmp_path / "elsewhere")
    assert main(tmp_path) == 1
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("two")
    assert main(tmp_path) == 1
