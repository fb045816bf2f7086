"""The server of the live page: who may ask, what it says, what it writes; asked over a real connection."""

import base64
import http.client
import json
import time

import numpy as np
import pytest

from tests.insight import growing
from thalweg.core.errors import BadInput
from thalweg.doors.page import monitor as monitoring
from thalweg.doors.page.monitor import Monitor, Page, Refused, identify
from thalweg.doors.page.serve import LivePage
from thalweg.run.folder import stop_request
from thalweg.run.folder.stop_request import StopRequest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    growing.append(growing.start(folder / "one"), growing.steps(0, 0, [3.0, 2.0]))
    growing.start(folder / "many", lanes=3)
    growing.end(growing.start(folder / "<b>done</b>"))
    return folder


@pytest.fixture
def page(runs):
    with LivePage([runs]) as live:
        yield live


def ask(page, method="GET", path="/", body=None, **headers):
    """Return status, headers and body of one request; of a stream of events only the first."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    streams = "event-stream" in answer.headers.get("content-type", "")
    content = answer.readline() + answer.readline() if streams else answer.read()
    connection.close()
    return answer.status, answer.headers, content.decode()


def token(page):
    return page.address.partition("token=")[2]


def stop(page, wish, **headers):
    headers = {"Authorization": f"Bearer {token(page)}"} | headers
    status, _, text = ask(page, "POST", "/stop", json.dumps(wish), **headers)
    return status, text


def test_the_page_comes_whole_and_may_load_nothing(page):
    status, headers, text = ask(page, path="/?token=" + token(page))
    assert status == 200 and text.startswith("<!doctype html>") and "uPlot" in text
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?token=ü", "/events", "/events?token=x"]
)
def test_nothing_is_shown_without_the_token(page, path):
    status, _, text = ask(page, path=path.replace("ü", "%C3%BC"))
    assert status == 403 and "<" not in text


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "192.168.0.1"])
def test_another_host_name_is_refused(page, host):
    """A site whose name leads to this machine could else read the page in the user's browser."""
    assert ask(page, path="/?token=" + token(page), Host=f"{host}:{page.port}")[0] == 400


def test_nothing_is_written_without_the_token_in_a_header(page, runs):
    wish = {"run": identify(runs / "one"), "lanes": None}
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": token(page)}):
        assert stop(page, wish, **headers)[0] == 403
    assert ask(page, "POST", f"/stop?token={token(page)}", json.dumps(wish))[0] == 403
    assert not (runs / "one" / stop_request.FILE).exists()


def test_a_run_and_lanes_are_asked_to_stop(page, runs):
    assert stop(page, {"run": identify(runs / "one"), "lanes": None})[0] == 200
    assert stop(page, {"run": identify(runs / "many"), "lanes": [2, 0]})[0] == 200
    assert stop_request.read(runs / "one") == StopRequest(True)
    assert stop_request.read(runs / "many") == StopRequest(False, frozenset([0, 2]))


@pytest.mark.parametrize(
    ("name", "lanes"),
    [("<b>done</b>", None), ("one", [0]), ("many", [3]), ("many", [True]), ("many", []), ("many", "all")],
)
def test_what_cannot_be_stopped_is_refused(page, runs, name, lanes):
    status, text = stop(page, {"run": identify(runs / name), "lanes": lanes})
    assert status == 409 and json.loads(text)["reason"]
    assert not (runs / name / stop_request.FILE).exists()


@pytest.mark.parametrize("wish", [None, [], {"run": "../../etc"}, {"run": 3}, "x" * 70_000])
def test_a_request_of_another_form_is_refused(page, wish):
    assert stop(page, wish)[0] == 409


def test_the_first_events_are_the_runs(page, runs):
    status, _, text = ask(page, path=f"/events?token={token(page)}&runs=")
    assert status == 200 and text.startswith("event: runs\ndata: ")
    told = json.loads(text.split("\n")[1].removeprefix("data: "))
    assert {run["name"] for run in told["runs"]} == {"one", "many", "<b>done</b>"}


