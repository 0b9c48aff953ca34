"""GRPO on the pocket profile with the expert behind a server, clean and faulty, same seed:
does it train, and the same?

    20 steps against the exact judge without faults
        python tests/benchmarks/expert_grpo.py run FOLDER none
    the same with the mix of faults of judge_server.py
        python tests/benchmarks/expert_grpo.py run FOLDER issue
    the curves side by side, as Markdown
        python tests/benchmarks/expert_grpo.py compare FOLDER

The seeds are the same, but no two runs are: vLLM's batches depend on timing. "Within noise" is
against a second clean run: `run FOLDER none2` (any name that starts with "none").
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS, LAST = 20, 5
CURVES = ("reward/total/mean", "expert/acc", "response/well_formed", "confidence/brier")
COUNTS = (
    "asked",
    "cache_hits",
    "shared",
    "calls",
    "retries",
    "failures",
    "prompt_tokens",
    "completion_tokens",
)


def data(folder: Path) -> Path:
    made = folder / "data"
    if not made.exists():
        sys.path.insert(0, str(ROOT))
        from data_prep.pocket import data as pocket
        from reward_fns.difficulty import coefficients, save_coefficients

        made.mkdir(parents=True)
        pocket.write(made, 0, {"rl_train": 100, "test": 20, "sft_questions": 20})
        save_coefficients(
            made / "coefficients.yaml", dict.fromkeys(pocket.DATASETS, coefficients("VQAv2"))
        )
    return made


def run(folder: Path, name: str) -> int:
    questions, out = data(folder), folder / name
    out.mkdir(parents=True)
    faults = "none" if name.startswith("none") else name
    port_file = out / "port"
    server = [
        sys.executable,
        str(ROOT / "tests/servers/judge_server.py"),
        str(port_file),
        "--faults",
        faults,
    ]
    with subprocess.Popen([*server, "--latency", "0.02", "--hang", "4"]) as judge:
        while not port_file.exists():
            time.sleep(0.1)
        url = f"http://127.0.0.1:{port_file.read_text()}/v1"
        expert = (
            f"{{kind: openai, model: judge, base_url: '{url}', timeout: 3, max_retries: 3,"
            f" backoff: 0.02, longest_wait: 0.5, cache: '{out / 'cache'}'}}"
        )
        command = [sys.executable, "-m", "recipe.difficulty_calib.train", "--config-name", "pocket"]
        command += [f"data.train_files={questions / 'rl_train.parquet'}"]
        command += [
            f"data.val_files={questions / 'test.parquet'}",
            "data.train_batch_size=8",
            "data.seed=1",
        ]
        kwargs = "reward.custom_reward_function.reward_kwargs"
        command += [
            f"{kwargs}.coefficients={questions / 'coefficients.yaml'}",
            f"{kwargs}.expert={expert}",
        ]
        command += [f"actor_rollout_ref.model.path={ROOT / 'data_prep/pocket/base_model'}"]
        command += [
            "actor_rollout_ref.actor.ppo_mini_batch_size=8",
            f"trainer.total_training_steps={STEPS}",
        ]
        command += ["trainer.save_freq=-1", "trainer.logger=[console,file]", f"hydra.run.dir={out}"]
        command += [f"trainer.default_local_dir={out / 'checkpoints'}"]
        environment = os.environ | {
            "VERL_USE_EXTERNAL_MODULES": "recipe.difficulty_calib.plugin",
            "VERL_PLATFORM": "cpu",
            "VERL_ENGINE_DEVICE": "cuda",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "VERL_FILE_LOGGER_PATH": str(out / "curves.jsonl"),
        }
        with (out / "log.txt").open("w") as log:
            done = subprocess.run(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
            )
        judge.terminate()
    print(f"{name}: exit code {done.returncode}, log in {out / 'log.txt'}")
    return done.returncode


def curves(path: Path) -> list[dict[str, float]]:
    """The metrics of each step."""
    return [
        record["data"]
        for record in map(json.loads, path.read_text().splitlines())
        if "expert/failed" in record["data"]
    ]


def compare(folder: Path) -> int:
    runs = {path.parent.name: curves(path) for path in sorted(folder.glob("*/curves.jsonl"))}
    print("| | " + " | ".join(runs) + " |\n|---" + "|---" * len(runs) + "|")
    print("| steps | " + " | ".join(str(len(steps)) for steps in runs.values()) + " |")
    for curve in CURVES:
        for part, name in ((slice(0, LAST), "first"), (slice(-LAST, None), "last")):
            means = [sum(step[curve] for step in steps[part]) / LAST for steps in runs.values()]
            print(
                f"| {curve}, {name} {LAST} steps | "
                + " | ".join(f"{mean:.3f}" for mean in means)
                + " |"
            )
    for count in COUNTS:
        sums = [sum(step[f"expert/{count}"] for step in steps) for steps in runs.values()]
        print(f"| expert/{count}, all steps | " + " | ".join(f"{total:g}" for total in sums) + " |")
    rates = [sum(step["expert/failed"] for step in steps) / len(steps) for steps in runs.values()]
    print("| rollouts without verdict | " + " | ".join(f"{rate:.2%}" for rate in rates) + " |")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("folder", type=Path)
    one.add_argument("name")
    commands.add_parser("compare").add_argument("folder", type=Path)
    options = parser.parse_args()
    return (
        run(options.folder, options.name) if options.command == "run" else compare(options.folder)
    )


if __name__ == "__main__":
    sys.exit(main())
