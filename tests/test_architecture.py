"""The house holds: imports run downward, files and functions stay small, names say what lives there."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "thalweg"
FLOORS = {
    "core": 0,
    "problem": 1,
    "recipe": 1,
    "engine": 2,
    "run": 3,
    "insight": 4,
    "view": 5,
    "lab": 5,
    "doors": 6,
}
# Inside a floor folders do not see each other, unless the plan says so: experiments draw.
ALLOWED_SIDEWAYS = {("lab", "view")}
# The door loads a command's modules when the command is called, and the root loads names on first use.
LAZY = {SOURCE / "doors" / "cli" / "app.py"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules(root: Path = SOURCE) -> list[Path]:
    return sorted(root.rglob("*.py"))


def imported(tree: ast.AST) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            found += [(node.module or "", node.lineno)]
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def violations(path: Path, text: str, root: Path = SOURCE) -> list[str]:
    """Return every import of `path` that does not run down."""
    own = path.relative_to(root).parts[0]
    if own not in FLOORS:
        return []
    wrong = []
    for name, line in imported(ast.parse(text)):
        parts = name.split(".")
        if parts[0] != "thalweg" or len(parts) < 2 or parts[1] not in FLOORS or parts[1] == own:
            continue
        if FLOORS[parts[1]] >= FLOORS[own] and (own, parts[1]) not in ALLOWED_SIDEWAYS:
            wrong.append(f"{path.relative_to(root)}:{line} {own} imports {parts[1]}")
    return wrong


def functions(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_imports_run_downward():
    assert [line for path in modules() for line in violations(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/tree.py", "import thalweg.run.train"),
        ("problem/problem.py", "from thalweg.recipe.recipe import Recipe"),
        ("engine/step.py", "from thalweg import view, run"),
        ("insight/compare.py", "from thalweg.view.text import show"),
    ],
)
def test_a_planted_upward_import_is_caught(file, line):
    assert violations(SOURCE / file, f"def f():\n    {line}\n")


def test_every_folder_is_a_floor():
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(FLOORS)


def test_folders_hold_at_least_three_files():
    small = [
        str(folder.relative_to(SOURCE))
        for folder in SOURCE.rglob("*")
        if folder.is_dir()
        and folder.name != "__pycache__"
        and 0 < len(list(folder.glob("*.py"))) < 3
        and not any(child.is_dir() and child.name != "__pycache__" for child in folder.iterdir())
    ]
    assert small == []


def test_names_say_what_lives_there():
    names = {path.stem for path in SOURCE.rglob("*") if path.suffix in ("", ".py")}
    assert names & FORBIDDEN_NAMES == set()


def test_imports_stand_at_the_top():
    inside = []
    for path in modules():
        if path in LAZY:
            continue
        for function in functions(ast.parse(path.read_text())):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    inside.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert inside == []


def test_files_stay_small():
    long = {str(p.relative_to(SOURCE)): n for p in modules() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_functions_stay_small():
    lengths = {}
    for path in modules():
        if path in LAZY:
            continue  # option declarations, one line each
        for node in functions(ast.parse(path.read_text())):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented and len(node.body) > 1 else node.lineno
            lengths[f"{path.relative_to(SOURCE)}:{node.name}"] = node.end_lineno - start
    assert {name: n for name, n in lengths.items() if n > 50} == {}
    assert sum(n <= 30 for n in lengths.values()) >= 0.9 * len(lengths)
    assert sorted(lengths.values())[len(lengths) // 2] <= 10


# Rooms with an order of their own: their levels, lowest first. Within a level, only modules of one folder may
# import each other. A room may come with several top folders of its own.
ROOMS: dict[str, tuple[str, ...]] = {}

ROOMS["problem/data"] = (
    "note split",
    "files",
    "inputs",
    "preparation",
    "data",
    "options labels",
    "splitting",
    "arrays text stream",
    "tables",
    "sets",
    "reading",
    "predict_inputs",
    "load",
)


def room_violations(room: str, path: Path, text: str) -> list[str]:
    """Return every import of `path`, a module of `room`, that does not run to a lower level of the room."""
    level = {name: number for number, names in enumerate(ROOMS[room]) for name in names.split()}
    prefix = f"thalweg.{room.replace('/', '.')}."
    own = path.relative_to(SOURCE / room).with_suffix("").parts[0]
    wrong = []
    for name, line in imported(ast.parse(text)):
        other = name.removeprefix(prefix).split(".")[0] if name.startswith(prefix) else own
        if other != own and level[other] >= level[own]:
            wrong.append(f"{path.relative_to(SOURCE)}:{line} {own} imports {other}")
    return wrong


@pytest.mark.parametrize("room", ROOMS)
def test_imports_in_a_room_run_down_its_levels(room):
    paths = [path for path in modules(SOURCE / room) if path != SOURCE / room / "__init__.py"]
    named = {name for names in ROOMS[room] for name in names.split()}
    assert {path.relative_to(SOURCE / room).with_suffix("").parts[0] for path in paths} == named
    assert [line for path in paths for line in room_violations(room, path, path.read_text())] == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("inputs/table.py", "from thalweg.problem.data.preparation import Preparation"),
        ("files/idx.py", "from thalweg.problem.data import inputs"),
        ("options.py", "from thalweg.problem.data.labels import Target"),
    ],
)
def test_a_planted_import_up_a_room_is_caught(file, line):
    assert room_violations("problem/data", SOURCE / "problem/data" / file, line)
