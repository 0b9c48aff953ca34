"""One rollout as verl's agent loop hands it to a reward manager,
and the manager as verl loads it.
"""

import json
from io import BytesIO

import numpy as np
import torch
from PIL import Image

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1.0"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})

_buffer = BytesIO()
Image.new("RGB", (4, 4)).save(_buffer, "PNG")
PNG = _buffer.getvalue()


def manager(config, tokenizer):
    """The reward manager of a composed configuration."""
    from verl.trainer.ppo.reward import load_reward_manager

    return load_reward_manager(config, tokenizer)


def rollout(tokenizer, response: str = RIGHT, data_source: str = "VQAv2"):
    """A response to a question about one image; the row's fields are in `non_tensor_batch`."""
    from tensordict import TensorDict
    from verl import DataProto

    ids = torch.tensor([tokenizer.encode(response, add_special_tokens=False)])
    prompt = torch.zeros((1, 3), dtype=torch.long)
    mask = torch.ones((1, 3 + ids.shape[1]), dtype=torch.long)
    image = {"type": "image", "image": Image.new("RGB", (4, 4))}
    fields = {
        "data_source": data_source,
        "reward_model": {"ground_truth": TRUTH},
        "extra_info": {"question": "Which digit?", "task": "QA", "question_id": "q1"},
        "raw_prompt": [{"role": "user", "content": [image]}],
    }
    arrays = {}
    for key, value in fields.items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    batch = TensorDict({"prompts": prompt, "responses": ids, "attention_mask": mask}, batch_size=1)
    return DataProto(batch=batch, non_tensor_batch=arrays)
