"""Three GRPO steps of the pocket model in TRL's trainer: python trl_run.py JUDGE_URL OUT;
writes OUT/found.json.
"""

import io
import json
import sys
from pathlib import Path

import trl
from datasets import Dataset
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from data_prep.pocket import data
from reward_fns.adapters.trl import make_reward_func

url, out = sys.argv[1:]
model = Path(data.__file__).parent / "base_model"
rows = [
    {
        "prompt": [
            {"role": "user", "content": row["prompt"][0]["content"].replace("<image>\n", "")}
        ],
        "images": [Image.open(io.BytesIO(row["images"][0]["bytes"]))],
        "ground_truth": row["reward_model"]["ground_truth"],
        "data_source": row["data_source"],
        "question": row["extra_info"]["question"],
    }
    for row in data.rows("pocket-digit", "rl_train", 6, seed=5)
]
trainer = trl.GRPOTrainer(
    model=LlavaForConditionalGeneration.from_pretrained(model),
    processing_class=AutoProcessor.from_pretrained(model),
    reward_funcs=make_reward_func(
        expert={"kind": "openai", "model": "judge", "base_url": url}, coefficients="fixed"
    ),
    train_dataset=Dataset.from_list(rows),
    args=trl.GRPOConfig(
        output_dir=out,
        max_steps=3,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=48,
        learning_rate=1e-4,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        seed=1,
    ),
)
before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
trainer.train()
changed = [n for n, p in trainer.model.named_parameters() if not p.detach().equal(before[n])]
found = {
    "version": trl.__version__,
    "log": trainer.state.log_history,
    "changed": len(changed),
    "questions": [row["question"] for row in rows],
}
(Path(out) / "found.json").write_text(json.dumps(found))
