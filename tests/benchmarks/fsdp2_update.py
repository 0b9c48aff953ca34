"""One process of actor updates by verl's own worker, FSDP2 over gloo,
on a batch that is always the same.

    torchrun --nproc_per_node=2 tests/benchmarks/fsdp2_update.py MODEL PARQUET RUN \\
        [HYDRA.KEY=VALUE ...]

The batch is what the trainer sends: prompts with their images, answers of different lengths, an
advantage for each. A process gets its own share of it, as by verl's dispatch; the first one writes
what each update reported to RUN/reports.json. After the second update RUN/checkpoint is saved;
where it is there already, it is loaded and the third update alone is made.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.utils import hf_processor
from verl.utils import tensordict_utils as tu
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.utils.padding import response_from_nested

from data_prep.engines.chat import chat_text, open_image
from data_prep.verl_rows import load_questions

PROMPTS, UPDATES = 8, 3
ANSWERS = ["1. The digit is 7. I'm sure.\nConfidence: 0.9", "It is a tree."]


def configured(model: str, overrides: list[str]) -> DictConfig:
    """The pocket profile's actor on as many devices as there are processes."""
    world = int(os.environ["WORLD_SIZE"])
    micro_batch = PROMPTS * len(ANSWERS) // world
    given = [f"actor_rollout_ref.model.path={model}", f"trainer.n_gpus_per_node={world}"]
    given += [f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={micro_batch}"]
    given += ["actor_rollout_ref.actor.optim.total_training_steps=10"]
    given += [f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={micro_batch}"]
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        return compose("pocket", overrides=given + overrides).actor_rollout_ref


def jagged(rows: list[Any], dtype: torch.dtype = torch.long) -> torch.Tensor:
    return torch.nested.as_nested_tensor(
        [torch.as_tensor(row, dtype=dtype) for row in rows], layout=torch.jagged
    )


def share_of_batch(model: str, parquet: str) -> TensorDict:
    """This process's rows: every answer to its share of the prompts."""
    processor = hf_processor(model)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    share = slice(rank * PROMPTS // world, (rank + 1) * PROMPTS // world)
    prompts, answers, images = [], [], []
    for question in load_questions(Path(parquet), PROMPTS)[share]:
        image, text = open_image(question.image), chat_text(processor, question.messages)
        made = processor(text=[text], images=[image], return_tensors="pt")
        for answer in ANSWERS:
            prompts.append(made["input_ids"][0].tolist())
            answers.append(processor.tokenizer(answer, add_special_tokens=False)["input_ids"])
            images.append({"pixel_values": made["pixel_values"]})
    whole = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    ones = jagged([[1] * len(answer) for answer in answers])
    data = tu.get_tensordict(
        {
            "input_ids": jagged(whole),
            "position_ids": jagged([range(len(row)) for row in whole]),
            "prompts": jagged(prompts),
            "responses": jagged(answers),
            "response_mask": ones,
            "loss_mask": ones,
        }
    )
    tu.assign_non_tensor_stack(data, "multi_modal_inputs", images)
    tu.assign_non_tensor(data, temperature=1.0, pad_token_id=processor.tokenizer.pad_token_id)
    return data


def with_advantages(worker: ActorRolloutRefWorker, data: TensorDict) -> TensorDict:
    """The batch as an update takes it: the actor's own log-probabilities,
    one answer of each prompt the better one.
    """
    asked = data.clone()
    tu.assign_non_tensor(asked, calculate_entropy=False, compute_loss=False)
    found = response_from_nested(worker.compute_log_prob(asked)["log_probs"], data["response_mask"])
    signs = [1.0 - 2 * (row % len(ANSWERS)) for row in range(len(data))]
    rows = zip(signs, found.unbind(), strict=True)
    data["old_log_probs"] = data["ref_log_prob"] = found
    data["advantages"] = jagged([sign * torch.ones_like(row) for sign, row in rows], torch.float32)
    return data


def update(worker: ActorRolloutRefWorker, batch: TensorDict) -> dict[str, list[float]]:
    """Make one update of the whole batch; gives its metrics."""
    data, size = batch.clone(), PROMPTS * len(ANSWERS)
    tu.assign_non_tensor(data, global_batch_size=size, mini_batch_size=size, epochs=1, seed=1)
    tu.assign_non_tensor(data, calculate_entropy=False, dataloader_kwargs={"shuffle": False})
    metrics = tu.get(worker.update_actor(data), "metrics")
    return {name: [float(value) for value in values] for name, values in metrics.items()}


def main() -> None:
    model, parquet, run, *overrides = sys.argv[1:]
    checkpoint = Path(run) / "checkpoint"
    torch.manual_seed(0)
    worker = ActorRolloutRefWorker(configured(model, overrides), role="actor")
    worker.init_model()
    batch = with_advantages(worker, share_of_batch(model, parquet))
    reports = []
    if checkpoint.is_dir():
        worker.load_checkpoint(str(checkpoint))
    else:
        reports += [update(worker, batch) for _ in range(UPDATES - 1)]
        worker.save_checkpoint(str(checkpoint), global_step=UPDATES - 1)
    reports.append(update(worker, batch))
    if os.environ["RANK"] == "0":
        (Path(run) / "reports.json").write_text(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
