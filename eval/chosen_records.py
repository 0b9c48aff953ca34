"""The records that a command is about, by model and protocol."""

from collections.abc import Sequence
from pathlib import Path

from eval.model_names import ordered_protocols
from eval.records import AnswerRecord, load_records
from eval.report.numbers import by_model_and_protocol
from reward_fns.errors import UserError

Groups = dict[str, dict[str, list[AnswerRecord]]]
"""model -> protocol -> records."""


def load_chosen(directory: Path, protocols: Sequence[str] | None = None) -> Groups:
    """Records of a directory, of some protocols or (None) of all; models without any of them are left out.

    Raises:
        UserError: what `records.load_records` refuses, or a protocol that no record is of.
    """
    records = load_records(directory)
    there = ordered_protocols(record.protocol for record in records)
    if unknown := [name for name in protocols or () if name not in there]:
        raise UserError(
            f"no records by the protocol {unknown[0]} in {directory}; there are {', '.join(there)}"
        )
    return by_model_and_protocol(
        [record for record in records if protocols is None or record.protocol in protocols]
    )
