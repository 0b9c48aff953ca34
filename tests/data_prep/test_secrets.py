"""Canaries: keys, passwords and secrets of the environment are nowhere in what
a run writes and says.
"""

import base64
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import scripted
from judge_server import JudgeServer

from data_prep.engines.interface import GenerationRequest, Sampling
from data_prep.engines.openai_server import OpenAIEngine
from data_prep.pipeline.config import as_mapping, as_shown, load_config
from reward_fns.errors import UserError

ROOT = Path(__file__).parents[2]
SECRETS = {
    "OPENAI_API_KEY": "canary-openai-81274",
    "JUDGE_KEY": 'canary"judge/31415',  # in JSON it looks otherwise
    "TENANT": "canary-tenant-27182",
    "JUDGE_PASSWORD": "canary-password-16180",
}
BASIC = base64.b64encode(f"me:{SECRETS['JUDGE_PASSWORD']}".encode()).decode()
# Everything goes wrong that makes a message: the server echoes what it was sent.
FAULTS = {"429": 0.1, "500": 0.1, "malformed": 0.1, "drop": 0.05, "400": 0.3}


def found_in(text):
    """Names of the secrets that stand in a text, plainly or as in JSON."""
    forms = {name: (value, json.dumps(value)[1:-1]) for name, value in SECRETS.items()}
    forms["the password, as it is sent"] = (BASIC,)
    return [name for name, ways in forms.items() if any(way.encode() in text for way in ways)]


@pytest.fixture
def config(tmp_path, tiny_encoder):
    """Takes the judge's address; gives the path of a configuration that names every secret."""

    def write(url):
        expert = {
            "kind": "openai",
            "model": "judge",
            "base_url": url.replace("://", "://me:${oc.env:JUDGE_PASSWORD}@"),
            "api_key_env": "JUDGE_KEY",
            "parameters": {"tenant": {"token": "${oc.env:TENANT}"}},
            "max_retries": 1,
            "backoff": 0.01,
        }
        dataset = scripted.write_dataset(tmp_path / "places", 12)
        return scripted.write_config(
            tmp_path / "config.yaml",
            [dataset],
            pair={"encoder": str(tiny_encoder)},
            label={"expert": expert},
        )

    return write


def test_a_run_of_stage_one_writes_and_says_no_secret(tmp_path, config):
    environment = os.environ | SECRETS | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    with JudgeServer(faults=FAULTS, reply=lambda _: {"label": "neutral"}) as server:
        command = [sys.executable, "-m", "data_prep", "label", str(config(server.url))]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / "run")], env=environment, capture_output=True
        )
        assert server.total > 10 and server.calls["400"]
        # The client sends the password of the address in place of the key.
        assert server.headers[-1]["authorization"] == f"Basic {BASIC}"
    assert b"label: 12 in" in done.stdout, done.stderr.decode()
    outputs = {"stdout": done.stdout, "stderr": done.stderr}
    outputs |= {str(p): p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert {name: found for name, text in outputs.items() if (found := found_in(text))} == {}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    # What it was made with can still be read off.
    shown = manifest["config"]["label"]["expert"]
    assert shown["parameters"]["tenant"]["token"] == "${oc.env:TENANT}"
    assert shown["base_url"] == f"http://127.0.0.1:{server.port}/v1"
    assert list((tmp_path / "run" / "failures").glob("label.jsonl"))


def test_steps_go_by_the_values_and_the_manifest_by_what_was_written(config, monkeypatch):
    path = config("http://judge/v1")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    read = load_config(path)
    resolved = as_mapping(read)["label"]["expert"]
    assert resolved["parameters"] == {"tenant": {"token": SECRETS["TENANT"]}}
    assert not found_in(json.dumps(as_shown(read)).encode())
    assert as_shown(read).keys() == as_mapping(read).keys()


def test_a_secret_written_in_clear_is_left_out_of_the_manifest(config, monkeypatch):
    monkeypatch.setenv("JUDGE_PASSWORD", SECRETS["JUDGE_PASSWORD"])
    path = config("http://judge/v1")
    text = path.read_text()
    assert "${oc.env:TENANT}" in text
    path.write_text(text.replace("${oc.env:TENANT}", SECRETS["TENANT"]))
    shown = as_shown(load_config(path))["label"]["expert"]
    assert shown["parameters"] == {"tenant": {"token": "[...]"}}
    assert shown["api_key_env"] == "JUDGE_KEY" and shown["backoff"] == 0.01


def test_the_engines_errors_hold_nothing_that_its_server_echoes(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            self._refuse(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def do_GET(self):
            self._refuse("")

        def _refuse(self, body):
            said = f"no, {self.headers['Authorization']} {body}"
            content = json.dumps({"error": {"message": said}}).encode()
            self.send_response(404 if self.command == "GET" else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://me:{SECRETS['JUDGE_PASSWORD']}@127.0.0.1:{server.server_port}/v1"
    body = {"a": SECRETS["TENANT"]}
    ask = GenerationRequest([{"role": "user", "content": "?"}], 0)
    with OpenAIEngine("m", url, api_key_env="JUDGE_KEY", retries=0, extra_body=body) as engine:
        with pytest.raises(UserError) as raised:
            engine.generate([ask], Sampling())
    server.shutdown()
    server.server_close()
    assert "no, Basic [...]" in str(raised.value) and not found_in(str(raised.value).encode())
