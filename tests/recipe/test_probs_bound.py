"""The bound on the correlation of rollout and actor probabilities lies between rounding and
the least fault known.

A rollout engine that rounds, or is given another prompt,
is stood for by the same model in bfloat16, or on that prompt.
"""

import numpy as np
import pytest
import torch
from PIL.Image import Image

from data_prep.engines.chat import chat_text, open_image
from data_prep.verl_rows import load_questions
from recipe.difficulty_calib.options import TrainerOptions

BOUND = TrainerOptions().min_probs_correlation
Rollout = tuple[str, Image, torch.Tensor]


@pytest.fixture(scope="module")
def processor(pocket_model):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(pocket_model)


@pytest.fixture(scope="module")
def actor(pocket_model):
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(pocket_model, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def rollouts(pocket_data, processor, actor) -> list[Rollout]:
    """Prompt, image and the ids of a sampled response for each question."""
    torch.manual_seed(0)
    sampled = []
    for question in load_questions(pocket_data / "rl_train.parquet"):
        text, image = chat_text(processor, question.messages), open_image(question.image)
        given = processor(text=[text], images=[image], return_tensors="pt")
        with torch.no_grad():
            ids = actor.generate(**given, do_sample=True, top_k=0, max_new_tokens=48)
        sampled.append((text, image, ids[0, given["input_ids"].shape[1] :]))
    return sampled


def probabilities(model, processor, rollouts: list[Rollout]) -> np.ndarray:
    """Of each token of each response."""
    found = []
    for text, image, response in rollouts:
        given = processor(text=[text], images=[image], return_tensors="pt")
        ids = torch.cat([given["input_ids"], response[None]], dim=1)
        with torch.no_grad():
            logits = model(ids, pixel_values=given["pixel_values"].to(model.dtype)).logits
        probs = logits[0, -len(response) - 1 : -1].float().softmax(-1)
        found.append(probs.gather(1, response[:, None])[:, 0])
    return torch.cat(found).numpy()


@pytest.fixture(scope="module")
def correlation(processor, actor, rollouts):
    """Of the actor's probabilities with those of a model on rollouts that may have been changed."""
    of_actor = probabilities(actor, processor, rollouts)

    def of(model, changed: list[Rollout]) -> float:
        return float(np.corrcoef(of_actor, probabilities(model, processor, changed))[0, 1])

    return of


def test_rounding_to_bfloat16_passes(correlation, rollouts, pocket_model):
    from transformers import AutoModelForImageTextToText

    rounded = AutoModelForImageTextToText.from_pretrained(pocket_model, dtype=torch.bfloat16)
    # Measured: 0.99995. A fifth of what the bound allows, since deeper models round more often.
    assert 1 - correlation(rounded.eval(), rollouts) < (1 - BOUND) / 5


@pytest.mark.parametrize(
    "fault",
    [
        # Measured on 60 questions: 0.996, 0.998, 0.69, 0.66.
        lambda text, image, other: (text.replace("<image>\n", "<image>\n\n", 1), image),
        lambda text, image, other: (text, image.resize((28, 28))),  # stock verl's smart_resize
        lambda text, image, other: (text.replace(" ASSISTANT", "ASSISTANT"), image),
        lambda text, image, other: (text, other),
    ],
    ids=["two newlines", "image resized", "template", "image of another question"],
)
def test_a_rollout_engine_that_sees_another_prompt_does_not(correlation, actor, rollouts, fault):
    images = [image for _, image, _ in rollouts]
    changed = [
        (*fault(text, image, other), response)
        for (text, image, response), other in zip(rollouts, images[1:] + images[:1], strict=True)
    ]
    assert correlation(actor, changed) < BOUND
