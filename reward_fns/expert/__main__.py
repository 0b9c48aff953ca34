"""Commands about the expert.

    what works at an endpoint
        python -m reward_fns.expert check --expert '{kind: openai, model: gpt-4o}'
    what is recorded, and its cost
        python -m reward_fns.expert inspect CACHE
    for {kind: replay, recorded: ...}
        python -m reward_fns.expert export CACHE verdicts.jsonl
    one call against N + 1 calls
        python -m reward_fns.expert agreement answers.jsonl --expert '{...}'

An expert is given as YAML or JSON, or as a file that holds it; CACHE is a
directory or an exported file.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from reward_fns.errors import UserError
from reward_fns.expert.commands.agreement import measure, read_answers
from reward_fns.expert.commands.check import check
from reward_fns.expert.errors import ExpertError
from reward_fns.expert.keeping.entries import read_entries, told
from reward_fns.expert.serving.addresses import with_password
from reward_fns.expert.serving.secret_options import with_values
from reward_fns.expert.serving.transport import Transport
from reward_fns.files import read_mapping, write_text


def _config(text: str) -> dict[str, Any]:
    """The mapping of a configuration, given as text or as a file.

    Raises:
        UserError: neither.
    """
    if Path(text).is_file():
        return read_mapping(Path(text))
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"the expert is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise UserError(
            f"the expert must be a mapping such as {{kind: openai, model: gpt-4o}}, got {text!r}"
        )
    return config


def _check(config: dict[str, Any]) -> int:
    if config.get("kind") != "openai" or not config.get("model"):
        raise UserError("check tries an expert of kind openai and needs its model")
    transport = Transport(
        str(config["model"]),
        with_password(config.get("base_url"), config.get("password_env")),
        config.get("api_key_env"),
        float(config.get("timeout", 60.0)),
        config.get("parameters") or {},
        with_values(config.get("parameters_env") or {}),
    )
    findings, options = asyncio.run(check(transport))
    for finding in findings:
        print(
            f"{finding.name:<21} {'works' if finding.works else 'FAILS':<6} "
            f"{finding.seconds:6.2f} s  {finding.note}"
        )
    works = {finding.name: finding.works for finding in findings}
    if not any(works[name] for name in ("json schema", "json object", "no schema")):
        print("no way of asking gave a readable verdict")
        return 1
    changed = {**(config.get("parameters") or {}), **options.pop("parameters", {})}
    # Only temperature has a default that null takes out.
    parameters = {
        name: value for name, value in changed.items() if value is not None or name == "temperature"
    }
    given = {name: value for name, value in config.items() if name != "parameters"}
    working = given | options | ({"parameters": parameters} if parameters else {})
    text = yaml.safe_dump({"expert": working}, default_flow_style=True, sort_keys=False, width=1000)
    print(f"this works there:\n{text.strip()[1:-1]}")
    return 0


def _inspect(recorded: Path) -> int:
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    tokens: Counter[str] = Counter()
    cost, times = 0.0, []
    for entry in read_entries(recorded):
        judge = (entry["judge"], told(entry.get("identity")))
        counts[(*judge, entry["model"], entry["kind"], entry["prompt_version"])] += 1
        usage = entry["usage"]
        tokens.update(
            {name: usage[name] for name in ("calls", "prompt_tokens", "completion_tokens")}
        )
        cost += usage["cost"]
        times.append(entry["time"])
    if not counts:
        print(f"{recorded} holds no verdict yet")
        return 0
    first, last = (
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
        for moment in (min(times), max(times))
    )
    print(f"{counts.total()} verdicts from {first} to {last} UTC, {cost:.2f} USD")
    print(", ".join(f"{name} {n}" for name, n in tokens.items()))
    for (name, who, model, kind, version), n in counts.most_common():
        print(
            f"{n:>8}  {kind:<20} asked of {name}, answered by {model}, prompt {version}, at {who}"
        )
    return 0


def _export(recorded: Path, file: Path) -> int:
    entries = list(read_entries(recorded))
    write_text(file, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))
    print(f"{file}: {len(entries)} verdicts")
    return 0


def _agreement(answers: Path, config: dict[str, Any]) -> int:
    found, summaries = measure(config, read_answers(answers))
    print(f"answers {found.answers}, failed {found.failed}, claims {found.claims}")
    print(f"equal labels {found.equal_labels:.4f}, Cohen's kappa {found.kappa:.4f}")
    print(f"mean |difference| of the overall verdicts {found.overall_difference:.4f}")
    for mode, summary in summaries.items():
        print(f"{mode}: {summary}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reward_fns.expert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    expert = "such as '{kind: openai, model: judge, base_url: \"http://127.0.0.1:8000/v1\"}'"
    check_it = commands.add_parser("check", help="try an endpoint")
    check_it.add_argument("--expert", required=True, help=f"{expert}; or a file that holds it")
    commands.add_parser("inspect", help="what a cache holds").add_argument("recorded", type=Path)
    export = commands.add_parser("export", help="write a cache as JSONL")
    export.add_argument("recorded", type=Path)
    export.add_argument("file", type=Path)
    agreement = commands.add_parser("agreement", help="one call an answer against one a claim")
    agreement.add_argument("answers", type=Path, help="JSONL: question, task, claims, ...")
    agreement.add_argument("--expert", required=True, help=expert)
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "check":
                return _check(_config(options.expert))
            case "inspect":
                return _inspect(options.recorded)
            case "export":
                return _export(options.recorded, options.file)
            case _:
                return _agreement(options.answers, _config(options.expert))
    except (UserError, ValueError, ExpertError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
