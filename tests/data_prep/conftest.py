"""The scripted model and expert of `scripted.py` are named by dotted path, as users name their own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
