"""The parquet rows that verl trains and evaluates on: one schema, checked when a file is
written and when it is read.

A public leaf: the recipe and the evaluation may import it; it imports nothing else of data_prep.
"""

from data_prep.verl_rows.preference import (
    Preference,
    load_preferences,
    preference_row,
    preference_writer,
)
from data_prep.verl_rows.read import Question, load_questions, read_rows
from data_prep.verl_rows.schema import OTHER_MARKS, chat_content, question_schema, sft_schema
from data_prep.verl_rows.write import RowWriter, question_writer, sft_writer

__all__ = [
    "OTHER_MARKS",
    "Preference",
    "Question",
    "RowWriter",
    "chat_content",
    "load_preferences",
    "load_questions",
    "preference_row",
    "preference_writer",
    "question_schema",
    "question_writer",
    "read_rows",
    "sft_schema",
    "sft_writer",
]
