"""The pieces of `tests/benchmarks/interrupted_runs.py`,
whose whole runs take an hour and are made by hand.
"""

import asyncio
import base64
import importlib.util
import json
import socket
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from judge_server import JudgeServer

from data_prep.pipeline.config import load_config
from data_prep.verl_rows import load_questions
from reward_fns.expert import AnswerRequest, make_expert

PATH = Path(__file__).parent / "benchmarks" / "interrupted_runs.py"
spec = importlib.util.spec_from_file_location("interrupted_runs", PATH)
runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runs)


def ask(server, connection=None):
    """Send one request; its reply, or the connection on which it is awaited."""
    content = [{"type": "text", "text": "?"}]
    body = json.dumps({"messages": [{"role": "user", "content": content}]})
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall((head + body).encode())
    return connection


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_verdict_is_paid_twice_unless_it_was_in_flight_at_an_interruption():
    with JudgeServer(reply=lambda prompt: "fine", latency=0.3) as server:
        ask(server).close()  # nobody waits for its verdict: it is paid all the same
        signalled = time.monotonic()
        until(lambda: server.answers.total() == 1 and server.verdicts)
        over = time.monotonic()
        with ask(server) as connection:
            assert b"200" in connection.recv(100)
        until(lambda: [len(spans) for spans in server.verdicts.values()] == [2])
    ((request, spans),) = server.verdicts.items()
    assert runs.paid_again(server.verdicts, [(signalled, over)]) == (1, [])
    assert runs.paid_again(server.verdicts, []) == (0, [request])
    # Sent long before the signal, it should have been kept; after all was over, nobody asked.
    came, sent = spans[0]
    late = sent + runs.STORED_WITHIN_S + 1
    assert runs.paid_again(server.verdicts, [(late, late + 5)]) == (0, [request])
    assert runs.paid_again(server.verdicts, [(came - 9, came - 5)]) == (0, [request])


def test_one_verdict_a_request_is_never_too_many():
    spans = {"a": [(1.0, 2.0)], "b": [(3.0, 4.0)]}
    assert runs.paid_again(spans, []) == runs.paid_again(spans, [(0.0, 9.0)]) == (0, [])
    three = {"a": [(1.0, 1.1), (5.0, 5.1), (20.0, 20.1)]}
    assert runs.paid_again(three, [(1.05, 2.0)]) == (1, ["a"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing", []),
        ("key: canary-openai-81274", ["OPENAI_API_KEY"]),
        (json.dumps(runs.SECRETS["JUDGE_KEY"]), ["JUDGE_KEY"]),
        (json.dumps(json.dumps(runs.SECRETS["JUDGE_KEY"])), ["JUDGE_KEY"]),
        ("http://x?k=canary%22judge%2F31415", ["JUDGE_KEY"]),
        (base64.b64encode(b"me:canary-password-16180").decode(), ["JUDGE_PASSWORD"]),
        (runs.marked('{"task": "QA", "facts": ["7"]}'), ["reference"]),
    ],
)
def test_a_canary_is_found_in_each_form(tmp_path, text, found):
    (tmp_path / "said.txt").write_text(f"before {text} behind")
    assert runs.canaries_in(tmp_path / "said.txt") == found
    # In the pages of a parquet it is compressed.
    table = pyarrow.table({"extra": [{"truth": f"before {text} behind {'x' * 99}"}] * 50})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    assert runs.canaries_in(tmp_path / "rows.parquet") == found


def test_references_belong_to_questions_and_examples_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    monkeypatch.setattr(runs, "HERE", tmp_path / "work")
    monkeypatch.setattr(runs, "temporary_of", lambda name: tmp_path / "temporary")
    run = tmp_path / "outputs" / "interrupted-a"
    for folder in (run / "logs", tmp_path / "work" / "a", tmp_path / "temporary"):
        folder.mkdir(parents=True)
    assert runs.canaries("a") == 1  # nothing looked at is not nothing found
    (run / "report.html").write_text(runs.REFERENCE)
    assert runs.canaries("a") == 0
    (run / "logs" / "rl.log").write_text(f"reference {runs.REFERENCE}")
    (tmp_path / "temporary" / "worker.out").write_text(runs.SECRETS["TENANT"])
    capsys.readouterr()
    assert runs.canaries("a") == 1
    said = capsys.readouterr().out
    assert f"reference {run / 'logs' / 'rl.log'}" in said and "TENANT" in said
    assert "2 found in 3 files" in said


def test_the_marker_changes_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SIZES", dict.fromkeys(runs.SIZES, 5))
    config = load_config(runs.marked_questions(tmp_path, 3))
    root = Path(config.datasets[1]["root"])
    assert root == tmp_path / "questions"
    oracle = make_expert("oracle")
    for file in runs.SIZES:
        for question in load_questions(root / f"{file}.parquet"):
            truth = json.loads(question.ground_truth)
            assert truth.pop("marker") == runs.REFERENCE
            claims = tuple(truth["facts"][:1])
            overall = [
                asyncio.run(
                    oracle.ask(
                        AnswerRequest(
                            question.question, question.task, claims, claims[0], reference
                        )
                    )
                ).overall
                for reference in (question.ground_truth, json.dumps(truth))
            ]
            assert overall[0] == overall[1] > 0
