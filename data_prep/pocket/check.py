"""A quick measurement of a pocket model: claim-format answers on test images,
sampled at temperature 1.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from data_prep.pocket import data, datasets, emblems, model
from data_prep.pocket.datasets import DATASETS, Thing
from reward_fns import claims, prompts
from reward_fns.expert import AnswerRequest, make_expert

BATCH = 256
MAX_NEW_TOKENS = 96


@dataclass(frozen=True)
class Answer:
    """One sampled answer: text, length in tokens, and the probability of its claims
    without tags and confidence.
    """

    text: str
    tokens: int
    probability: float


@torch.inference_mode()
def sample(
    net: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    images: npt.NDArray[np.uint8],
    prompts: list[str],
) -> list[Answer]:
    """One answer for each image (n, 32, 32, 3) and prompt, at temperature 1, from
    torch's global generator.
    """
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    expand = "<image>" * model.IMAGE_TOKENS
    out: list[Answer] = []
    for start in range(0, len(prompts), BATCH):
        texts = [
            model.prompt_text(prompt).replace("<image>", expand)
            for prompt in prompts[start : start + BATCH]
        ]
        inputs = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
        made = net.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pixel_values=model.pixel_values(images[start : start + BATCH]),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            output_scores=True,
            return_dict_in_generate=True,
        )
        tokens = made.sequences[:, inputs["input_ids"].shape[1] :]
        logs = torch.log_softmax(torch.stack(made.scores, 1), -1).gather(2, tokens[..., None])[
            ..., 0
        ]
        out += [
            _answer(row, log, tokenizer)
            for row, log in zip(tokens.tolist(), logs.tolist(), strict=True)
        ]
    return out


@torch.inference_mode()
def says_yes(
    net: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    images: npt.NDArray[np.uint8],
    questions: list[str],
    answers: list[str],
) -> npt.NDArray[np.float64]:
    """P(Yes) / (P(Yes) + P(No)), (n,), of self-verification for images (n, 32, 32, 3),
    questions, proposed answers.
    """
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "right"
    yes, no = (tokenizer.encode(f" {word}", add_special_tokens=False)[0] for word in ("Yes", "No"))
    expand = "<image>" * model.IMAGE_TOKENS
    asked = [
        prompts.render("self_verification", question=question, answer=answer)
        for question, answer in zip(questions, answers, strict=True)
    ]
    out = []
    for start in range(0, len(asked), BATCH):
        texts = [
            model.prompt_text(prompt).replace("<image>", expand)
            for prompt in asked[start : start + BATCH]
        ]
        inputs = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
        hidden = net.model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pixel_values=model.pixel_values(images[start : start + BATCH]),
        ).last_hidden_state
        last = inputs["attention_mask"].sum(1) - 1
        logits = net.lm_head(hidden[torch.arange(len(last)), last])[:, [yes, no]]
        out.append(logits.softmax(-1)[:, 0].double().numpy())
    return np.concatenate(out)


def _answer(tokens: list[int], logs: list[float], tokenizer: Any) -> Answer:
    end = tokens.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in tokens else len(tokens)
    words = tokenizer.convert_ids_to_tokens(tokens[:end])
    stop = words.index("Confidence") if "Confidence" in words else end
    kept = [log for i, log in enumerate(logs[:stop]) if i == 0 or not words[i - 1].endswith("I'm")]
    return Answer(tokenizer.decode(tokens[:end]).strip(), end + 1, float(np.exp(sum(kept))))


def auroc(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """Chance that a right answer scores above a wrong one, ties counted half; NaN
    where one side is empty.
    """
    high, low = scores[right], scores[~right]
    if not len(high) or not len(low):
        return float("nan")
    return float((np.sign(high[:, None] - low[None, :]).mean() + 1) / 2)


def judge(
    answer: str, question: str, things: tuple[Thing, ...], task: str
) -> tuple[claims.ParsedResponse, float]:
    """The parsed answer and the oracle's verdict on it; 0 for one whose list is not whole."""
    parsed = claims.parse_response(answer)
    texts = tuple(claim.text for claim in parsed.claims)
    if not parsed.list_is_whole:
        return parsed, 0.0
    request = AnswerRequest(question, task, texts, answer, data.ground_truth(things, task))
    return parsed, asyncio.run(make_expert("oracle").ask(request)).overall


