"""The records that a command is about, by model and protocol."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.naming.model_names import ordered_models, ordered_protocols
from eval.records.files import load_records
from eval.records.record import AnswerRecord
from reward_fns.errors import UserError

Groups = Mapping[str, Mapping[str, Sequence[AnswerRecord]]]
"""model -> protocol -> records."""


def load_chosen(
    directory: Path, protocols: Sequence[str] | None = None, models: Sequence[str] | None = None
) -> Groups:
    """Records of a directory, of some protocols and models or (None) of all; models without
    any of the protocols are left out.

    Raises:
        UserError: what `records.load_records` refuses, or a protocol or model that no record
            is of.
    """
    records = load_records(directory)
    there = ordered_protocols(record.protocol for record in records)
    if unknown := [name for name in protocols or () if name not in there]:
        raise UserError(
            f"no records by the protocol {unknown[0]} in {directory}; there are {', '.join(there)}"
        )
    held = ordered_models(record.model for record in records)
    if unknown := [name for name in models or () if name not in held]:
        raise UserError(
            f"no records of the model {unknown[0]} in {directory}; there are {', '.join(held)}"
        )
    return by_model_and_protocol(
        [
            record
            for record in records
            if (protocols is None or record.protocol in protocols)
            and (models is None or record.model in models)
        ]
    )


def by_model_and_protocol(records: Sequence[AnswerRecord]) -> Groups:
    """Records under model and protocol, in the order of `ordered_models`
    and `ordered_protocols`.
    """
    of_pair: dict[tuple[str, str], list[AnswerRecord]] = defaultdict(list)
    for record in records:
        of_pair[record.model, record.protocol].append(record)
    groups: dict[str, dict[str, list[AnswerRecord]]] = {
        model: {} for model in ordered_models(model for model, _ in of_pair)
    }
    for protocol in ordered_protocols(protocol for _, protocol in of_pair):
        for model, by_protocol in groups.items():
            if (model, protocol) in of_pair:
                by_protocol[protocol] = of_pair[model, protocol]
    return groups
