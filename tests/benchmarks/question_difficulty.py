"""Do the statistics behind `difficulty: question` tell which questions a model gets wrong?

    python tests/benchmarks/question_difficulty.py RUN [RUN ...]     directories of stage one

By dataset Pearson's r of each statistic with the mean verdict on a question's samples, in [0, 1],
over the judged questions of the split "sft". A positive r of the margin, and of the
frequency, is the direction in which `reward_fns.question_difficulty` moves coefficients.
"""

import sys
from collections import defaultdict
from math import log
from pathlib import Path
from statistics import correlation

from reward_fns.files import read_jsonl


def shares_right(run: Path) -> dict[str, float]:
    """question_id -> mean verdict on its readable samples: for QA the share that is right."""
    shares = {}
    for record in read_jsonl(run / "sft.jsonl"):
        n = sum(sample["count"] for sample in record["samples"])
        if n and record["certain"] is not None:
            right = sum(sample["count"] * sample["correct"] for sample in record["samples"])
            shares[record["question_id"]] = right / n
    return shares


def main(runs: list[str]) -> None:
    """Print one line a run and dataset."""
    print("run, dataset: r of the vote margin (n), r of ln entity frequency (n)")
    for run in map(Path, runs):
        shares = shares_right(run)
        margins, rarities = defaultdict(list), defaultdict(list)
        for record in read_jsonl(run / "difficulty.jsonl"):
            share = shares.get(record["question_id"])
            if share is not None and record["vote_margin"] is not None:
                margins[record["dataset"]].append((record["vote_margin"], share))
            if share is not None and record["entity_rarity"] is not None:
                rarities[record["dataset"]].append((log(record["entity_rarity"]), share))
        for dataset in margins:
            found = [
                f"{correlation(*zip(*pairs, strict=True)):.2f} ({len(pairs)})"
                for pairs in (margins[dataset], rarities[dataset])
            ]
            print(f"{run.parent.name}, {dataset}: {', '.join(found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
