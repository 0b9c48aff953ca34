"""What the 7B run needs of a machine, by arithmetic; the sizes of its batches
are read from `config/`.

In GiB, for P parameters on G GPUs, a LoRA adapter of rank 64 beside them (`scale` has the
long form). verl keeps the frozen base in fp32 (4 P bytes, a share of it on each GPU),
vLLM a copy in bf16 (2 P).

    load      4 P             FSDP2 first puts the whole model on the first GPU, offloaded or not
                              (`verl.utils.fsdp_utils.fsdp2_load_full_state_dict`)
    sample    4 P / G + vLLM  its share of the card: half; 0.6 where the trainer is offloaded
    sync      4 P / G + 2 P   both lie on the card, offloaded or not (`get_per_tensor_param`)
    update    4 P / G + the activations of a micro-batch; vLLM sleeps

One card of 24 GB: no. 4 P is 26.3 GiB, so that the model does not load; frozen in bf16
it would, and the sync would still hold twice 13.2. A quantised base (QLoRA) is nothing
that verl's FSDP trains.
One card of 48 GB: the sync is the peak, 42 GiB; `device=gpu_1x48` offloads the trainer.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3
CONFIG = Path(__file__).resolve().parents[1] / "config"
LLAVA_PARAMETERS = 7_063_427_072
_ADAPTER = 0.6  # 160 million parameters in fp32
_TRAINED = 2.4  # that, its gradient, Adam's two moments
_CONTEXT = 2.0  # CUDA's own, in the trainer's process and in vLLM's
_CACHE = 5.0  # vLLM's activations, and the keys and values of six sequences of 1,536 tokens
_ACTIVATIONS = 14.0 / 16384  # a token of a micro-batch, checkpointed: boundaries, one layer, logits


@dataclass(frozen=True)
class Batches:
    """Questions of a GRPO step, of an update in it, answers a question; examples of an SFT step."""

    train: int
    mini: int
    rollouts: int
    sft: int

    def fits(self, gpus: int, grpo: bool = True) -> bool:
        """Whether each splits evenly over the GPUs.

        verl asserts it of an update's answers (`TrainingWorker.train_mini_batch`); an SFT step it
        floors, and so trains on another batch than it was told.
        """
        return self.sft % gpus == 0 and (not grpo or self.mini * self.rollouts % gpus == 0)


def configured(key: str, *files: str, default: int = 0) -> int:
    """An integer of `config/`, from the first of these files that has the key."""
    for file in files:
        text = (CONFIG / f"{file}.yaml").read_text(encoding="utf-8")
        if found := re.search(rf"^\s+{key}: (\d+)\s*$", text, re.MULTILINE):
            return int(found[1])
    return default


def overridden(key: str, overrides: list[str], default: int) -> int:
    """An integer that Hydra's overrides set (``a.b=3``, ``+a.b=3``): the last, else the default."""
    value = default
    for line in overrides:
        name, _, given = line.lstrip("+").partition("=")
        if name == key and given.isdigit():
            value = int(given)
    return value


def batches(profile: str, device: str, grpo: list[str], sft: list[str]) -> Batches:
    """The batch sizes of a profile on a device, with these overrides of its two stages."""
    files = (*_of_device(device), profile, "grpo")
    actor = "actor_rollout_ref"
    train = configured("train_batch_size", *files)
    mini = configured("ppo_mini_batch_size", *files)
    return Batches(
        train=overridden("data.train_batch_size", grpo, train),
        mini=overridden(f"{actor}.actor.ppo_mini_batch_size", grpo, mini),
        rollouts=overridden(f"{actor}.rollout.n", grpo, configured("n", *files)),
        sft=overridden(
            "data.train_batch_size", sft, configured("train_batch_size", f"{profile}_sft", "sft")
        ),
    )


def _of_device(device: str) -> list[str]:
    """The file of a device group's option, then what it inherits from."""
    text = (CONFIG / "device" / f"{device}.yaml").read_text(encoding="utf-8")
    bases = re.findall(r"^  - (gpu_\w+)\s*$", text, re.MULTILINE)
    return [f"device/{name}" for name in (device, *bases)]


def card_gib(parameters: int, gpus: int, offloaded: bool) -> float:
    """Memory that a card must have: ``device=gpu_1x48`` if offloaded, else ``gpu_1x80``."""
    base, copy = 4 * parameters / GIB, 2 * parameters / GIB
    load = base + _CONTEXT
    tokens = 4096 if offloaded else 16384
    update = (base + _TRAINED) / gpus + tokens * _ACTIVATIONS + _CONTEXT
    if offloaded:
        sync = base / gpus + _ADAPTER + copy + _CONTEXT
        return max(load, update, sync, (copy + _CACHE) / 0.6)
    held = (base + _TRAINED) / gpus + _CONTEXT
    return max(load, update, 2 * held, 2 * (copy + _CACHE))


def device_for(card: float, parameters: int, gpus: int) -> str | None:
    """The option of the groups ``device`` and ``sft_device`` that fits; None: nothing does."""
    if card >= card_gib(parameters, gpus, offloaded=False):
        return "gpu_8x80" if gpus >= 8 else "gpu_1x80"
    if card >= card_gib(parameters, gpus, offloaded=True):
        return "gpu_1x48"
    return None


def ray_cpus(gpus: int, overrides: list[str]) -> int:
    """CPUs that Ray must have on one node: with one fewer verl waits for ever.

    Three a GPU (`ResourcePoolManager.max_colocate_count`, a placement group that is waited for
    without a limit), one for TransferQueue's controller, one a storage unit of it, of which verl
    has eight. The driver's actors and workers take none once they run.
    """
    key = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
    return 3 * gpus + 1 + overridden(key, overrides, 8)


def host_gib(parameters: int, gpus: int) -> float:
    """Main memory: the model as it loads, vLLM's sleeping copy a GPU, 16 for the processes."""
    return 4 * parameters / GIB + 2 * parameters / GIB * gpus + 16


def working_counts(sizes: Batches, grpo: bool) -> list[int]:
    """Numbers of GPUs up to 16 that the batches split over."""
    return [gpus for gpus in range(1, 17) if sizes.fits(gpus, grpo)]


def batch_remedy(sizes: Batches, gpus: int, grpo: bool) -> str:
    """What to type so that these batches split over the GPUs; rounded up, not down."""
    counts = ", ".join(map(str, working_counts(sizes, grpo)))
    mini = math.ceil(sizes.mini / gpus) * gpus
    train = mini * max(1, round(sizes.train / sizes.mini))
    sft = math.ceil(sizes.sft / gpus) * gpus
    keys = f"data.train_batch_size={train} actor_rollout_ref.actor.ppo_mini_batch_size={mini}"
    return (
        f"use {counts} GPUs (CUDA_VISIBLE_DEVICES=0,1,...), or set the batches: "
        f"SFT_ARGS=data.train_batch_size={sft}" + (f", and after the script's name {keys}" * grpo)
    )


def parameters_of(model: str) -> int:
    """Parameters of a model directory in bf16, by the size of its weights; LLaVA-1.5-7B's else."""
    folder = Path(model)
    weights = list(folder.glob("*.safetensors")) or list(folder.glob("pytorch_model*.bin"))
    size = sum(path.stat().st_size for path in weights)
    return size // 2 if size else LLAVA_PARAMETERS
