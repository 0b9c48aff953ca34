"""A cache directory as diskcache 5.6.3 left it, from the dump of a real one.

Three verdicts of `OLD` by "judge", and the limits: a budget of calls of which three are spent.
"""

import json
import sqlite3
from pathlib import Path

from reward_fns.expert import AnswerRequest

DATA = Path(__file__).parents[1] / "reward_fns" / "data"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
OLD = [
    AnswerRequest(f"q{i}", "QA", ("The digit is 7.",), "The digit is 7.", TRUTH) for i in range(3)
]


def of_diskcache(directory: Path) -> Path:
    """Write it; the directory."""
    for folder, name in ((directory, "verdicts"), (directory / "limits", "limits")):
        folder.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(folder / "cache.db") as database:
            database.executescript((DATA / f"diskcache_{name}.sql").read_text())
        database.close()
    return directory