def test_a_restarted_server_has_the_same_address(runs):
    with LivePage([runs]) as first:
        pass
    with LivePage([runs]) as again, LivePage([runs.parent]) as other:
        assert again.address == first.address
        assert token(other) != token(again) and other.port != again.port
        with LivePage([runs]) as taken:
            assert token(taken) == token(again) and taken.port != again.port
        with pytest.raises(BadInput, match=r"^port: "):
            LivePage([runs], port=again.port)


def test_the_token_is_for_this_user_alone(page, tmp_path):
    files = list((tmp_path / "cache" / "watch").iterdir())
    assert files and {file.parent.stat().st_mode & 0o777 for file in files} == {0o700}


class OpenPage:
    """A page whose every look is due."""

    def __init__(self, runs, chosen):
        self.now = 0.0
        self.page = Page(Monitor([runs], lambda: self.now), chosen)

    def news(self):
        self.now += 100.0
        return dict(self.page.news())


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_a_page_is_told_only_what_is_new(runs):
    key = identify(runs / "one")
    open_page = OpenPage(runs, [key])
    news = open_page.news()
    assert news["curves"]["lanes"] == [""] and news["progress"][key]["step"] == 2
    assert "runs" in news and "load" in news
    growing.append(runs / "one", growing.steps(0, 2, [1.0]))
    news = open_page.news()
    assert "runs" not in news and set(news["curves"]["series"]) == {"loss", "learning_rate"}
    loss = news["curves"]["series"]["loss"]
    assert unpacked(loss["cells"], "<i4").tolist() == [2] and unpacked(loss["values"], "<f4").tolist() == [
        1.0
    ]
    assert unpacked(loss["x"], "<f4")[:3].tolist() == [0, 1, 2]
    assert set(open_page.news()) <= {"load"}


def test_what_differs_is_told_of_the_chosen_runs(runs):
    growing.write(runs / "one", "recipe.toml", "[optimizer]\nname = 'sgd'\nlr = 0.5\n")
    keys = [identify(runs / "one"), identify(runs / "<b>done</b>")]
    table = OpenPage(runs, keys).news()["runs"]["differences"]
    assert table["runs"] == keys and ["optimizer.lr", "0.5", "0.1"] in table["rows"]


def test_a_lane_of_a_running_sweep_says_whether_it_was_stopped(runs):
    folder = runs / "many"
    open_page, shard = OpenPage(runs, [identify(folder)]), folder / "shards" / "000"
    growing.append(shard, growing.steps(0, 0, [1.0] * 3), growing.steps(1, 0, [1.0, np.nan]))
    assert open_page.news()["lanes"]["states"] == ["running"] * 3
    growing.append(shard, growing.steps(0, 3, [1.0]))
    stop_request.ask(folder, [0])
    assert open_page.news()["lanes"]["states"] == ["stopping", "diverged", "running"]


def test_looking_takes_a_small_share_of_the_time(runs, monkeypatch):
    """A look that computes for long comes less often; one that waits for a busy machine does not."""
    now, used, computes = [0.0], [0.0], 0.05
    monitor, looks = Monitor([runs], lambda: now[0], lambda: used[0]), []

    def slow():
        looks.append(now[0])
        now[0] += 0.05
        used[0] += computes
        return []

    monkeypatch.setattr(monitor._list, "look", slow)
    for second in range(20):
        now[0] = max(now[0], float(second))
        monitor.look()
    assert len(looks) == 4 and 0.05 / (looks[2] - looks[1]) <= monitoring.SHARE
    computes = 0.0
    for second in range(30, 40):
        now[0] = float(second)
        monitor.look()
    assert len(looks) == 4 + 10


def test_an_unknown_run_is_refused(runs):
    with pytest.raises(Refused, match="no such run"):
        Monitor([runs]).stop("0" * 16, None)


def test_open_pages_get_the_last_state_before_the_server_ends(runs):
    with LivePage([runs]) as page:
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
        connection.request("GET", f"/events?token={token(page)}&runs={identify(runs / 'one')}")
        answer = connection.getresponse()
        answer.readline()
        growing.end(runs / "one")
        time.sleep(1)
    text = answer.read().decode()
    connection.close()
    assert '"name":"one","state":"finished"' in text and text.endswith("event: end\ndata: {}\n\n")
