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
# Floors of one level do not see each other, unless the plan says so: experiments draw.
ALLOWED_SIDEWAYS = {("lab", "view")}
# Inside a folder listed here, imports run downward too. Its rooms are subfolders and files, lowest level
# first; a tuple holds rooms of one level, which do not import each other. Files directly in the folder that
# are not listed are one room, ".". The folder's own `__init__.py` may import all of them.
ROOMS: dict[str, list[str | tuple[str, ...]]] = {
    "engine": [
        ("compilation", "program"),
        "state",
        "backward",
        "step",
        ("layout", "feeds"),
        ("evaluate", "group"),
        "dispatch",
        "autotune",
        "plan",
    ],
    "problem/data": [
        ("note", "split"),
        "files",
        "inputs",
        "preparation",
        "data",
        ("options", "labels"),
        "splitting",
        ("arrays", "text", "stream"),
        "tables",
        "sets",
        "reading",
        "predict_inputs",
        "load",
    ],
    "run": [
        ("folder", "progress", "scores"),
        ("checkpoint", "spec", "run"),
        ("session", "validate", "restore", "verify"),
        ("train", "resume"),
    ],
}
# The door loads a command's modules when the command is called, and the root loads names on first use.
LAZY = {SOURCE / "doors" / "cli" / "app.py"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
# Modules under 60 lines whose only importer lies in the same folder, and why each is a file of its own.
SMALL_LINES = 60
SMALL_WITH_ONE_IMPORTER: dict[str, str] = {
    "doors/cli/fit.py": "the module of a command, which loads when the command is called",
}


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


def levels(folder: str) -> dict[str, int]:
    """Return the level of every room of a folder."""
    rooms = [(room,) if isinstance(room, str) else room for room in ROOMS[folder]]
    return {name: level for level, names in enumerate(rooms) for name in names}


def room(folder: str, parts: tuple[str, ...]) -> str | None:
    """Return the room of a file or module, given as its parts below the source; None elsewhere."""
    own = tuple(folder.split("/"))
    if parts[: len(own)] != own or len(parts) == len(own):
        return None
    name = parts[len(own)].removesuffix(".py")
    return name if name in levels(folder) or name == "__init__" or (SOURCE / folder / name).is_dir() else "."


def room_violations(folder: str, path: Path, text: str) -> list[str]:
    """Return every import of `path` between two rooms of a folder that does not run down."""
    own, level = room(folder, path.relative_to(SOURCE).parts), levels(folder)
    if own is None or own == "__init__":
        return []
    if own not in level:
        return [f"{path.relative_to(SOURCE)}: ROOMS[{folder!r}] has no level for {own!r}"]
    wrong = []
    for target, line in imported_files(ast.parse(text)):
        other = room(folder, target.relative_to(SOURCE).parts)
        if other is not None and other != own and level.get(other, len(level)) >= level[own]:
            wrong.append(f"{path.relative_to(SOURCE)}:{line} {own} imports {other}")
    return wrong


def imported_files(tree: ast.AST) -> list[tuple[Path, int]]:
    """Return the files of ours that are imported; of `from folder import module`, only the module."""
    targets = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets += [(module_file(alias.name), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = module_file(str(node.module))
            targets += [(module_file(f"{node.module}.{a.name}") or whole, node.lineno) for a in node.names]
    return [(target, line) for target, line in targets if target is not None]


def module_file(name: str) -> Path | None:
    """Return the file of a dotted module name; None for other names."""
    target = SOURCE.parent.joinpath(*name.split("."))
    files = (target.with_suffix(".py"), target / "__init__.py")
    return next((file for file in files if file.is_relative_to(SOURCE) and file.exists()), None)


def importers() -> dict[Path, set[Path]]:
    """Return the modules that import each module."""
    users: dict[Path, set[Path]] = {path: set() for path in modules()}
    for path in modules():
        for target, _ in imported_files(ast.parse(path.read_text())):
            users[target].add(path)
    return users


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


@pytest.mark.parametrize("folder", ROOMS)
def test_imports_between_rooms_run_downward(folder):
    paths = modules(SOURCE / folder)
    assert [line for path in paths for line in room_violations(folder, path, path.read_text())] == []


@pytest.mark.parametrize("folder", ROOMS)
def test_every_room_with_a_level_exists(folder):
    names = {path.stem for path in (SOURCE / folder).iterdir()}
    assert set(levels(folder)) - {"."} <= names


@pytest.mark.parametrize(
    ("folder", "file", "line"),
    [
        ("engine", "engine/program.py", "from thalweg.engine.state import State"),
        ("engine", "engine/step.py", "from thalweg.engine import dispatch"),
        ("engine", "engine/feeds/resident.py", "from thalweg.engine.layout.compaction import width_for"),
        ("engine", "engine/layout/mapped.py", "import thalweg.engine.plan"),
        ("engine", "engine/new.py", "import thalweg.engine.plan"),
        ("problem/data", "problem/data/inputs/table.py", "from thalweg.problem.data.data import Data"),
        ("problem/data", "problem/data/files/content.py", "from thalweg.problem.data import inputs"),
        ("run", "run/folder/lock.py", "from thalweg.run.checkpoint.store import Store"),
        ("run", "run/spec.py", "from thalweg.run.session import session"),
        ("run", "run/session/session.py", "from thalweg.run.train import train"),
    ],
)
def test_a_planted_import_of_a_higher_room_is_caught(folder, file, line):
    assert room_violations(folder, SOURCE / file, f"def f():\n    {line}\n")


def test_a_small_module_with_one_importer_is_part_of_it():
    small = {
        str(path.relative_to(SOURCE))
        for path, users in importers().items()
        if len(path.read_text().splitlines()) < SMALL_LINES
        and path.name != "__init__.py"
        and [user.parent for user in users] == [path.parent]
    }
    assert small == set(SMALL_WITH_ONE_IMPORTER)


def test_no_source_file_looks_like_a_test():
    assert [
        path.name for path in modules() if path.stem.startswith("test_") or path.stem.endswith("_test")
    ] == []


def test_checkpoints_are_bytes_only():
    """Checkpoints can be read and verified where JAX is not installed."""
    for path in modules(SOURCE / "run" / "checkpoint"):
        assert not [name for name, _ in imported(ast.parse(path.read_text())) if name.split(".")[0] == "jax"]


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
