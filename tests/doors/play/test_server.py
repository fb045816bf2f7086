"""The playground's server: who may ask, what frames hold, what is done, what is refused in a sentence."""

import http.client
import json
import threading
import time

import numpy as np
import pytest

from tests.doors.process import called
from thalweg.core.errors import BadInput
from thalweg.doors.page.local import Refused
from thalweg.doors.play.frames import Arrays, packed, unpacked
from thalweg.doors.play.player import Player, Seen
from thalweg.doors.play.serve import PlayPage
from thalweg.insight.play.session import Playground
from thalweg.insight.play.settings import Settings
from thalweg.insight.play.sources import named_source

SMALL = Settings(hidden=(4,), steps=40)


@pytest.fixture(scope="module")
def page():
    with PlayPage(lambda: Playground(named_source("moons"), SMALL)) as served:
        yield served


def ask(page, method="GET", path="/", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=120)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def bearer(page):
    return {"Authorization": f"Bearer {page.address.partition('token=')[2]}"}


def do(page, wish):
    status, _, content = ask(page, "POST", "/do", json.dumps(wish), **bearer(page))
    return status, json.loads(content)


def frame(page, **seen):
    query = "&".join(f"{name}={value}" for name, value in seen.items())
    status, _, content = ask(page, path=f"/frame?{query}", **bearer(page))
    assert status == 200
    return unpacked(content)


def test_the_page_comes_whole_and_may_load_nothing(page):
    status, headers, text = ask(page, path=page.address.partition(str(page.port))[2])
    policy = headers["content-security-policy"]
    assert status == 200 and b"const OFFERED = {" in text
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert b"http://" not in text.replace(b"http://www.w3.org", b"") and b"https://" not in text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/?token=x"), ("GET", "/frame?frame=-1"), ("POST", "/do")]
)
def test_nothing_is_shown_or_done_without_the_token(page, method, path):
    before = page.player.playground.step
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert ask(page, method, path, json.dumps({"step": True}), **headers)[0] == 403
    token = page.address.partition("?")[2]
    assert ask(page, "POST", f"/do?{token}", json.dumps({"step": True}))[0] == 403
    assert page.player.playground.step == before


def test_another_host_name_is_refused(page):
    path = page.address.partition(str(page.port))[2]
    assert ask(page, path=path, Host=f"example.org:{page.port}")[0] == 400


def test_a_frame_holds_the_picture_and_a_step_changes_it(page):
    do(page, {"reset": True})
    header, arrays = frame(page)
    assert header["step"] == 0 and header["drawn"]["kind"] == "classes" and "controls" in header
    assert arrays["0/winner"].shape == (2500,) and set(np.unique(arrays["0/winner"])) <= {0, 1}
    assert arrays["points/at"].shape == (800, 2) and arrays["weights/layer 1"].shape == (4, 2)
    assert do(page, {"step": True})[0] == 200
    seen = {name: header[name] for name in ("frame", "settings", "scene")}
    after, moved = frame(page, **seen)
    assert after["step"] == 1 and "drawn" not in after and "controls" not in after
    assert not after["whole"] and after["lanes"][0]["steps"] == [1]
    assert (moved["0/certainty"] != arrays["0/certainty"]).any()
    assert frame(page)[0]["lanes"][0]["steps"] == [0, 1]


def test_it_plays_while_frames_are_asked_for_and_no_further(page):
    do(page, {"reset": True})
    do(page, {"speed": 1})
    header, _ = frame(page)
    assert do(page, {"play": True})[0] == 200
    for _ in range(5):
        header, _ = frame(page, frame=header["frame"])
    assert header["step"] >= 3
    # Nobody asks: at most the next frame is made, and then it waits.
    deadline = time.monotonic() + 30
    while page.player.playground.step == header["step"] and time.monotonic() < deadline:
        time.sleep(0.05)
    at_rest = page.player.playground.step
    time.sleep(0.3)
    assert page.player.playground.step == at_rest <= header["step"] + 1
    assert do(page, {"play": False})[0] == 200
    assert not frame(page)[0]["playing"]


