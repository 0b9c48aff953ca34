"""A table's three written forms."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from eval.numbers.values import Interval, Measured, SliceValues
from eval.tables.latex import to_latex
from eval.tables.render import render, to_csv, to_markdown
from eval.tables.stored import read_tables
from eval.tables.table import Column, Table, show, tabulated
from reward_fns.errors import UserError

TABLE = Table(
    "t_1",
    "ECE of a_b & c",
    (
        Column("model"),
        Column("ECE", group="first", better="low"),
        Column("n", group="first"),
        Column("share", percent=True),
    ),
    (("rl_proper", Interval(0.12345, 0.1, 0.2), 1200, 0.5), ("50 %", None, 0, math.nan)),
    ("ten bins; 95 % interval",),
)


def test_csv_is_unrounded_and_gives_an_interval_three_columns():
    lines = to_csv(TABLE).splitlines()
    assert lines[:2] == ["# ECE of a_b & c", "# ten bins; 95 % interval"]
    rows = list(csv.reader(io.StringIO("\n".join(lines[2:]))))
    assert rows[0] == [
        "model",
        "first: ECE",
        "first: ECE low",
        "first: ECE high",
        "first: n",
        "share",
    ]
    assert rows[1] == ["rl_proper", "0.12345", "0.1", "0.2", "1200", "0.5"]
    assert rows[2] == ["50 %", "", "", "", "0", ""]


def test_latex_uses_booktabs_escapes_text_and_names_groups():
    text = to_latex(TABLE)
    assert r"\caption{ECE of a\_b \& c}" in text and r"\label{tab:t_1}" in text
    assert r" & \multicolumn{2}{c}{first} & " in text and r"\cmidrule(lr){2-3}" in text
    assert r"rl\_proper & 0.123 [0.100, 0.200] & 1,200 & 50.000 \% \\" in text
    assert r"50 \% & -- & 0 & -- \\" in text
    assert r"\begin{tabular}{lrrr}" in text and r"ECE $\downarrow$" in text
    assert (
        text.index(r"\toprule")
        < text.index(r"\midrule")
        < text.index(r"\bottomrule")
        < text.index(r"ten bins; 95 \%")
    )


def test_markdown_is_aligned_with_text_left_and_numbers_right():
    table = Table("t", "T", (Column("model"), Column("n")), (("a|b", 10), ("c", 5)))
    assert to_markdown(table) == "| model |  n |\n|-------|---:|\n| a\\|b  | 10 |\n| c     |  5 |\n"


def test_a_difference_has_a_sign_and_zero_has_none():
    column = Column("d", signed=True)
    assert [show(value, column) for value in (0.1, -0.1, -0.0001)] == ["+0.100", "−0.100", "0.000"]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("t", "T", (Column("a"), Column("b")), (("x",),))


def test_a_cell_of_fewer_than_ten_readable_answers_is_empty():
    """Of nine answers an AUROC of 1.000 says nothing."""
    auroc = {"auroc": Measured(1.0, 1.0, 1.0)}
    cell = SliceValues(n=12, parse_failures=3, metrics=auroc)
    assert tabulated(cell, "auroc") is None
    assert tabulated(replace(cell, parse_failures=2), "auroc") == Interval(1.0, 1.0, 1.0)


def test_names_of_others_make_no_formula_no_markup_and_no_option():
    names = ("=HYPERLINK(1)", "@x", "<img src=http://t>", "![x](http://t)", "[2cm]", "*", "\\<b>")
    hostile = Table(
        "a}b",
        "<b>t</b>, =1+1",
        (Column("+m"), Column("n")),
        tuple((name, -1) for name in names),
        ("note <i>, @x",),
    )
    lines = to_csv(hostile).splitlines()
    assert lines[:2] == ["# <b>t</b>, '=1+1", "# note <i>, '@x"]
    rows = list(csv.reader(lines[2:]))
    assert rows[0] == ["'+m", "n"] and rows[1] == ["'=HYPERLINK(1)", "-1"] and rows[2][0] == "'@x"
    markdown = to_markdown(hostile)
    assert "<" not in markdown and "](" not in markdown
    latex = to_latex(hostile)
    # `\\` takes [2cm] for a distance and * for its starred form, \midrule [..] for a width
    assert "\n{[}2cm]" in latex and "\n{*}" in latex and r"\label{tab:a-b}" in latex


@pytest.mark.parametrize(
    "change",
    [
        {"title": 5},
        {"notes": [{}]},
        {"notes": 5},
        {"columns": ["a"]},
        {"columns": [{"name": []}]},
        {"rows": [[{"a": 1}]]},
        {"rows": [[[1, 2]]]},
        {"rows": [[["a", "b", "c"]]]},
        {"rows": [[1, 2]]},
    ],
)
def test_stored_tables_of_another_shape_are_one_line(tmp_path, change):
    path = tmp_path / "tables.json"
    stored = {"name": "t", "title": "T", "columns": [{"name": "a"}], "rows": [[1]], "notes": []}
    path.write_text(json.dumps({"tables": [stored]}))
    (table,) = read_tables(path)
    assert table.rows == ((1,),)
    path.write_text(json.dumps({"tables": [stored | change]}))
    with pytest.raises(UserError, match="holds no tables"):
        read_tables(path)


def test_a_title_is_text_too():
    table = Table("t", "<img src=x> ![x](http://tracker)", (Column("a"),), (("b",),))
    assert render(table, ".md").startswith("# &lt;img src=x> ![x]&#40;http://tracker)")
