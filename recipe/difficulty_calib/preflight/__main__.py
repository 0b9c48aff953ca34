"""Print what a run needs and what this machine has; exit code 1 where something will not do.

    python -m recipe.difficulty_calib.preflight [--profile llava_7b] [--warn] \\
        [-- HYDRA_KEY=VALUE ...]

The other forms print one thing each: ``--versions``; ``--plan``, the number of visible GPUs and the
device option for them; ``--attention``, the value of ``attn_implementation``.
"""

import argparse
import shlex
import sys

from recipe.difficulty_calib.preflight import attention, checks, gpus, versions
from recipe.difficulty_calib.preflight.checks import Row, Run
from recipe.difficulty_calib.preflight.needs import CONFIG


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.profile and not (CONFIG / f"{given.profile}.yaml").is_file():
        parser.error(f"there is no profile {given.profile!r} in {CONFIG}")
    devices = _visible() if given.plan or not given.profile else []
    run = Run(
        profile=given.profile or ("llava_7b" if devices else "pocket"),
        model=given.model,
        out=given.out,
        train_rl=not given.without_grpo,
        grpo=given.overrides,
        sft=shlex.split(given.sft),
    )
    if given.versions:
        print("\n".join(versions.lines()))
    elif given.attention:
        chosen, why = attention.choose()
        print(f"attention: {chosen} ({why})", file=sys.stderr)
        print(chosen)
    elif given.plan:
        print(len(devices), checks.device_of(run, devices) if devices else "cpu")
    else:
        return _table(run, only_warn=given.warn)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe.difficulty_calib.preflight")
    parser.add_argument("--profile", help="default: llava_7b where a GPU is visible, else pocket")
    parser.add_argument("--model", default="", help="directory of the model, else a hub's name")
    parser.add_argument("--out", default="", help="the run's folder: what is in it is paid for")
    parser.add_argument("--sft", default="", help="Hydra keys of SFT, as in SFT_ARGS")
    parser.add_argument("--without-grpo", action="store_true", help="SFT and evaluation alone")
    parser.add_argument("--warn", action="store_true", help="exit code 0 whatever the verdicts")
    parser.add_argument("--versions", action="store_true", help="for a report of a fault")
    parser.add_argument("--plan", action="store_true", help="visible GPUs and device option")
    parser.add_argument("--attention", action="store_true", help="flash_attention_2 or sdpa")
    parser.add_argument("overrides", nargs="*", help="Hydra keys of the GRPO stage")
    return parser


def _visible() -> list[gpus.Device]:
    try:
        return gpus.here()
    except gpus.NoDriverError as error:
        print(f"no GPU: {error}", file=sys.stderr)
        return []


def _table(run: Run, only_warn: bool) -> int:
    rows = checks.pocket_rows() if run.profile == "pocket" else checks.gpu_rows(run)
    print(f"preflight of {run.profile}")
    print(table(rows))
    for row in rows:
        if row.verdict != "ok":
            print(f"{row.verdict}: {row.what}: {row.remedy}")
    bad = [row.what for row in rows if row.verdict == "no"]
    if not bad or only_warn:
        return 0
    print(
        f"FAILED: preflight: {', '.join(bad)}: see the remedy above (or go on all the same: "
        "PREFLIGHT=warn)",
        file=sys.stderr,
    )
    return 1


def table(rows: list[Row]) -> str:
    """Columns as wide as their widest cell."""
    cells = [("", "needs", "has", "verdict")]
    cells += [(row.what, row.needs, row.has, row.verdict) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  " + "  ".join(padded).rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
