"""The mean number behind an answer, by `verbal_expected`'s own way: what `number_by=fitted` reads
from verl's reference has to be this.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch

from data_prep.engines import Engine, ScoringRequest, open_engine
from data_prep.engines.number_values import expectation, score_values, stated_number
from data_prep.verl_rows import Question, load_questions
from reward_fns.claims import parse_response


def mean_numbers(engine: Engine, question: Question, texts: list[str]) -> Iterator[float]:
    """Of each text that is well-formed: all numbers that might stand in it, scored."""
    for text in texts:
        parsed = parse_response(text)
        stated = stated_number(text, parsed.confidence) if parsed.well_formed else None
        if stated is None:
            continue
        asked = ScoringRequest(question.messages, stated.answers(text), question.image)
        (scored,) = score_values(engine, [asked])
        values = [value for _, value in stated.values]
        mean, _ = expectation(values, scored)
        if parsed.confidence == 1:
            # The pass of the reference does not see what would stand behind a 0.
            is_one = [float(value == 1) for value in values]
            chance, _ = expectation(is_one, scored)
            mean = chance + (1 - chance) * 0.9
        yield mean


def questions_of_step(path: Path, step: int, batch_size: int, seed: int) -> list[Question]:
    """What verl's sampler draws for a step of the first epoch: a permutation by `data.seed`."""
    questions = load_questions(path)
    order = torch.randperm(len(questions), generator=torch.Generator().manual_seed(seed))
    drawn = order[(step - 1) * batch_size : step * batch_size].tolist()
    return [questions[number] for number in drawn]


def expected_means(
    model: Path, questions: list[Question], rollouts: Path, recorded: list[float], work: Path
) -> list[float]:
    """Of all well-formed rollouts of a step, in rising order.

    Args:
        questions: those of the step.
        rollouts: what verl wrote of the step (`trainer.rollout_data_dir`). It names the ground
            truth, not the question: of two questions with the same one that is taken whose means
            are the nearest to those recorded.
    """
    by_truth = defaultdict(list)
    for question in questions:
        by_truth[question.ground_truth].append(question)
    groups = defaultdict(list)
    truths = {}
    for line in rollouts.read_text().splitlines():
        told = json.loads(line)
        group = told["uid"].rsplit("_", 2)[0]
        groups[group].append(told["output"])
        truths[group] = told["gts"]

    def distance(means: list[float]) -> float:
        return sum(min(abs(mean - one) for one in recorded) for mean in means)

    found: list[float] = []
    with open_engine({"kind": "transformers", "model": str(model)}, work) as engine:
        for group, texts in groups.items():
            asked = by_truth[truths[group]]
            means = [list(mean_numbers(engine, question, texts)) for question in asked]
            found += min(means, key=distance)
    return sorted(found)
