import gzip

import polars as pl
import pytest

import thalweg as tw
from tests.problem.data.given import refused
from thalweg.problem.data.files.tables import TableFormat
from thalweg.problem.data.files.tables import read_table as read


def read_table(path, **form):
    return read(path, TableFormat(**form)).frame


def written(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("a,b\n1,x\n2,y\n", "t.csv"),
        ("a;b\n1;x\n2;y\n", "t.csv"),
        ("a\tb\n1\tx\n2\ty\n", "t.tsv"),
        ("a|b\n1|x\n2|y", "t.csv"),
        ("\ufeffa,b\r\n1,x\r\n2,y\r\n", "t.csv"),
        ("a,b\r1,x\r2,y\r", "t.csv"),
        ("a,b\n\n1,x\n\n2,y\n\n", "t.csv"),
        ('"a","b"\n"1","x"\n2,"y"\n', "t.csv"),
        (gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0), "t.csv.gz"),
    ],
)
def test_the_forms_of_csv_read_the_same(tmp_path, content, name):
    assert read_table(written(tmp_path, content, name)).to_dict(as_series=False) == {
        "a": ["1", "2"],
        "b": ["x", "y"],
    }


def test_quoted_cells_may_hold_separators_and_line_ends(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n"1,5","x\ny"\n2,"say ""hi"""\n'))
    assert table["b"].to_list() == ["x\ny", 'say "hi"'] and table["a"][0] == "1,5"


def test_a_file_without_names_numbers_its_columns_as_target_counts(tmp_path):
    table = read_table(written(tmp_path, "5,x\n6,y\n"), header=False)
    assert table.columns == ["column_0", "column_1"] and table.height == 2


def test_western_european_files_are_read(tmp_path):
    assert read_table(written(tmp_path, "a,b\ncaf\xe9,1\n".encode("cp1252")))["a"].to_list() == ["caf\xe9"]


def test_a_blank_line_in_a_single_column_is_a_missing_value(tmp_path):
    assert read_table(written(tmp_path, "a\n1\n\n2\n"))["a"].to_list() == ["1", None, "2"]


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(path)
    assert read_table(path).dtypes == [pl.Int64, pl.String]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "t.csv", ("an empty file",)),
        ("\n\n", "t.csv", ("an empty file",)),
        ("\ufeff", "t.csv", ("an empty file",)),
        ("\ufeff\n\n", "t.csv", ("an empty file",)),
        ("a,b\n", "t.csv", ("at least one row", "0 rows, 2 columns")),
        ("a,b\n1,2\n3\n", "t.csv", ("must have 2 fields", "1 in line 3")),
        ("a,b\n1,2\n3,4,5\n6,7,8\n", "t.csv", ("must have 2 fields", "3 in line 3", "2 such lines")),
        ('a,b\n1,"2\n', "t.csv", ("quotation mark must be closed",)),
        ("1,2\n3,4\n", "t.csv", ("first line must hold the names", "header=False")),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "t.csv.gz", ("must be a whole gzip file",)),
        ("a,b\n1,2\n", "t.csv.gz", ("must be a whole gzip file",)),
        ("a,b\n1,2\n", "t.parquet", ("must be readable",)),
    ],
)
def test_broken_files_are_refused(tmp_path, content, name, words):
    with refused(*words, str(tmp_path)):
        read_table(written(tmp_path, content, name))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with refused("must be readable", who="file"):
        read_table(tmp_path / "t.csv")


def test_a_comment_with_as_many_commas_as_row_names_is_no_header(tmp_path):
    """`# station 12, room 3` above names: R's row names have one field fewer, too."""
    rows = "".join(f"{i}.5,{i},{i % 2}\n" for i in range(30))
    path = tmp_path / "t.csv"
    path.write_text("# station 12, room 3\nlength,width,target\n" + rows)
    assert [column.name for column in tw.understand(str(path)).columns] == ["length", "width", "target"]
    path.write_text("# a, b\n" + rows)  # names in a comment, above values
    assert [column.name for column in tw.understand(str(path)).columns] == ["index", "a", "b"]


def test_a_column_called_index_keeps_its_name_beside_one_without_a_name(tmp_path):
    path = tmp_path / "printed.csv"
    path.write_text(",index,a\n" + "".join(f"{i},ID{i:03d},{i * 1.5}\n" for i in range(8)))
    assert [column.name for column in tw.understand(str(path)).columns] == ["row", "index", "a"]
