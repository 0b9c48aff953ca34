"""SFT data in which a model states the mean of the numbers that it might have stated.

    python -m data_prep.expected --model outputs/RUN/models/sft \\
        --questions outputs/RUN/stage_one/rl_train.parquet \\
        --out outputs/RUN/expected/expected.parquet

A stated confidence is a draw. Of a model with a distribution P over numbers v and a chance y to be
right, the draw's expected squared error exceeds that of the mean by the variance of P:

    E (v - y)^2 = (E v - y)^2 + Var v

So each answer that the model samples gets, in the number's place, E v of that very answer
(`data_prep.engines.number_values`), rounded as its own format writes it. SFT on these rows teaches
the model to state its mean: no expert is asked, and no verdict is used.

Questions that SFT has not seen are the right ones: of those it was trained on, it is too sure.

Beside the parquet (schema: `data_prep.verl_rows`) stand

    NAME.jsonl   {question_id, n, answers: [{text, stated, expected}]} a question; it resumes a
                 killed run
    NAME.json    settings, n answers, those without a readable number, spread and
                 mean of stated and expected
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep.ask_model import Refused, ask
from data_prep.engines import Engine, GenerationRequest, Sampling, ScoringRequest, open_engine
from data_prep.engines.arguments import json_or_text
from data_prep.engines.number_values import Stated, expectation, score_values, stated_number
from data_prep.steps.context import stable_seed
from data_prep.verl_rows import Question, load_questions, read_rows, sft_writer
from data_prep.verl_rows.schema import ImageKind
from reward_fns.claims import parse_response
from reward_fns.errors import UserError
from reward_fns.files import JsonlLog, read_jsonl, read_mapping, write_json

Record = dict[str, Any]


def expected_records(
    engine: Engine, questions: Sequence[Question], sampling: Sampling, seed: int
) -> list[Record]:
    """What is written of a batch of questions: the answers that state a number, each with its mean.

    Args:
        questions: of one batch, (b,).
        sampling: `n` answers a question.

    Raises:
        NoLogprobs: the engine does not score given text.
        UserError: the model answers nothing.
    """
    asked = [
        GenerationRequest(q.messages, stable_seed(seed, "expected", q.question_id), q.image)
        for q in questions
    ]
    found = ask(engine, asked, sampling)
    answers = [
        (question, text, stated)
        for question, completions in zip(questions, found, strict=True)
        for text, stated in _with_number(completions)
    ]
    means = _means(engine, answers)
    records: dict[str, Record] = {
        q.question_id: {"question_id": q.question_id, "n": sampling.n, "answers": []}
        for q in questions
    }
    for (question, text, stated), mean in zip(answers, means, strict=True):
        if mean is not None:
            answer = {
                "text": _restated(text, stated, mean),
                "stated": dict(stated.values)[text[slice(*stated.span)]],
                "expected": round(mean, 4),
            }
            records[question.question_id]["answers"].append(answer)
    return list(records.values())


def _with_number(completions: Sequence[Any] | Refused) -> Iterator[tuple[str, Stated]]:
    """Well-formed answers whose number can be located."""
    if isinstance(completions, Refused):
        return
    for completion in completions:
        parsed = parse_response(completion.text)
        stated = stated_number(completion.text, parsed.confidence) if parsed.well_formed else None
        if stated is not None:
            yield completion.text, stated


def _means(engine: Engine, answers: Sequence[tuple[Question, str, Stated]]) -> list[float | None]:
    """E v of each answer; None where the model gives none of its numbers any probability."""
    requests = [
        ScoringRequest(question.messages, stated.answers(text), question.image)
        for question, text, stated in answers
    ]
    means: list[float | None] = []
    for (_, _, stated), scored in zip(answers, score_values(engine, requests), strict=True):
        try:
            values = [value for _, value in stated.values]
            means.append(expectation(values, scored)[0] if scored else None)
        except ZeroDivisionError:
            means.append(None)
    return means


def _restated(text: str, stated: Stated, mean: float) -> str:
    """The answer with the value nearest to the mean in the number's place,
    written as it writes numbers.

    Without the blank before its first word: the chat template has one of its
    own behind "ASSISTANT:".
    """
    nearest, _ = min(stated.values, key=lambda value: abs(value[1] - mean))
    return (text[: stated.span[0]] + nearest + text[stated.span[1] :]).strip()


def describe(records: Sequence[Record], least_spread: float) -> Record:
    """Counts and spreads for `NAME.json`.

    Args:
        least_spread: of the means, their standard deviation.

    Raises:
        UserError: no answer states a number, or the means are all alike: SFT on one number for all
            answers unlearns to tell right from wrong.
    """
    answers = [answer for record in records for answer in record["answers"]]
    asked = sum(record["n"] for record in records)
    if not answers:
        raise UserError(
            f"none of {asked} answers is in the claim format with a number: this is "
            "for a model behind SFT"
        )
    expected = np.array([answer["expected"] for answer in answers])
    stated = np.array([answer["stated"] for answer in answers])
    if expected.std() < least_spread:
        raise UserError(
            f"the expected numbers differ by {expected.std():.3f} (standard deviation), less than "
            f"{least_spread}: the model's numbers do not depend on its answers, train SFT first"
        )
    return {
        "answers": asked,
        "without a number that can be read": asked - len(answers),
        "stated": {"mean": round(stated.mean(), 4), "spread": round(stated.std(), 4)},
        "expected": {"mean": round(expected.mean(), 4), "spread": round(expected.std(), 4)},
    }


def write_rows(questions: Path, records: Sequence[Record], out: Path) -> None:
    """The SFT parquet: each question's own prompt and image, once with each of its answers."""
    texts = {r["question_id"]: [a["text"] for a in r["answers"]] for r in records}
    rows = (r for r in read_rows(questions) if r["extra_info"]["question_id"] in texts)
    first = next(rows)
    kind: ImageKind = "bytes" if "bytes" in first["images"][0] else "image"
    with sft_writer(out, kind) as file:
        for row in chain([first], rows):
            for text in texts[row["extra_info"]["question_id"]]:
                file.write(
                    {
                        "messages": [*row["prompt"], {"role": "assistant", "content": text}],
                        "images": [{kind: row["images"][0][kind]}],
                        "data_source": row["data_source"],
                        "question_id": row["extra_info"]["question_id"],
                    }
                )