_Measured = tuple[float, bool, float, float, float, int]
"""Verdict, well-formed, confidence, probability, P(Yes), tokens of one answer."""


def measure(path: Path, n: int, seed: int) -> dict[str, dict[str, float]]:
    """Measure the model at `path` on n test questions of each dataset, and pooled.

    Keys of a row: n, accuracy (mean verdict), well_formed (share), verbal_auroc, probability_auroc
    and verification_auroc (fully right answers against the others, scored by the stated
    confidence, by the probability of the claims, and by P(Yes) when the model is asked whether its
    claims, as plain text, are correct), frequent and rare (share of the 14 most frequent and the
    14 rarest emblems that are named rightly), tokens_mean and tokens_max of the responses.
    """
    torch.manual_seed(seed)
    net, processor = model.load(path)
    table: dict[str, dict[str, float]] = {}
    pooled: list[_Measured] = []
    named: list[tuple[int, bool]] = []
    for name, dataset in DATASETS.items():
        rng = np.random.default_rng((seed, 7, list(DATASETS).index(name)))
        drawn = datasets.draw_batch(name, "test", n, rng)
        questions = [str(rng.choice(dataset.questions)) for _ in range(n)]
        answers = sample(net, processor, drawn.images, [claims.claim_prompt(q) for q in questions])
        rows, seen = [], []
        plain = [
            " ".join(claim.text for claim in claims.parse_response(answer.text).claims)
            for answer in answers
        ]
        believed = says_yes(net, processor, drawn.images, questions, plain)
        for answer, yes, question, things in zip(
            answers, believed, questions, drawn.things, strict=True
        ):
            parsed, verdict = judge(answer.text, question, things, dataset.task)
            confidence = 0.0 if parsed.confidence is None else parsed.confidence
            rows.append(
                (
                    verdict,
                    parsed.well_formed,
                    confidence,
                    answer.probability,
                    float(yes),
                    answer.tokens,
                )
            )
            said = {claims.normalise(claim.text) for claim in parsed.claims}
            for thing in things:
                if thing.emblem:
                    seen.append(
                        (
                            thing.value,
                            claims.normalise(datasets.sentence(thing, dataset.task)) in said,
                        )
                    )
        table[name] = _row(rows, seen)
        pooled += rows
        named += seen
    table["pooled"] = _row(pooled, named)
    return table


def _row(rows: list[_Measured], named: list[tuple[int, bool]]) -> dict[str, float]:
    verdict, formed, confidence, probability, yes, tokens = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    third = 14
    frequent = [right for rank, right in named if rank < third]
    rare = [right for rank, right in named if rank >= len(emblems.NAMES) - third]
    return {
        "n": len(rows),
        "accuracy": float(verdict.mean()),
        "well_formed": float(formed.mean()),
        "verbal_auroc": auroc(confidence, verdict == 1),
        "probability_auroc": auroc(probability, verdict == 1),
        "verification_auroc": auroc(yes, verdict == 1),
        "frequent": float(np.mean(frequent)) if frequent else float("nan"),
        "rare": float(np.mean(rare)) if rare else float("nan"),
        "tokens_mean": float(tokens.mean()),
        "tokens_max": int(tokens.max()),
    }


def as_markdown(table: dict[str, dict[str, float]]) -> str:
    """The table as Markdown."""
    columns = list(next(iter(table.values())))
    lines = ["| dataset | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for name, row in table.items():
        cells = [
            f"{row[key]:.3f}" if isinstance(row[key], float) else str(row[key]) for key in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells).replace("nan", "") + " |")
    return "\n".join(lines)


def as_json(table: dict[str, dict[str, float]]) -> str:
    """The table as JSON; NaN becomes null."""
    clean = {k: {c: None if v != v else v for c, v in row.items()} for k, row in table.items()}
    return json.dumps(clean, indent=2)
