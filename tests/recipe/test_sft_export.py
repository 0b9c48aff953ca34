"""SFT with a LoRA adapter, as the profile llava_7b trains, and its export:
a whole model with the adapter merged in.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from data_prep.verl_rows import sft_writer
from recipe.difficulty_calib.export import export_sft

pytestmark = pytest.mark.timeout(1200)

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@pytest.fixture(scope="module")
def exported(tmp_path_factory, pocket_data, pocket_model, run_on_cpu) -> Path:
    """The model of two SFT steps with LoRA."""
    folder = tmp_path_factory.mktemp("sft")
    questions = pq.read_table(pocket_data / "sft_questions.parquet").to_pylist()
    with sft_writer(folder / "sft.parquet", "bytes") as rows:
        for row in questions:
            answer = {
                "role": "assistant",
                "content": "1. The digit is 7. I'm sure.\nConfidence: 0.9",
            }
            rows.write(
                {
                    "messages": [*row["prompt"], answer],
                    "images": row["images"],
                    "data_source": row["data_source"],
                    "question_id": row["extra_info"]["question_id"],
                }
            )
    # As the entry script does: torchrun's rendezvous would listen to the network.
    alone = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1, "MASTER_PORT": 0}
    command = ["env", "MASTER_ADDR=127.0.0.1", *(f"{name}={n}" for name, n in alone.items())]
    command += [
        sys.executable,
        "-m",
        "recipe.difficulty_calib.sft",
    ]
    command += [
        "--config-name",
        "pocket_sft",
        "number_brier=5",
        f"data.train_files={folder / 'sft.parquet'}",
    ]
    command += [
        "data.train_batch_size=8",
        "data.micro_batch_size_per_gpu=8",
        f"model.path={pocket_model}",
    ]
    command += ["model.lora_rank=4", "model.lora_alpha=8", f"model.target_modules='{TARGETS}'"]
    command += ["checkpoint.save_contents=[model,optimizer,extra]", "trainer.logger=[console]"]
    command += ["trainer.total_training_steps=2", "trainer.save_freq=2", f"hydra.run.dir={folder}"]
    command += [f"trainer.default_local_dir={folder / 'run'}"]
    code, log = run_on_cpu(command)
    assert code == 0, log[-3000:]
    assert "train/number_loss" in log
    with pytest.raises(ValueError, match="--base"):
        export_sft(folder / "run", folder / "model")
    export_sft(folder / "run", folder / "model", str(pocket_model))
    return folder / "model"


def test_the_exported_model_is_the_base_with_the_adapter_merged(exported, pocket_model):
    merged, info = AutoModelForImageTextToText.from_pretrained(exported, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    base, merged = (
        AutoModelForImageTextToText.from_pretrained(pocket_model).state_dict(),
        merged.state_dict(),
    )
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed == {
        name for name in base if "language_model" in name and name.endswith("_proj.weight")
    }


def test_the_exported_model_has_its_processor(exported, pocket_model):
    ours, theirs = (AutoProcessor.from_pretrained(path) for path in (exported, pocket_model))
    assert ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    assert ours.tokenizer.chat_template == theirs.tokenizer.chat_template
