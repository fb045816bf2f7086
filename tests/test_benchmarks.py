"""The benchmarks: contests of processes, and the table of goals computed from saved results."""

import xml.etree.ElementTree as ElementTree

import pytest
from benchmarks import __main__ as command_line
from benchmarks import goals, memory, scaling
from benchmarks.drawing import Panel, Points, svg
from benchmarks.goals import Goal
from benchmarks.processes import Contestant, contest, once

PRODUCT = {"library": "numpy", "products": 1}


def blocks(*seconds: float) -> dict:
    return {"blocks": [{"seconds": time, "examples": 100, "lane_steps": 100} for time in seconds]}


def lines(results: dict) -> dict[str, str]:
    """Return the table's lines by workload and baseline."""
    by_goal = {}
    for line in goals.table(results).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5:
            by_goal[f"{cells[0]}: {cells[1]}"] = line
    return by_goal


def test_a_ratio_is_taken_within_a_round_and_against_the_faster_variant():
    row = {
        "thalweg": blocks(1.0, 2.0, 1.0),
        "gather": blocks(2.0, 4.0, 2.0),
        "slices": blocks(1.5, 2.4, 8.0),  # faster in two rounds
        "torch": blocks(12.0, 24.0, 12.0),
    }
    table = lines({"document": {"rows": {"1": row}}})
    assert "1.50x" not in table[f"784-512-10, batch 1: {goals.EAGER}"]
    assert "| 12.00 (12.00-12.00)x | reached |" in table[f"784-512-10, batch 1: {goals.EAGER}"]
    assert "| 1.50 (1.20-2.00)x | reached |" in table[f"784-512-10, batch 1: {goals.SCAN}"]
    assert "not measured" in table[f"784-512-10, batch 32: {goals.SCAN}"]


def test_a_goal_not_reached_is_shown_with_what_was_tried(monkeypatch):
    row = {"thalweg": blocks(1.0), "gather": blocks(0.9), "slices": blocks(2.0), "torch": blocks(9.0)}
    key = f"784-512-10, batch 1: {goals.EAGER}"
    monkeypatch.setattr(goals, "TRIED", {key: "a rank-one update by hand: 5 %"})
    results = {"document": {"rows": {"1": row}}}
    assert "**not reached**" in lines(results)[key]
    assert f"- {key}: a rank-one update by hand: 5 %" in goals.table(results)
    assert f"- 784-512-10, batch 1: {goals.SCAN}: nothing was tried yet" in goals.table(results)


def test_a_peer_that_cannot_run_is_shown_as_not_measured():
    row = {"Thalweg": blocks(1.0), "scikit-learn": {"error": "not installed"}, "Keras on JAX": blocks(2.0)}
    table = lines({"frameworks": {"rows": {"small": row}}})
    assert "not measured" in table[f"{goals.SMALL}: scikit-learn"]
    assert "reached" in table[f"{goals.SMALL}: Keras on JAX"]


def test_upper_bounds_are_upper_bounds():
    goal = Goal("a", "b", 5.0, "x", lambda result: [4.0, 5.0, 9.0], at_least=False, unit="%")
    assert goal.bound_text() == "<= 5 %"
    assert goal.reached([4.0, 5.0, 9.0]) and not goal.reached([4.0, 5.1, 9.0])


def test_memory_slope_and_growth_are_computed_from_their_rows():
    peaks = {"8": 100.0, "16": 180.0, "32": 340.0}
    slope, off = scaling.memory_slope(
        {"memory": {count: {"blocks": [{"peak_bytes": peak}]} for count, peak in peaks.items()}}
    )
    assert slope == pytest.approx(10.0) and off == pytest.approx(0.0, abs=1e-9)
    rows = {"8": {"temporaries": 50, "outputs": 10}, "108": {"temporaries": 614, "outputs": 210}}
    assert memory.growth({"rows": rows}) == pytest.approx(3.0)  # less 64 bytes of alignment
    rows["108"] = {"temporaries": 314, "outputs": 210}
    assert memory.growth({"rows": rows}) == 0.0


def test_the_goals_are_written_between_the_marks_of_the_readme(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{command_line.BEGIN}\nold\n{command_line.END}\nafter\n")
    monkeypatch.setattr(command_line, "README", readme)
    command_line._write_readme("new")
    assert readme.read_text() == f"before\n{command_line.BEGIN}\nnew\n{command_line.END}\nafter\n"
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="has no"):
        command_line._write_readme("new")
    assert readme.read_text() == "no marks"


def test_a_contest_returns_one_block_per_round_and_names_contestants_that_cannot_run():
    results = contest(
        [
            Contestant("one", "matrix", PRODUCT),
            Contestant("other", "matrix", PRODUCT | {"products": 2}),
            Contestant("absent", "nobody", {}),
        ],
        rounds=2,
    )
    assert [len(results[name]["blocks"]) for name in ("one", "other")] == [2, 2]
    assert results["other"]["blocks"][0]["flops"] == 2 * results["one"]["blocks"][0]["flops"]
    assert results["one"]["ready"]["start_seconds"] >= results["one"]["ready"]["import_seconds"] > 0
    assert "No module named 'benchmarks.contestants.nobody'" in results["absent"]["error"]


def test_a_single_process_is_timed_from_its_start():
    result = once(Contestant("one", "matrix", PRODUCT))
    assert result["process_seconds"] > result["seconds"] > 0


def test_a_plot_is_valid_xml_with_every_panel():
    points = Points.of({8: [1.0, 2.0, 3.0], 16: [2.0, 2.5, 2.6]})
    root = ElementTree.fromstring(svg([Panel("a < b", "lanes", points)] * 3))
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert texts.count("a < b") == 3 and texts.count("16") == 3
    assert points.middle == [2.0, 2.5] and points.high == [3.0, 2.6]
