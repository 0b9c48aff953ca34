"""A table that is too wide for a page is printed as several."""

import re

from eval.numbers.values import Interval
from eval.tables.latex import narrow_parts, to_latex
from eval.tables.render import to_csv
from eval.tables.table import Column, Table


def wide(columns, value=0.5, group=lambda k: ""):
    names = [Column("protocol"), Column("model")]
    names += [Column(f"c{k}", group=group(k)) for k in range(columns)]
    rows = tuple((p, m, *[value] * columns) for p in ("DP", "Verbal") for m in ("base", "RL"))
    return Table("t", "T", tuple(names), rows, ("a note",))


def shown(part):
    return [column.name for column in part.columns]


def test_no_printed_table_has_more_than_twelve_columns_and_none_is_lost():
    table = wide(42)  # fourteen datasets by three subsets: the 44 columns of the report
    parts = narrow_parts(table)
    # 12 less the two that name a row: 10, 10, 10, 10, 2
    assert [len(part.columns) for part in parts] == [12, 12, 12, 12, 4]
    assert all(shown(part)[:2] == ["protocol", "model"] for part in parts)
    assert [name for part in parts for name in shown(part)[2:]] == shown(table)[2:]
    assert all(len(part.rows) == 4 and part.notes == ("a note",) for part in parts)
    assert [part.rows[3][:2] for part in parts] == [("Verbal", "RL")] * 5

    text = to_latex(table)
    aligned = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert [len(columns) for columns in aligned] == [12, 12, 12, 12, 4]
    assert re.findall(r"\\label\{tab:(.*?)\}", text) == ["t", "t-2", "t-3", "t-4", "t-5"]
    assert r"\caption{T (part 5 of 5)}" in text and text.count("a note") == 5
    for line in text.splitlines():
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert line.count("&") in (11, 3)
    assert to_csv(table).splitlines()[2].count(",") == 43  # the CSV stays whole


def test_an_interval_is_as_wide_as_two_columns():
    # two names leave room for 10: five intervals
    parts = narrow_parts(wide(7, Interval(0.5, 0.4, 0.6)))
    assert [len(part.columns) for part in parts] == [7, 4]


def test_columns_of_one_group_stay_together():
    parts = narrow_parts(wide(12, group=lambda k: f"subset {k // 4}"))
    # 10 places: two groups of four, then the third
    assert [len(part.columns) for part in parts] == [10, 6]
    assert [part.columns[-1].group for part in parts] == ["subset 1", "subset 2"]
    assert r"\multicolumn{4}{c}{subset 2}" in to_latex(wide(12, group=lambda k: f"subset {k // 4}"))


def test_a_group_that_is_wider_than_the_page_is_cut():
    parts = narrow_parts(wide(15, group=lambda k: "all"))
    assert [len(part.columns) for part in parts] == [12, 7]


def test_a_table_that_fits_is_left_as_it_is():
    table = wide(10)
    assert narrow_parts(table) == [table] and r"\caption{T}" in to_latex(table)