def test_settings_change_and_variants_are_pinned(page):
    do(page, {"reset": True})
    assert do(page, {"change": {"lr": 0.02}}) == (200, {"asked": True, "restarted": False})
    assert do(page, {"pin": True})[0] == 200
    do(page, {"change": {"lr": 0.5}})
    header, arrays = frame(page)
    number = header["lanes"][1]["number"]
    assert header["controls"]["labels"] == {"0": "lr 0.5", str(number): "lr 0.02"}
    assert f"{number}/winner" in arrays and "optimizer.lr=0.5" in header["controls"]["command"]
    assert do(page, {"unpin": number})[0] == 200
    assert len(frame(page)[0]["lanes"]) == 1


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"change": {"lr": -1}}, "lr must be a number from 0 to 10, got -1"),
        ({"change": {"lr": None, "no": 1}}, "lr must be"),
        ({"change": {"<b>": 1}}, "no such setting"),
        ({"change": {}}, "must hold settings"),
        ({"change": []}, "must hold settings"),
        ({"play": 1}, "true or false"),
        ({"source": "digits"}, "no such data set"),
        ({"source": "/etc/passwd"}, "no such data set"),
        ({"source": ["moons"]}, "no such data set"),
        ({"source": "table"}, "no table was named"),
        ({"points": [[0, 0, 0]] * 2}, "at least 4 points"),
        ({"unpin": "x"}, "no such variant"),
        ({"speed": 1000}, "speed must be one of"),
        ({"speed": []}, "speed must be one of"),
        ({"step": 1}, "step must be true"),
        ({"read": "/etc/passwd"}, "must be one of"),
        ({"step": True, "reset": True}, "must be one of"),
        ({}, "must be one of"),
        ([], "must be an object"),
        ({"points": "x" * 70_000}, "too long"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(page, wish, words):
    status, answer = do(page, wish)
    assert status == 409 and words in answer["reason"]


def test_what_is_no_json_or_no_number_of_a_frame_is_refused(page):
    assert ask(page, "POST", "/do", "{", **bearer(page))[0] == 400
    assert ask(page, "POST", "/do", "[" * 50_000, **bearer(page))[0] == 400
    assert ask(page, path="/frame?frame=x", **bearer(page))[0] == 400


def test_points_and_surfaces_are_shown(page):
    points = [[0.1 * i, 0.2 * c, c] for c in (0, 1) for i in range(6)]
    assert do(page, {"points": points})[0] == 200
    header, arrays = frame(page)
    assert header["drawn"]["source"] == "drawn" and header["controls"]["save_first"]
    assert len(arrays["points/at"]) == 12
    assert do(page, {"source": "bowl"})[0] == 200
    header, arrays = frame(page)
    assert header["drawn"]["formula"] == "w0^2 + 4 w1^2" and arrays["heights"].ndim == 2
    assert header["lanes"][0]["path"] == [[3.0, 2.0]] and header["speed"] == 1
    assert do(page, {"source": "moons"})[0] == 200
    assert do(page, {"change": {"hidden": [4], "steps": 40}})[0] == 200


def test_a_taken_port_is_refused(page):
    with pytest.raises(BadInput, match=r"^port: "):
        PlayPage(lambda: page.player.playground, port=page.port)


def test_arrays_come_back_from_a_frame():
    arrays = Arrays()
    arrays.add("a", np.arange(3, dtype=np.uint8))
    arrays.add("b", np.full((2, 2), 0.5, np.float32))
    header, found = unpacked(packed({"arrays": arrays.places, "ü": 1}, arrays.content))
    assert header["ü"] == 1 and found["a"].tolist() == [0, 1, 2] and found["b"].tolist() == [[0.5] * 2] * 2


class Broken:
    """A playground whose training fails."""

    finished = False
    step, length = 0, 10

    def __init__(self, page):
        real = page.player.playground
        self.source, self.views, self.scene, self.problem = real.source, real.views, real.scene, real.problem
        self.settings, self.variants, self.layers = real.settings, real.variants, real.layers
        self.epoch_steps, self.weights = 1, real.weights

    def advance(self, steps):
        raise BadInput("play", "cannot go on", hint="never")


def test_a_failure_of_the_training_is_shown_and_ends_it(page):
    player = Player(Broken(page), sleep=lambda seconds: None)
    player.start()
    first, _ = unpacked(player.next_frame(Seen(), 10))
    player.do({"play": True})
    playing, _ = unpacked(player.next_frame(Seen(first["frame"]), 60))
    assert playing["playing"] and playing["failure"] is None
    header, _ = unpacked(player.next_frame(Seen(playing["frame"]), 60))
    assert "cannot go on" in header["failure"] and not header["playing"]
    with pytest.raises(Refused):
        player.do({"nothing": 1})
    player.end()
    assert player.next_frame(Seen(header["frame"]), 60) is None


def test_a_page_that_waits_is_answered_when_the_server_ends():
    answers = []
    with PlayPage(lambda: Playground(named_source("moons"), SMALL)) as served:
        header, _ = frame(served)
        path = f"/frame?frame={header['frame']}"
        asking = threading.Thread(target=lambda: answers.append(ask(served, path=path, **bearer(served))[0]))
        asking.start()
        time.sleep(0.3)
    asking.join(30)
    assert answers == [410]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.csv"], "must be a named set, or a file"),
        (["bowll"], "did you mean 'bowl'"),
        (["moons", "--port", "99999999"], "must be a free port"),
        (["bowl", "--target", "x"], "a surface takes no options"),
        (["one.csv"], "needs a target"),
    ],
)
def test_the_command_refuses_what_cannot_be_played(tmp_path, arguments, words):
    (tmp_path / "one.csv").write_text("a\n" + "\n".join(map(str, range(40))))
    process = called("play", *arguments, at=tmp_path)
    assert process.returncode == 2 and words in process.stderr and "Traceback" not in process.stderr
