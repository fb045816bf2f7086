"""Contests: every contestant is a process; who cannot take part says so and stops nobody."""

import xml.etree.ElementTree as ElementTree

from benchmarks.drawing import Panel, Points, svg
from benchmarks.processes import Contestant, contest, once

PRODUCT = {"library": "numpy", "products": 1}


def test_a_contest_gives_a_block_a_round_and_names_who_cannot_take_part():
    found = contest(
        [
            Contestant("one", "matrix", PRODUCT),
            Contestant("other", "matrix", PRODUCT | {"products": 2}),
            Contestant("absent", "nobody", {}),
        ],
        rounds=2,
    )
    assert [len(found[name]["blocks"]) for name in ("one", "other")] == [2, 2]
    assert found["other"]["blocks"][0]["flops"] == 2 * found["one"]["blocks"][0]["flops"]
    assert found["one"]["ready"]["start_seconds"] >= found["one"]["ready"]["import_seconds"] > 0
    assert "No module named 'benchmarks.contestants.nobody'" in found["absent"]["error"]


def test_a_process_alone_is_timed_from_its_start():
    found = once(Contestant("one", "matrix", PRODUCT))
    assert found["process_seconds"] > found["seconds"] > 0


def test_a_picture_is_sound_and_holds_every_panel():
    points = Points.of({8: [1.0, 2.0, 3.0], 16: [2.0, 2.5, 2.6]})
    root = ElementTree.fromstring(svg([Panel("a < b", "lanes", points)] * 3))
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert texts.count("a < b") == 3 and texts.count("16") == 3
    assert points.middle == [2.0, 2.5] and points.high == [3.0, 2.6]
