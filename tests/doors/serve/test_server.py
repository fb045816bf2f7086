"""`thalweg serve` over real connections: answers, the refusals of `predict`, batches like single requests."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.core.errors import DataWarning
from thalweg.doors.serve.app import Limits
from thalweg.doors.serve.rows import raw_of
from thalweg.doors.serve.server import Server
from thalweg.run.restore import trained_of

DRAW = np.random.default_rng(0)
PEOPLE = pl.DataFrame(
    {
        "age": DRAW.integers(18, 80, 120),
        "town": DRAW.choice(["Bern", "Lyon"], 120),
        "rich": ["yes", "no"] * 60,
    }
)
LIMITS = Limits(body=20_000, rows=50, batch=128, waiting=2000)


@pytest.fixture(scope="module")
def trained() -> tw.Trained:
    """Return a model of a small table."""
    problem = tw.Problem(tw.MLP([None, 8, None]), tw.load(PEOPLE, target="rich"))
    return trained_of(tw.train(problem, tw.Recipe(tw.AdamW(lr=1e-2), batch_size=16, steps=5), progress=False))


@pytest.fixture(scope="module")
def server(trained):
    with Server(trained, port=0, limits=LIMITS) as running:
        yield running


def ask(server, method="POST", path="/predict", body=None, **headers):
    """Return status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, content


def post(server, rows, **headers):
    status, _, text = ask(server, body=json.dumps(rows), content_type="application/json", **headers)
    return status, json.loads(text)


def test_json_rows_are_answered_as_by_predict(server, trained):
    rows = [{"age": 30, "town": "Bern"}, {"age": None, "town": "nowhere"}]
    status, answer = post(server, {"rows": rows})
    assert status == 200 and answer["weights"] == trained.weights
    assert "column 'town': 1 of 2 cells hold a category unknown to training" in answer["notes"][0]
    with pytest.warns(DataWarning):
        expected = trained.predict(pl.DataFrame(rows))
    for i, row in enumerate(answer["predictions"]):
        assert row["prediction"] == expected["prediction"][i]
        assert row["probability_yes"] == pytest.approx(float(expected["probability_yes"][i]), abs=1e-7)
    assert post(server, rows)[1] == answer  # a list of rows is a body, too


def test_whole_numbers_keep_all_their_digits(trained):
    codes = [1234567890123456788, 1234567890123456789]
    assert raw_of([{"code": code} for code in codes], trained)["code"].to_list() == codes
    huge = [10**400, 3]
    assert raw_of([{"age": age} for age in huge], trained)["age"].to_list() == [str(age) for age in huge]


def test_a_number_beyond_all_floats_is_refused_as_predict_refuses_it(server):
    status, answer = post(server, {"rows": [{"age": 10**400, "town": "Bern"}]})
    assert status == 400, answer


def test_csv_in_and_out(server):
    table = "town;age\nBern;30\nLyon;44\n"
    status, headers, text = ask(server, body=table, content_type="text/csv", accept="text/csv")
    assert status == 200 and headers["content-type"].startswith("text/csv")
    rows = [{"age": 30, "town": "Bern"}, {"age": 44, "town": "Lyon"}]
    as_json = [row["prediction"] for row in post(server, rows)[1]["predictions"]]
    assert pl.read_csv(text.encode())["prediction"].to_list() == as_json


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "request: the body must be JSON"),
        ("[]", 400, "request: the body must be a list of rows, at least one"),
        ('[{"age": 1}]', 400, "table: must have the columns of the training table; got no column town"),
        (
            '[{"age": "old", "town": "Bern"}]',
            400,
            "table: column 'age' must hold numbers, as in training; got old",
        ),
        (
            '[{"age": [1], "town": "Bern"}]',
            400,
            "request: column 'age' must hold single values; got list (row 1)",
        ),
        ("[3]", 400, "request: every row must be an object of cells by column; got int (row 1)"),
        ("[" + ", ".join(["{}"] * 51) + "]", 413, "request: a request may have at most 50 rows; got 51"),
        ("[" * 21_000, 413, "request: the body may have at most 20000 bytes"),
        ("[" * 19_000, 400, "request: the body must be JSON"),
    ],
)
def test_bad_rows_are_refused_with_words(server, body, status, words):
    found, _, text = ask(server, body=body, content_type="application/json")
    answer = json.loads(text)
    assert found == status and answer["error"].startswith(words), answer
    assert answer["hint"] and "Traceback" not in text


def test_a_request_must_say_what_it_is_and_name_this_machine(server):
    assert ask(server, body="[]", content_type="text/plain")[0] == 415
    assert ask(server, "GET", "/health", host="evil.example")[0] == 400
    assert ask(server, "GET", "/predict")[0] == 405


def test_the_schema_holds_a_request_that_is_answered(server):
    status, _, text = ask(server, "GET", "/schema")
    schema = json.loads(text)
    assert status == 200 and [each["name"] for each in schema["columns"]] == ["age", "town"]
    assert post(server, schema["example"])[0] == 200
    assert json.loads(ask(server, "GET", "/health")[2])["status"] == "ok"
    page = ask(server, "GET", "/")
    assert "Predict" in page[2] and "nonce" in page[1]["content-security-policy"]


def test_cells_that_were_read_as_missing_are_noted(server):
    rows = [{"age": age, "town": "Bern"} for age in (*map(str, range(20, 68)), "sixty")]
    status, answer = post(server, rows)
    assert status == 200 and "'sixty', in row 49" in answer["notes"][0]


def test_requests_at_once_are_computed_together_and_answered_as_alone(server):
    tables = [
        [{"age": int(age), "town": str(town)} for age, town in zip(ages, towns, strict=True)]
        for ages, towns in (
            (DRAW.integers(18, 80, n), DRAW.choice(["Bern", "Lyon", "?"], n)) for n in (1, 3, 7) * 8
        )
    ]
    bad = [{"age": "x", "town": "Bern"}]
    alone = [post(server, rows) for rows in tables]
    before = json.loads(ask(server, "GET", "/health")[2])
    start = threading.Barrier(len(tables) + 1)

    def at_once(rows):
        start.wait()
        return post(server, rows)

    with ThreadPoolExecutor(len(tables) + 1) as pool:
        together = list(pool.map(at_once, [*tables, bad]))
    after = json.loads(ask(server, "GET", "/health")[2])
    assert together[:-1] == alone  # to the last digit, beside a bad request
    assert together[-1][0] == 400
    assert after["requests"] - before["requests"] == len(tables) + 1
    assert after["calls"] - before["calls"] < len(tables)


def test_a_model_that_predicts_no_row_is_not_served():
    problem = tw.Problem(
        tw.MLP([2, 4, 1]), tw.examples({"x": np.zeros((40, 2), np.float32)}), objective=_objective
    )
    run = tw.train(problem, tw.Recipe(batch_size=8, steps=1), progress=False)
    with pytest.raises(tw.DataError, match="objective"):
        Server(trained_of(run), port=0)


def _objective(model, batch, key):
    return (model(batch["x"][0]) ** 2).sum()
