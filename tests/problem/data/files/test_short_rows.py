"""Rows that end after their last cell that is not empty, and lines that only look like them."""

import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.files.delimited import read_cells
from thalweg.problem.data.files.short_rows import short_rows

WHOLE = [
    f"{name},{i},{i}.5,x{i}"
    for i, name in enumerate(("ann", "bob", "cid", "dan", "eve", "fay", "gil", "hal"))
]


def cells(lines, tmp_path):
    return read_cells("\n".join(["name,n,size,code", *lines]), tmp_path / "t.csv")


def test_a_row_that_can_end_nowhere_else_is_filled_up_and_said(tmp_path):
    read = cells([*WHOLE[:4], "ivy,8", *WHOLE[4:]], tmp_path)
    assert read.frame.height == 10 and read.frame.row(5) == ("ivy", "8", None, None)
    assert [note.text for note in read.notes if "end" in note.text] == [
        "a line ends before the last of 4 cells; what is not there was read as missing (line 6)."
    ]


def test_the_last_row_may_be_short(tmp_path):
    assert cells([*WHOLE, "ivy,8,8.5"], tmp_path).frame.row(-1) == ("ivy", "8", "8.5", None)


def test_a_row_whose_gap_may_be_elsewhere_is_refused(tmp_path):
    numbers = [f"{i},{i + 1},{i + 2}" for i in range(12)]
    for short in ("4,5", "7"):
        with refused("every line must have 3 fields", "in line 8"):
            read_cells("\n".join(["a,b,c", *numbers[:6], short, *numbers[6:]]), tmp_path / "t.csv")
    with refused("every line must have 4 fields"):  # 8.5 is written as a size, but stands in column n
        cells([*WHOLE[:4], "ivy,8.5,x8", *WHOLE[4:]], tmp_path)


def test_several_short_rows_are_a_habit_unless_whole_rows_end_in_nothing():
    numbers = [f"{i},{i + 1},{i + 2}" for i in range(20)]
    lines = [*numbers[:5], "4,5", *numbers[5:9], "6,7", *numbers[9:], "8,9"]
    wrong = [5, 10, len(lines) - 1]
    whole = [i for i in range(len(lines)) if i not in wrong]
    assert short_rows(lines, whole, wrong, ",") == wrong
    assert short_rows(lines, whole, wrong[:2], ",") == []  # two may be damaged
    assert short_rows(["1,2,", *lines], [0, *(i + 1 for i in whole)], [i + 1 for i in wrong], ",") == []


@pytest.mark.parametrize("line", ["ivy,8,8.5,x8,9", "#"])
def test_longer_lines_and_single_cells_are_no_short_rows(line):
    lines = [*WHOLE, line]
    assert short_rows(lines, range(8), [8], ",") == []


def test_a_separator_inside_quotation_marks_does_not_count():
    lines = [*WHOLE, '"ivy, the younger",8']
    assert short_rows(lines, range(8), [8], ",") == [8]
