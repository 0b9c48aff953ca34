"""All rows of Table 3 by one command, in a few steps: the main job, four trainings,
one table and the report.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(3600)

ROOT = Path(__file__).parents[2]
RUN = ROOT / "outputs" / "test-table3"
TRAINED = {"ha_dpo", "povid", "rlaif_v", "less_is_more"}
OF_THE_MAIN_JOB = {"base", "sft", "r_tuning", "rl", "rl_segments", "rl_on_base"}
ROWS = OF_THE_MAIN_JOB | {"rl_segments_on_base", "vcd", "opera"} | TRAINED


def test_every_row_by_one_command_and_again_without_a_training():
    shutil.rmtree(RUN, ignore_errors=True)
    environment = os.environ | {"RUN": RUN.name, "DIFFICULTY_CALIB_DEVICE": "cpu"}
    for arguments in (["--quick"], [str(RUN)]):
        found = subprocess.run(
            ["bash", "examples/hallucination_methods.sh", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr[-2000:]
    for name in TRAINED:
        assert f"[{name}] already done" in found.stdout
    told = json.loads((RUN / "hallucination" / "hallucination.json").read_text())
    assert told["models"].keys() == ROWS
    assert {one["model"] for one in told["differences"]} == ROWS - {"base"}
    page = (RUN / "report.html").read_text(encoding="utf-8")
    assert 'id="hallucination"' in page and "Operating curve" in page
