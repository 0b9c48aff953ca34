"""A model, an expert and a dataset that answer by rule, at once and the same always,
for tests of the pipeline.

They are named by dotted path ("scripted:ScriptedEngine"),
so that a run in another process finds them too.
"""

import asyncio
import hashlib
import io
import json
import math
import os
import time

import numpy as np
from PIL import Image

from data_prep.engines.interface import Completion, Token, all_answered
from reward_fns.claims import FORMAT_INSTRUCTION
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError
from reward_fns.expert.keeping.entries import content_key
from reward_fns.expert.requests import (
    PAIR_LABELS,
    AnswerRequest,
    AnswerVerdict,
    EntitiesRequest,
    EntitiesVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    PairRequest,
    PairVerdict,
    Source,
)

NAMES = ("Oslo", "Lima", "Cairo", "Riga", "Köln", "東京")
EXPERT = {"kind": "scripted:ScriptedExpert"}
LIMIT = 9_000
"""Characters of a prompt that the scripted model takes."""


def chance(*parts):
    """A number in [0, 1) that is a function of the parts."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:6]) / 2**48


def png(value=0):
    """A small image of noise."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class ScriptedEngine:
    """Answers a question about a place with one of six names,
    and votes on an answer with a chance of its own.

    A question that begins with "answers:" is answered from the JSON list behind it, LONG standing
    for 10,000 letters. An answer that holds "always true" or "always false" is voted so.
    `calls` notes the size of each batch.
    """

    fingerprint = "scripted"

    def __init__(self, delay=0.0):
        self.delay = delay
        self.calls = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def generate(self, requests, sampling):
        self.calls.append(len(requests))
        time.sleep(self.delay)
        texts = [
            "".join(part.get("text", "") for part in request.messages[0]["content"])
            for request in requests
        ]
        answers = [
            UserError(f"the prompt is longer than {LIMIT} characters")
            if len(text) > LIMIT
            else [self._answer(text, request.seed + j, sampling) for j in range(sampling.n)]
            for text, request in zip(texts, requests, strict=True)
        ]
        return all_answered(answers)

    def _answer(self, text, seed, sampling):
        if "Proposed answer: " in text:
            proposed = text.partition("Proposed answer: ")[2].splitlines()[0]
            p = (
                1.0
                if "always true" in proposed
                else 0.0
                if "always false" in proposed
                else chance("vote", text)
            )
            if sampling.top_logprobs:
                top = {
                    word: math.log(q)
                    for word, q in ((" Yes", 0.6 * p), (" true", 0.2 * p), (" No", 0.8 - 0.8 * p))
                    if q
                }
                return Completion("", (Token(" Yes", -1.0, top | {" Maybe": math.log(0.2)}),))
            return Completion(" Yes." if chance(seed, text) < p else " No.")
        question = text.strip()
        if question.startswith("answers:"):
            options = json.loads(question.removeprefix("answers:"))
            return Completion(options[seed % len(options)].replace("LONG", 10_000 * "x"))
        said = f"This is {NAMES[int(chance(question, seed) ** 2 * len(NAMES))]}."
        if FORMAT_INSTRUCTION in text and sampling.top_logprobs:
            return _claim(said, question)
        return Completion(said)


def holds(claim):
    """Whether a claim is right, to the scripted expert."""
    return chance(claim) < 0.5


def _claim(said, question):
    """An answer in the claim format, whose claim is more probable where it is right, by tokens."""
    p = 0.5 + 0.4 * (1 if holds(said) else -1) * (chance("odd", question, said) > 0.1)
    pieces = [(" 1.", 1.0), (" " + said, p), (" I'm sure.", 0.5), ("\nConfidence: 0.5", 0.5)]
    tokens = [Token(text, math.log(q), {}) for text, q in pieces]
    return Completion("".join(text for text, _ in pieces), (*tokens, Token("</s>", 0.0, {})))


class ScriptedExpert:
    """Answers every kind of request of stage one by its text,
    and notes in the file `log` what it is asked.

    A pair whose text holds "fail:WORD" fails with the reason WORD,
    unless the file `mended` is there.
    """

    name = "scripted"

    def __init__(self, log=None, mended=None, delay=0.0):
        self.log, self.mended, self.delay = log, mended, delay

    def prompt_version(self, request):
        return "1"

    async def ask(self, request):
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(content_key(request) + "\n")
        await asyncio.sleep(self.delay)
        source = Source(self.name, "1")
        match request:
            case PairRequest(better=better, worse=worse):
                if "fail:" in worse and not (self.mended and os.path.exists(self.mended)):
                    raise ExpertError("scripted failure", worse.partition("fail:")[2].split()[0])
                return PairVerdict(PAIR_LABELS[int(chance(better, worse) * 3)], source)
            case EntitiesRequest(text=text):
                return EntitiesVerdict(tuple(name for name in NAMES if name in text), source)
            case FactsRequest(response=response):
                return FactsVerdict((response,), source)
            case FactQuestionRequest(fact=fact):
                return FactQuestionVerdict(f"Is it so that {fact}?", source)
            case FactRequest(fact=fact):
                return FactVerdict(chance(fact) < 0.5, source)
            case AnswerRequest(response=response, claims=claims):
                labels = tuple(int(holds(claim)) for claim in claims)
                return AnswerVerdict(labels, min(labels, default=round(chance(response))), source)
        raise ExpertError(f"scripted: no {type(request).__name__}")


class FreeExpert:
    """Calls every pair neutral and has no version, so that its verdicts are not kept."""

    name = "free"

    async def ask(self, request):
        return PairVerdict("neutral", Source(self.name))


def write_dataset(folder, n, extra=()):
    """A dataset of n plain questions, three about a picture, and of extra lines in its middle;
    returns its options.

    An extra line is text as it stands, or the fields of a record over those of a plain one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(min(n // 3 + 1, 50)):
        (folder / f"im{i}.png").write_bytes(png(i))
    for i in range(n):
        image = f"im{i // 3 % 50}.png"
        lines.append(
            {"question_id": f"{i}", "question": f"Which place is number {i}?", "image": image}
        )
    middle = [
        line if isinstance(line, str) else json.dumps({"image": "im0.png"} | line) for line in extra
    ]
    lines = [json.dumps(line) for line in lines]
    lines[n // 2 : n // 2] = middle
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"name": folder.name, "kind": "jsonl", "root": str(folder), "file": "questions.jsonl"}


def write_config(path, datasets, **sections):
    """A configuration of the scripted model and expert; returns its path."""
    content = {
        "datasets": datasets,
        "model": {"kind": "scripted:ScriptedEngine"},
        "label": {"expert": EXPERT},
        "sft": dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), EXPERT),
        **sections,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
