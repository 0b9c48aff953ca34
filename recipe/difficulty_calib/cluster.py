"""A Ray cluster that is already there: what a run must bring along, and what it must leave out.

Stock verl starts Ray on this machine, and its workers inherit the shell's environment. Those of a
cluster that was started before (``ray start``, found by ``RAY_ADDRESS``) have the environment of
that moment: without `attach` the metrics go to a file that nobody named, and Ray refuses the sizes
of a cluster that it does not start.

    # wait until two have joined
    python -m recipe.difficulty_calib.cluster --nodes 2 --within 600
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from recipe.difficulty_calib.patches.cpu_loopback import OF_RAY

#: Variables that hold a path: made absolute, since a worker has another working directory.
PATHS = ("VERL_FILE_LOGGER_PATH", "VERL_FILE_LOGGER_ROOT", "TENSORBOARD_DIR")
#: Variables that verl, Ray's workers and vLLM read. No key of an expert is among them: verl prints
#: what it hands to Ray, so a key belongs in the environment of `ray start`. No network interface
#: either: its name is each node's own.
SETTINGS = (
    "DIFFICULTY_CALIB_SHM_PREFIX",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "TRANSFORMERS_OFFLINE",
    "VERL_ENGINE_DEVICE",
    "VERL_PLATFORM",
    "VERL_USE_EXTERNAL_MODULES",
    "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_NO_USAGE_STATS",
)
#: Arguments of `ray.init` that Ray refuses for a cluster that it does not start.
SIZES = ("num_cpus", "num_gpus", "object_store_memory", "resources", "labels")


def forwarded(environment: Mapping[str, str]) -> dict[str, str]:
    """What workers need of a driver's environment: its `SETTINGS`, and its
    `PATHS` made absolute.
    """
    found = {name: environment[name] for name in SETTINGS if name in environment}
    for name in PATHS:
        if environment.get(name):
            found[name] = str(Path(environment[name]).expanduser().absolute())
    return found


def attach(config: DictConfig) -> str | None:
    """Make a composed configuration fit the cluster that `ray.init` will join.

    The address is found as Ray finds it: ``ray_kwargs.ray_init.address``, ``RAY_ADDRESS``, or the
    last ``ray start`` on this machine. What ``ray_init.runtime_env.env_vars`` sets stays.

    Returns:
        ``host:port`` of the cluster, or None where Ray will start one: nothing is changed then.
    """
    from ray._private.services import canonicalize_bootstrap_address

    ray_init = config.ray_kwargs.ray_init
    with open_dict(config):
        address = canonicalize_bootstrap_address(ray_init.get("address"), ray_init.get("_temp_dir"))
        if address is None:
            return None
        for name in SIZES:
            ray_init.pop(name, None)
        ray_init.address = address
        given = OmegaConf.select(ray_init, "runtime_env.env_vars") or {}
        # On a CPU workers would else listen where no other node reaches them.
        variables = {**forwarded(os.environ), OF_RAY: "1", **given}
        OmegaConf.update(ray_init, "runtime_env.env_vars", variables, force_add=True)
    return str(address)


def wait_for(nodes: int, within_s: float) -> list[str]:
    """The nodes of the cluster at ``RAY_ADDRESS``, a line each, as soon as
    there are `nodes` of them.

    Raises:
        TimeoutError: fewer have joined in `within_s` seconds, or nothing answers there.
    """
    import ray

    deadline, alive, reason = time.monotonic() + within_s, [], "nothing answers"
    while time.monotonic() < deadline:
        try:
            if not ray.is_initialized():
                ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
            alive = [node for node in ray.nodes() if node["Alive"]]
            reason = f"{len(alive)} of {nodes} nodes have joined"
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:  # not up yet
            reason = (str(error) or type(error).__name__).splitlines()[0]
        if len(alive) >= nodes:
            return [_line(node) for node in alive]
        time.sleep(2)
    raise TimeoutError(
        f"{os.environ['RAY_ADDRESS']}: {reason} after {within_s:g} s; has each node the same "
        "RAY_AUTH_TOKEN_PATH, and does a firewall let its ports through?"
    )


def _line(node: Mapping[str, object]) -> str:
    resources = node["Resources"]
    assert isinstance(resources, Mapping)
    sizes = ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
    return f"{node['NodeManagerAddress']}: {sizes}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for the nodes and print them; exit code 1, with one line, if they do not come."""
    parser = argparse.ArgumentParser(prog="python -m recipe.difficulty_calib.cluster")
    parser.add_argument("--nodes", type=int, required=True, help="that must have joined")
    parser.add_argument("--within", type=float, required=True, help="seconds")
    options = parser.parse_args(arguments)
    if not os.environ.get("RAY_ADDRESS"):
        print("error: RAY_ADDRESS is not set: name the first node, HOST:PORT", file=sys.stderr)
        return 1
    try:
        print("\n".join(wait_for(options.nodes, options.within)))
    except TimeoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
