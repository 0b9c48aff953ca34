"""SFT rows from questions whose truth is listed: each fact a claim that is sure, confidence 1."""

import json
from pathlib import Path

from data_prep.verl_rows import read_rows, sft_writer
from reward_fns.claims import Claim, render_response


def write(questions: Path, out: Path) -> int:
    """Answer the questions of a pocket parquet; how many rows were written."""
    with sft_writer(out, "bytes") as rows:
        for row in read_rows(questions):
            truth = json.loads(row["reward_model"]["ground_truth"])
            claims = [Claim(text=fact, sure=True) for fact in truth["facts"]]
            answer = {"role": "assistant", "content": render_response(claims, 1.0)}
            rows.write(
                {
                    "messages": [*row["prompt"], answer],
                    "images": row["images"],
                    "data_source": row["data_source"],
                    "question_id": row["extra_info"]["question_id"],
                }
            )
        return rows.count
