"""The helpers of the tests of stage one serve its benchmarks, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))
