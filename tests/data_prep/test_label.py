"""Labels by a served expert, over HTTP: what it fails on is named and asked again,
what it answered is not.
"""

import scripted
from judge_server import JudgeServer

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.steps.context import Context, Models
from reward_fns.expert import PairRequest
from reward_fns.files import read_jsonl

STEPS = ("questions", "sample", "verify", "pair", "label")
PAIR = PairRequest("", "QA", "", "")
FAULTS = {"429": 0.1, "500": 0.1, "drop": 0.1, "malformed": 0.1, "wrong shape": 0.1, "timeout": 0.1}


def _reply(prompt):
    return {"label": ("entailment", "neutral", "contradiction")[int(3 * scripted.chance(prompt))]}


def test_a_judge_behind_another_address_is_another_step(tmp_path, monkeypatch):
    """The address may stand in the client's own variable, which no configuration names."""
    keys = []
    for url in ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "http://127.0.0.1:2/v1/"):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        context = Context(tmp_path, "label", "", Models("", tmp_path / "cache"))
        keys.append(context.expert_identity({"kind": "openai", "model": "judge"}, PAIR))
    assert keys[0] != keys[1] == keys[2]
    assert keys[0]["judged_by"]["server"] == "http://127.0.0.1:1/v1"


def test_every_fault_of_a_server_is_named_and_mended_by_the_next_run(tmp_path, tiny_encoder):
    dataset = scripted.write_dataset(tmp_path / "places", 70)
    with JudgeServer(faults=FAULTS, reply=_reply, hang=1.0) as server:
        expert = {
            "kind": "openai",
            "model": "judge",
            "base_url": server.url,
            "max_retries": 0,
            "timeout": 0.5,
        }
        config = load_config(
            scripted.write_config(
                tmp_path / "config.yaml",
                [dataset],
                pair={"encoder": str(tiny_encoder)},
                label={"expert": expert, "concurrency": 32},
            )
        )
        table = run_steps(config, tmp_path / "run", STEPS)
        first = list(read_jsonl(tmp_path / "run" / "labels.jsonl"))
        failed = [r for r in first if (r["reason"] or "").startswith("expert: ")]
        labelled = [r for r in first if r["label"]]
        assert len(first) == 70 and len({r["reason"] for r in failed}) >= 5
        assert all(f"kept: {record['reason']}" in table and record["detail"] for record in failed)
        assert len(labelled) == sum(server.answers.values())

        server.faults = {}
        calls = server.total
        run_steps(config, tmp_path / "run", STEPS)

        second = list(read_jsonl(tmp_path / "run" / "labels.jsonl"))
        assert server.total - calls == len(failed)
        assert max(server.answers.values()) == 1
        assert not [r for r in second if (r["reason"] or "").startswith("expert: ")]
        assert [
            r for r in second if r["question_id"] in {r["question_id"] for r in labelled}
        ] == labelled
        assert {r["expert"] for r in second if r["label"]} == {"judge-2026"}
