from __future__ import annotations

import dataclasses
import re

import pandas as pd
import pytest

from sweeper.report.inference.statistics import Interval
from sweeper.report.output.typeset import (
    Cell,
    Column,
    Grid,
    latex_text,
    level,
    spread,
    table,
    to_latex,
    to_markdown,
    word,
)
from sweeper.report.output.writing import listed, number, percent, signed

NASTY = 'a_b|c & 50% <i> $x$ #1 {y} \\z ~ ^ `q` "w" γ−1'


@pytest.fixture
def made():
    frame = pd.DataFrame({"family": ["dice", NASTY], "level": [0.97, 0.995], "m": [0.5, float("nan")],
                          "lo": [0.4, float("nan")], "hi": [0.6, float("nan")]})  # fmt: skip
    columns = [Column("family", word("family")), Column("background", level, numeric=True),
               Column("IoU", spread("m", "lo", "hi"), numeric=True)]  # fmt: skip
    return table("name", "A title", "A caption.", frame, columns)


def test_rows_are_written(made):
    written = tuple(tuple(map(str, row)) for row in made.grid.rows)
    assert written == (("dice", "97\u00a0%", "0.500 [0.400, 0.600]"), (NASTY, "99.5\u00a0%", "–"))
    assert made.grid.rows[0][2] == Cell("0.500", "[0.400, 0.600]")
    assert made.grid.numeric == {1, 2}


def test_latex_escapes_everything_it_would_take_for_its_own(made):
    text = to_latex(made)
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    assert [line.count(" & ") for line in body.strip().splitlines()] == [2, 2]
    # Every special letter left stands behind a backslash or is one of ours: column marks, braces and math.
    assert not re.search(r"(?<!\\)[%#]|(?<!\\)_", body)
    ours = body.replace(r"\{", "").replace(r"\}", "")
    assert ours.count("{") == ours.count("}")
    assert body.count("$") % 2 == body.count(r"\$") % 2 == 0
    assert r"$\gamma$$-$1" in body
    assert r"\textbackslash{}z" in body
    assert text.startswith("\\begin{table}")
    assert "{lrr}" in text


def test_latex_of_greek_and_signs():
    assert latex_text("α ≥ 0.5 %") == r"$\alpha$ $\geq$ 0.5 \%"


def test_markdown_keeps_three_cells_whatever_the_content(made):
    lines = to_markdown(made.grid).splitlines()
    assert len(lines) == 4
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 4
    assert "<i>" not in lines[3]
    assert "| 0.500 <sub>[0.400,&nbsp;0.600]</sub> |" in lines[2]


def test_stacked_intervals_stand_on_a_line_of_their_own(made):
    stacked = dataclasses.replace(made.grid, stacked=True)
    assert "| 0.500<br><sub>[0.400,&nbsp;0.600]</sub> |" in to_markdown(stacked)


def test_a_folded_table_says_what_it_holds(made):
    assert made.summary == "A title: 2 rows, 2 families and 2 levels"
    assert dataclasses.replace(made, about="all of it").summary == "A title: 2 rows, all of it"
    row = made.grid.rows[0]
    assert [Grid(made.grid.head, (row,) * count).long for count in (24, 25)] == [False, True]


def test_groups_begin_where_the_first_cell_changes():
    rows = tuple((Cell(name), Cell("x")) for name in ("a", "a", "b", "a"))
    made = Grid(("first", "second"), rows)
    assert made.starts == (True, False, True, True)
    assert made.kinds == "grouped"
    assert Grid(("first", "second"), rows[1:]).kinds == ""


def test_numbers_as_readers_see_them():
    assert number(Interval(0.1234, 0.1, 0.15)) == "0.123 [0.100, 0.150]"
    assert signed(Interval(-0.02, -0.05, 0.01)) == "−0.020 [−0.050, +0.010]"
    assert number(Interval(float("nan"), float("nan"), float("nan"))) == "–"
    assert [percent(one) for one in (0.9, 0.97, 0.995)] == ["90\u00a0%", "97\u00a0%", "99.5\u00a0%"]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed("abcdefghij", most=3) == "a, b, c and 7 more"
