"""Each block of the adapters' README, executed against a judge over HTTP."""

import json
import re
import sys
import types
from pathlib import Path

import pytest
from judge_server import JudgeServer

import reward_fns.adapters

README = (Path(reward_fns.adapters.__file__).parent / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^## (\S+)\n\n```python\n(.*?)```", README, re.DOTALL | re.MULTILINE))
RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1.0"
TRUTH = {"task": "QA", "facts": ["The digit is 7."]}
LABEL = json.dumps({"question": "Which digit?", "ground_truth": TRUTH})
COLUMNS = {"ground_truth": [TRUTH], "data_source": ["mine"], "question": ["Which digit?"]}


def test_every_framework_of_the_table_has_a_block():
    assert list(BLOCKS) == ["TRL", "ms-swift", "OpenRLHF", "EasyR1"]


@pytest.mark.parametrize("framework", BLOCKS)
def test_the_block_gives_a_reward_that_scores(framework, monkeypatch):
    # ms-swift cannot be had here: its module, with the two names that the block takes from it.
    swift = types.ModuleType("swift.rewards")
    swift.ORM, swift.orms = type("ORM", (), {}), {}
    monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", swift)
    with JudgeServer() as server:
        names = {}
        exec(BLOCKS[framework].replace("http://127.0.0.1:8000/v1", server.url), names)
        scored = {
            "TRL": lambda: names["reward"](completions=[RIGHT], **COLUMNS),
            "ms-swift": lambda: swift.orms["difficulty"]()(completions=[RIGHT], **COLUMNS),
            "OpenRLHF": lambda: names["reward_func"](["Q" + RIGHT], ["Q"], [LABEL])[
                "rewards"
            ].tolist(),
            "EasyR1": lambda: [
                names["compute_score"]({"response": RIGHT, "ground_truth": LABEL})["overall"]
            ],
        }[framework]()
        assert scored == [3.0] and server.total == 1
