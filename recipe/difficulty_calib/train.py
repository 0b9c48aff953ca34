"""GRPO: verl's own trainer, after a look at what it is given.

    python -m recipe.difficulty_calib.train --config-name pocket \\
        data.train_files=... actor_rollout_ref.model.path=...

The same as ``python -m verl.trainer.main_ppo --config-path pkg://recipe.difficulty_calib.config
...``, but an input that cannot work ends it at once, with one line (`preflight`), a Ray cluster
that is already running is joined as it is (`cluster`), and nothing is left of the training in /tmp
and /dev/shm (`leftovers`).
"""

import sys

import hydra
import ray
from omegaconf import DictConfig
from verl.trainer import main_ppo

from recipe.difficulty_calib import leftovers
from recipe.difficulty_calib.cluster import attach
from recipe.difficulty_calib.preflight.inputs import PreflightError, check


@hydra.main(
    config_path="pkg://recipe.difficulty_calib.config", config_name="pocket", version_base=None
)
def main(config: DictConfig) -> None:
    """Train as composed; an input that cannot work is one line, and exit code 1."""
    try:
        check(config)
    except PreflightError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    with leftovers.removed():
        attach(config)
        try:
            main_ppo.main(config)
        finally:
            ray.shutdown()  # its processes end before what they leave is removed


if __name__ == "__main__":
    main()
