"""Table 3 of the paper: MMHal-Bench and Object HalBench of ten methods and GPT-4V,
transcribed cell by cell.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "table3_hallucination.csv"
_OURS = {
    "base": "LLaVA",
    "sft": "SFT-LLaVA",
    "rl": "Base-SFT",
    "rl_on_base": "Base-LLaVA",
    "vcd": "VCD",
    "opera": "OPERA",
    "ha_dpo": "HA-DPO",
    "povid": "POVID",
    "rlaif_v": "RLAIF-V",
    "less_is_more": "Less-is-more",
}


@dataclass(frozen=True)
class ReportedRow:
    """One row: mean rating 0 to 6, and shares in [0, 1]."""

    method: str
    size: str
    mmhal_score: float
    mmhal_hallucination_rate: float
    objhal_response_rate: float
    objhal_mention_rate: float


@cache
def reported() -> tuple[ReportedRow, ...]:
    """The rows in the paper's order."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            ReportedRow(
                row["method"],
                row["size"],
                float(row["mmhal_score"]),
                float(row["mmhal_hallucination_rate"]),
                float(row["objhal_response_pct"]) / 100,
                float(row["objhal_object_pct"]) / 100,
            )
            for row in csv.DictReader(file)
        )


def paper_method(model: str) -> str | None:
    """The paper's name for a model of ours: its RL model is "Base-SFT"; None if it has none.

    >>> paper_method("rl")
    'Base-SFT'
    """
    return _OURS.get(model)
