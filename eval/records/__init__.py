"""Record files of an evaluation: a model's answers, written once, and a confidence for each
of them by each protocol.

`MODEL.answers.jsonl` holds an `Answer` a line: the answer, how it was judged, what the reports
slice by, and the probabilities of its tokens. `MODEL.PROTOCOL.jsonl` holds a `Confidence` a line,
which names its answer by question_id and sample. `read_records` joins the two into
`AnswerRecord`s. A line of a protocol file may also be a whole `AnswerRecord`: so answers and
confidences that were made elsewhere can be reported too.

A file grows under the name `<file>.partial` and is renamed when all is there, see
`reward_fns.files.JsonlLog`.
"""

from eval.records.files import (
    ANSWERS,
    answers_path,
    check_not_stale,
    file_sha256,
    join,
    load_records,
    read_answers,
    read_records,
    records_path,
    settings_path,
    write_records,
)
from eval.records.record import (
    MOST_TRUNCATED,
    VERBAL,
    Answer,
    AnswerRecord,
    Confidence,
    answer_key,
    question_key,
    truncated_share,
)

__all__ = [
    "ANSWERS",
    "answers_path",
    "check_not_stale",
    "file_sha256",
    "join",
    "load_records",
    "read_answers",
    "read_records",
    "records_path",
    "settings_path",
    "write_records",
    "MOST_TRUNCATED",
    "VERBAL",
    "Answer",
    "AnswerRecord",
    "Confidence",
    "answer_key",
    "question_key",
    "truncated_share",
]
