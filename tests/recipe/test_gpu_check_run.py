"""examples/gpu_check.sh --cpu as a user runs it: every stage on a tiny model,
so that the script cannot rot.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from recipe.difficulty_calib.gpu_check import table

pytestmark = pytest.mark.timeout(1200)

ROOT = Path(__file__).parents[2]
RUN = ROOT / "outputs" / "test-gpu-check"


@pytest.fixture(scope="module")
def checked() -> subprocess.CompletedProcess[str]:
    """The CPU form in the fewest steps that show an update reach the rollouts."""
    few = {"SFT_STEPS": "2", "GRPO_STEPS": "2", "LIMIT": "1000", "RUN": RUN.name}
    return subprocess.run(
        ["bash", "examples/gpu_check.sh", "--cpu"],
        cwd=ROOT,
        env=os.environ | few,
        capture_output=True,
        text=True,
        timeout=1100,
    )


def test_every_stage_runs_on_a_cpu(checked):
    assert checked.returncode == 0, (checked.stdout + checked.stderr)[-3000:]
    outcome = json.loads((RUN / "gpu_check.json").read_text())
    assert [row["stage"] for row in outcome["stages"]] == list(table.STAGES)
    assert {row["status"] for row in outcome["stages"]} == {"ran"}
    assert outcome["passed"] and all(check["good"] for check in outcome["checks"])


def test_rates_memory_and_correlation_are_measured(checked):
    outcome = json.loads((RUN / "gpu_check.json").read_text())
    rows = {row["stage"]: row for row in outcome["stages"]}
    assert rows["sft"]["tokens_per_s"] > 0 and rows["grpo"]["tokens_per_s"] > 0
    assert outcome["sampling_tokens_per_s"] > 0
    # Each holds torch at least: a tenth of a GiB.
    assert min(rows[stage]["peak_gib"] for stage in ("sft", "merge", "grpo", "evaluation")) > 0.1
    correlations = [check["has"] for check in outcome["checks"] if "rollout" in check["what"]]
    assert correlations and min(correlations) >= 0.999


def test_the_page_is_printed_and_written(checked):
    page = (RUN / "gpu_check.md").read_text()
    assert page.startswith("# GPU check: passed\n") and page in checked.stdout
