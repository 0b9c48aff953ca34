"""Proposed answers to pocket questions, right and wrong, for what votes on them."""

import json

from data_prep.ask_model import image_request
from data_prep.pocket import data
from data_prep.pocket.datasets import DATASETS
from reward_fns import prompts


def requests(n, answers=2):
    """Verification requests about n questions, spread over the pocket datasets.

    The first answer proposed to a question is the right one,
    the others are right ones to other questions.
    """
    found = []
    for name in DATASETS:
        rows = data.rows(name, "rl_train", n // len(DATASETS), seed=5)
        truths = [
            " ".join(json.loads(row["reward_model"]["ground_truth"])["facts"]) for row in rows
        ]
        for i, row in enumerate(rows):
            for answer in range(answers):
                text = prompts.render(
                    "self_verification",
                    question=row["extra_info"]["question"],
                    answer=truths[(i + 3 * answer) % len(rows)],
                )
                found.append(image_request(text, row["images"][0]["bytes"], seed=1000 * len(found)))
    return found
