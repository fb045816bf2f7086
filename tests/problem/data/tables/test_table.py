import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.problem.data.given import csv, refused
from thalweg.problem.data.load import load

COUNT = 200
RANDOM = np.random.default_rng(0)


def columns(**more):
    table = {
        "size": RANDOM.permutation(np.linspace(-2, 2, COUNT).round(4)).tolist(),
        "kind": [("red", "green", "blue")[i % 3] for i in range(COUNT)],
        "y": [i // 2 % 2 for i in range(COUNT)],
    }
    return table | more


def kinds(data):
    return {note.kind for note in data.notes}


def note(data, kind):
    return next(note for note in data.notes if note.kind == kind)


def test_a_csv_file_becomes_standardised_inputs(tmp_path):
    data = load(csv(tmp_path / "things.csv", columns()), target="y")
    assert (data.name, data.task, data.outputs) == ("things", "classification", 2)
    assert data.preparation.columns.features[0] == "size"
    assert set(data.preparation.columns.features[1:]) == {"kind=red", "kind=green", "kind=blue"}
    assert data.train.inputs.dtype == np.float32 and data.input_shape == (4,)
    assert abs(data.train.inputs[:, 0].mean()) < 1e-6
    assert data.notes == ()


def test_file_polars_and_pandas_give_the_same_data(tmp_path):
    table = columns()
    from_file = load(csv(tmp_path / "t.csv", table), target="y")
    from_polars = load(pl.DataFrame(table), target="y")
    from_pandas = load(pd.DataFrame(table), target="y")
    from_lazy = load(pl.LazyFrame(table), target="y")
    from_pair = load((pd.DataFrame(table).drop(columns="y"), pd.Series(table["y"], name="y")))
    prints = {d.fingerprint for d in (from_file, from_polars, from_pandas, from_lazy, from_pair)}
    assert len(prints) == 1 and from_pair.preparation.target == "y"


def test_statistics_come_from_the_train_split_only():
    table = columns()
    table["size"] = [*table["size"][:144], *[1e6] * 56]
    rule = load(pl.DataFrame(table), target="y", split="time").preparation.columns.rules[0]
    assert abs(rule.mean) < 1 and rule.scale < 2


def test_the_target_may_be_an_index(tmp_path):
    path = csv(tmp_path / "t.csv", columns())
    for target in (2, "2", -1):
        assert load(path, target=target).preparation.target == "y"


def test_a_file_without_names(tmp_path):
    path = csv(tmp_path / "t.csv", columns())
    path.write_text("\n".join(path.read_text().split("\n")[1:]))
    data = load(path, target=2, header=False)
    assert data.preparation.target == "column_2" and data.preparation.columns.features[0] == "column_0"


def test_numbers_are_regression_and_labels_classification():
    assert load(pl.DataFrame(columns()), target="size").task == "regression"
    assert load(pl.DataFrame(columns()), target="kind").preparation.classes == ("blue", "green", "red")
    assert load(pl.DataFrame(columns()), target="y", task="regression").outputs == 1


def test_identifiers_and_constants_are_left_out_and_noted():
    table = columns(
        number=list(range(1, COUNT + 1)),
        code=[f"x{i}" for i in range(COUNT)],
        customer_id=[i * 7919 % 100_003 for i in range(COUNT)],
        same=["a"] * COUNT,
        empty=[None] * COUNT,
    )
    data = load(pl.DataFrame(table), target="y")
    gone = {name: n.kind for n in data.notes for name in n.columns}
    assert gone == {
        "number": "id",
        "code": "id",
        "customer_id": "id",
        "same": "constant",
        "empty": "constant",
    }
    assert {rule.column for rule in data.preparation.columns.rules} == {"size", "kind"}


def test_a_column_may_be_kept_or_dropped():
    table = columns(number=list(range(1, COUNT + 1)))
    kept = load(pl.DataFrame(table), target="y", keep="number", drop=("kind",))
    assert kept.preparation.columns.features == ("number", "size")[::-1]


def test_the_only_column_is_kept_even_if_it_numbers_the_rows():
    data = load(pl.DataFrame({"x": range(100), "y": [i * 0.5 for i in range(100)]}), target="y")
    assert data.preparation.columns.features == ("x",)


def test_missing_values_get_an_input_and_a_note():
    table = columns()
    table["size"][:50] = [None] * 50
    table["kind"][10:20] = [" "] * 10
    data = load(pl.DataFrame(table), target="y")
    assert set(data.preparation.columns.features) >= {"size missing", "kind=missing"}
    assert "size 25.0%, kind 5.0%" in note(data, "missing").text


def test_rows_without_a_target_are_left_out():
    table = columns()
    table["y"] = [None, *table["y"][1:]]
    data = load(pl.DataFrame(table), target="y")
    assert "1 of 200 rows have no y" in note(data, "missing").text
    assert sum(split.count() for split in data.splits.values()) == COUNT - 1


def test_a_mark_among_numbers_is_noted():
    table = columns()
    table["size"] = ["?" if i < 5 else x for i, x in enumerate(map(str, table["size"]))]
    assert (
        "'?' among numbers or dates was read as missing: size 5"
        in note(load(pl.DataFrame(table), target="y"), "missing").text
    )
    cured = load(pl.DataFrame(table), target="y", missing="?")
    assert "size missing" in cured.preparation.columns.features


def test_a_leaking_column_is_noted_and_kept():
    table = columns()
    table["answer"] = [f"is {y}" for y in table["y"]]
    data = load(pl.DataFrame(table), target="y")
    assert note(data, "leak").columns == ("answer",) and "answer=is 0" in data.preparation.columns.features
    table = columns(twin=None)
    table["twin"] = [x * 1.8 + 32 for x in table["size"]]
    assert note(load(pl.DataFrame(table), target="size"), "leak").columns == ("twin",)


def test_copies_of_a_row_stay_in_one_split():
    table = {name: values + values[:60] for name, values in columns().items()}
    for seed in range(3):
        data = load(pl.DataFrame(table), target="y", split_seed=seed)
        members = [{row.tobytes() for row in split.inputs} for split in data.splits.values()]
        assert not (members[0] & members[1] or members[0] & members[2] or members[1] & members[2])
        assert "60 of 260 rows repeat" in note(data, "duplicates").text


def test_groups_are_kept_together_and_are_no_input():
    table = columns(person=[f"p{i // 8}" for i in range(COUNT)])
    table["size"] = [i // 8 + 0.01 * (i % 8) for i in range(COUNT)]
    data = load(pl.DataFrame(table), target="y", split="group=person")
    sizes = data.preparation.columns.rules[0]
    members = [
        set(np.round(p.inputs[:, 0] * sizes.scale + sizes.mean - 0.035).astype(int))
        for p in data.splits.values()
    ]
    assert not (members[0] & members[1] or members[0] & members[2] or members[1] & members[2])
    assert "25 groups of person" in note(data, "group").text
    assert all(rule.column != "person" for rule in data.preparation.columns.rules)


def test_a_test_file_is_read_the_same_way(tmp_path):
    train, test = columns(), columns()
    test["kind"][0] = "violet"
    path = csv(tmp_path / "test.csv", test)
    data = load(csv(tmp_path / "t.csv", train), target="y", test=path)
    assert data.test.count() == COUNT and data.train.count() + data.validation.count() == COUNT
    assert data.test.inputs[0, 1:].tolist() == [0, 0, 0]
    framed = load(pl.DataFrame(train), target="y", test=pl.DataFrame(test))
    assert np.array_equal(framed.test.inputs, data.test.inputs)


def test_labels_with_a_full_stop_in_the_test_split_are_reconciled():
    train, test = columns(), columns()
    train["y"] = [("<=50K", ">50K")[y] for y in train["y"]]
    test["y"] = [("<=50K.", ">50K.")[y] for y in test["y"]]
    data = load(pl.DataFrame(train), target="y", test=pl.DataFrame(test))
    assert data.test.targets.tolist() == [i // 2 % 2 for i in range(COUNT)]
    assert "'<=50K.'" in note(data, "labels").text


def test_test_rows_seen_in_training_are_noted():
    table = columns()
    data = load(pl.DataFrame(table), target="y", test=pl.DataFrame(table)[:20])
    assert "20 of 20 test rows also occur in training" in note(data, "duplicates").text


TOO_FEW = {"a": [1.5, 2.5], "y": [0.1, 0.2]}


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        (columns(), {}, ("needs a target, the column to predict", "target='y', the last column")),
        (columns(), {"target": "Y2"}, ("must be a column", "did you mean 'y'?")),
        (columns(), {"target": 7}, ("must lie in 0..2", "got 7")),
        (columns(), {"target": "y", "drop": ("sizes",)}, ("drop:", "did you mean 'size'?")),
        (columns(), {"target": "y", "split": "group=knd"}, ("group:", "did you mean 'kind'?")),
        (columns(y=["a"] * COUNT), {"target": "y"}, ("at least two classes", "'a' in every row")),
        (columns(y=[5.5] * COUNT), {"target": "y"}, ("must vary", "5.5 in every row")),
        (columns(y=["b", *["a"] * (COUNT - 1)]), {"target": "y"}, ("at least 2 rows", "1 row of 'b'")),
        (columns(y=[""] * COUNT), {"target": "y"}, ("must have values", "an empty column")),
        (columns(y=["2020-01-01"] * COUNT), {"target": "y"}, ("must be numbers or classes", "dates")),
        (columns(y=["a", "b"] * 100), {"target": "y", "task": "regression"}, ("must be numbers",)),
        (columns(), {"target": "size", "task": "classification"}, ("must be whole numbers or text",)),
        ({"a": ["x"] * 40, "y": [0, 1] * 20}, {"target": "y"}, ("at least one column to learn from",)),
        ({"y": [0, 1] * 20}, {"target": "y"}, ("at least one column to learn from",)),
        ({"a": [], "y": []}, {"target": "y"}, ("must hold rows", "0 rows")),
        (TOO_FEW, {"target": "y"}, ("must have at least 1 row", "2 rows")),
        (columns(), {"target": "y", "test": "nowhere.csv"}, ("a file that exists", "nowhere.csv")),
        (columns(), {"target": "y", "test": 5j}, ("a share, a path or a frame", "complex")),
    ],
)
def test_bad_tables_are_refused(table, settings, words):
    with refused(*words):
        load(pl.DataFrame(table), **settings)


def test_bad_test_tables_are_refused():
    frame = pl.DataFrame(columns())
    for test, words in [
        (frame.rename({"kind": "kinds"}), ("no column kind (is it 'kinds'?)",)),
        (frame.drop("size"), ("no column size", "add the columns")),
        (frame.drop("y"), ("must be a column of the table",)),
        (frame.with_columns(pl.lit(7).alias("y")), ("must occur in the train split", "[7]")),
        (frame.with_columns(pl.lit("?").alias("size")), ("must hold numbers", "missing='?'")),
    ]:
        with refused(*words):
            load(frame, target="y", test=test)


def test_a_pandas_column_of_mixed_objects_is_refused():
    with refused("values of one type"):
        load(pd.DataFrame({"a": [1, "x", {}] * 20, "y": [0, 1, 0] * 20}), target="y")


def test_columns_inside_a_column_are_columns_and_lists_are_left_out():
    frame = pl.DataFrame(columns()).with_columns(
        pl.Series("pair", [[i % 7, i % 3] for i in range(COUNT)]),
        pl.Series("point", [{"x": i % 5, "y": float(i % 11)} for i in range(COUNT)]),
        pl.Series("list", [[1] * (1 + i % 2) for i in range(COUNT)]),
    )
    data = load(frame, target="y")
    assert {"pair_0", "pair_1", "point.x", "point.y"} <= {
        rule.column for rule in data.preparation.columns.rules
    }
    assert {name for n in data.notes if n.kind == "nested" for name in n.columns} == {"pair", "point", "list"}
    assert np.array_equal(data.preparation.columns.inputs(frame[:5]).shape[1], data.train.inputs.shape[1])


def test_new_rows_in_another_unit_are_refused_and_wild_ones_are_not():
    data = load(pl.DataFrame(columns()), target="y")
    frame = pl.DataFrame(columns()).head(40)
    with refused("table"):
        data.preparation.columns.inputs(frame.with_columns(pl.col("size") * 1000 + 5000))
    wild = frame.with_columns(pl.when(pl.int_range(40) < 3).then(1e6).otherwise(pl.col("size")).alias("size"))
    assert data.preparation.columns.inputs(wild).shape[0] == 40