def make(options: argparse.Namespace) -> Record:
    """Sample, score, write; what the report of it says.

    Raises:
        UserError: as `expected_records` and `describe`; or `out` belongs to another run.
    """
    out: Path = options.out
    questions = load_questions(options.questions)
    sampling = Sampling(options.temperature, options.max_tokens, options.samples)
    with open_engine(options.model, out.with_name("engine")) as engine:
        settings = {
            "model": engine.fingerprint,
            "questions": hashlib.sha256(options.questions.read_bytes()).hexdigest(),
            "seed": options.seed,
            **asdict(sampling),
        }
        _same_settings(out.with_suffix(".settings.json"), settings)
        log = JsonlLog(out.with_suffix(".jsonl"), key=lambda record: str(record["question_id"]))
        left = [q for q in questions if q.question_id not in log.done]
        done = len(questions) - len(left)
        with tqdm(total=len(questions), initial=done, desc="expected", unit="q") as progress:
            for start in range(0, len(left), options.batch):
                batch = left[start : start + options.batch]
                log.append(expected_records(engine, batch, sampling, options.seed))
                progress.update(len(batch))
        log.finish()
    records = list(read_jsonl(out.with_suffix(".jsonl")))
    told = describe(records, options.least_spread)
    write_rows(options.questions, records, out)
    write_json(out.with_suffix(".json"), told)
    return told


def _same_settings(path: Path, settings: Record) -> None:
    """What was asked before must have been asked alike.

    Raises:
        UserError: it was not, naming what differs.
    """
    before = read_mapping(path) if path.exists() else settings
    if changed := sorted(key for key in settings if before.get(key) != settings[key]):
        raise UserError(
            f"{path.with_suffix('')} was begun with another {', '.join(changed)}: "
            f"remove {path.with_suffix('').with_suffix('')}.* or name another --out"
        )
    write_json(path, settings)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="python -m data_prep.expected",
        description="SFT data in which a model states the mean of the numbers "
        "it might have stated.",
        epilog="Killed or failed: the same command goes on where it stopped.",
    )
    top.add_argument(
        "--model",
        type=json_or_text,
        required=True,
        help="behind SFT: a directory, BASE+ADAPTER, or an engine's configuration as JSON",
    )
    top.add_argument(
        "--questions", type=Path, required=True, help="parquet of questions that SFT has not seen"
    )
    top.add_argument("--out", type=Path, required=True, help="the parquet to write")
    top.add_argument("--samples", type=int, default=4, help="answers a question (default 4)")
    top.add_argument("--temperature", type=float, default=1.0)
    top.add_argument("--max-tokens", type=int, default=512)
    top.add_argument("--batch", type=int, default=256, help="questions between two writes")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument(
        "--least-spread",
        type=float,
        default=0.05,
        help="refuse means whose standard deviation is smaller (default 0.05)",
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    try:
        print(json.dumps(make(parser().parse_args(argv)), indent=2))
    except (UserError, ModuleNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
