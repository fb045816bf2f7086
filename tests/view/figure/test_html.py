"""Markup: what comes from data is text."""

import json

from thalweg.view.figure.html import Markup, data_script, element, join

HOSTILE = '</script><script>alert("x")</script>'


def test_text_and_attributes_are_escaped():
    made = element("p", HOSTILE, title='"><img src=x>')
    assert "<script>" not in made
    assert "<img" not in made
    assert made.startswith('<p title="&quot;&gt;&lt;img')


def test_markup_is_kept_and_none_is_nothing():
    assert element("p", element("b", "a & b"), None, ["x", 1]) == "<p><b>a &amp; b</b>x1</p>"
    assert isinstance(join("<"), Markup)


def test_attributes():
    assert element("input", type="radio", checked=True, name="a", for_=None, hidden=False) == (
        '<input type="radio" checked name="a">'
    )
    assert element("i", class_="x", aria_label="y") == '<i class="x" aria-label="y"></i>'


def test_embedded_data_cannot_end_its_script_and_is_valid_json():
    made = data_script({"name": HOSTILE, "y": [1.5, float("nan"), float("inf")]})
    inside = made.removeprefix('<script type="application/json">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"name": HOSTILE, "y": [1.5, None, None]}
