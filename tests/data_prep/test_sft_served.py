"""The roles of `sft` as endpoints: a real server, with the faults of one,
gives the same records as without.
"""

import pytest
import scripted
from judge_server import JudgeServer, material

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import ancestors
from reward_fns.files import read_jsonl

FAULTS = {"429 retry-after": 0.1, "500": 0.1, "malformed": 0.1, "drop": 0.1}
STEPS = (*ancestors("splits"), "sft")


def given_in(prompt):
    return {name.rstrip(","): value for name, value in material(prompt).items()}


def reply(prompt):
    """Plays extractor, rewriter, verifier and judge; what holds is a function of the texts."""
    given = given_in(prompt)
    if "atomic facts" in prompt:
        return {"facts": [given["answer"], "It is a place."]}
    if "into a question" in prompt:
        return {"question": f"What about {given['statement'].rstrip('.')}?"}
    if "one fact about" in prompt:
        return {"supported": int(scripted.chance(given["fact"]) < 0.5)}
    return {"overall": round(scripted.chance(given["full"]))}


@pytest.fixture
def run(tmp_path, tiny_encoder):
    """Run the pipeline up to `sft` with all roles on the server; returns records, failures,
    and the table of counts.
    """

    def run(server, out="run", **options):
        endpoint = {
            "kind": "openai",
            "model": "judge",
            "base_url": server.url,
            "backoff": 0.01,
            "longest_wait": 0.05,
        }
        dataset = scripted.write_dataset(tmp_path / "places", 40)
        config = scripted.write_config(
            tmp_path / "config.yaml",
            [dataset],
            pair={"encoder": str(tiny_encoder)},
            splits={"train": 2, "sft": 6},
            sft={
                **dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), endpoint | options),
                "batch": 4,
            },
        )
        table = run_steps(load_config(config), tmp_path / out, STEPS)
        files = ("sft.jsonl", "failures/sft.jsonl")
        return *(list(read_jsonl(tmp_path / out / name)) for name in files), table

    return run


def test_a_faulty_server_changes_nothing_and_no_answer_is_paid_for_twice(run):
    with JudgeServer(reply=reply) as server:
        clean, failures, _ = run(server, out="clean")
        bodies = len(server.answers)
    assert len(clean) >= 6 and not failures
    assert {fact["true"] for record in clean for fact in record["facts"]} == {True, False}
    with JudgeServer(reply=reply, faults=FAULTS) as server:
        faulty, failures, _ = run(server, out="faulty", max_retries=20)
        assert server.total > len(server.answers) == bodies  # there were faults
        assert set(server.answers.values()) == {1}
    assert faulty == clean and not failures


def test_garbage_names_the_question_and_the_next_run_asks_again(run):
    def garbage(prompt):
        if "one fact about" in prompt and "Oslo" in given_in(prompt)["fact"]:
            return "It is true, I think."
        return reply(prompt)

    with JudgeServer(reply=garbage) as server:
        records, failures, table = run(server, max_retries=1)
    assert failures and all(failure["reason"].startswith("expert: ") for failure in failures)
    assert all("Oslo" not in record["answer"] for record in records)
    row = next(line for line in table.splitlines() if line.startswith("sft")).split()
    assert [int(number) for number in row[1:4]] == [
        len(records) + len(failures),
        len(records),
        len(failures),
    ]
    with JudgeServer(reply=reply, port=server.port) as mended:
        again, still, _ = run(mended, max_retries=1)
    assert not still and len(again) == int(row[1])
    # One fact of each failed question had no verdict: nothing else was asked for again.
    assert 1 <= len(mended.answers) <= len(failures)
    assert {record["question_id"]: record for record in again}.items() >= {
        record["question_id"]: record for record in records
    }.items()
