"""A cluster that is already running: what of a configuration fits it,
and what the workers are told.
"""

import os
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from recipe.difficulty_calib import cluster


@pytest.fixture
def config():
    """The pocket's own, which sizes a new cluster;
    its runtime environment closed, as Hydra has it.
    """
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        return compose("pocket")


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch, tmp_path):
    """Neither the shell's cluster nor one that an earlier `ray start` left a note of."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_without_a_cluster_nothing_is_changed(config):
    before = OmegaConf.to_container(config)
    assert cluster.attach(config) is None
    assert OmegaConf.to_container(config) == before


def test_the_sizes_of_a_new_cluster_are_left_out(config, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    assert config.ray_kwargs.ray_init.num_gpus == 1
    assert cluster.attach(config) == "10.0.0.7:6379"
    assert not set(cluster.SIZES) & set(config.ray_kwargs.ray_init)
    assert config.ray_kwargs.ray_init.address == "10.0.0.7:6379"


def test_an_address_in_the_configuration_counts(config):
    OmegaConf.update(config, "ray_kwargs.ray_init.address", "10.0.0.8:6379", force_add=True)
    assert cluster.attach(config) == "10.0.0.8:6379"


def test_workers_get_the_metrics_paths_absolute_and_no_key(config, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", "curves/rl.jsonl")
    monkeypatch.setenv("TENSORBOARD_DIR", "/shared/tensorboard")
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "recipe.difficulty_calib.plugin")
    monkeypatch.setenv("OPENAI_API_KEY", "not to be printed")
    cluster.attach(config)
    told = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert told.VERL_FILE_LOGGER_PATH == str(tmp_path / "curves/rl.jsonl")
    assert told.TENSORBOARD_DIR == "/shared/tensorboard"
    assert told.VERL_USE_EXTERNAL_MODULES == "recipe.difficulty_calib.plugin"
    assert "not to be printed" not in OmegaConf.to_yaml(config)


def test_what_the_configuration_tells_workers_stays(config, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    monkeypatch.setenv("TENSORBOARD_DIR", "/of/the/shell")
    given = {"TENSORBOARD_DIR": "/of/the/configuration", "MINE": "1"}
    OmegaConf.update(config, "ray_kwargs.ray_init.runtime_env.env_vars", given, force_add=True)
    cluster.attach(config)
    told = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert told.TENSORBOARD_DIR == "/of/the/configuration" and told.MINE == "1"


def test_waiting_for_nodes_without_an_address_names_it(capsys):
    assert cluster.main(["--nodes", "2", "--within", "1"]) == 1
    assert capsys.readouterr().err == (
        "error: RAY_ADDRESS is not set: name the first node, HOST:PORT\n"
    )


def test_the_slurm_script_wants_sbatch():
    """All of it runs in tests/benchmarks/test_multinode.py, on two Ray nodes."""
    script = Path(__file__).parents[2] / "examples/slurm_multinode.sh"
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(["bash", script], env=outside, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "run this by sbatch, from the root of the repository" in done.stderr
