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
        ("compilation", "mesh", "program"),
        "state",
        "backward",
        "update",
        "step",
        ("layout", "feeds"),
        "evaluation_batches",
        ("evaluate_objective", "kept"),
        ("evaluate", "group"),
        "dispatch",
        "autotune",
        "plan",
    ],
    "problem/data": [
        ("note", "split"),
        "fold_rows",
        "files",
        "inputs",
        "preparation",
        "data",
        ("tasks", "folds"),
        ("options", "labels", "dealing"),
        "splitting",
        ("weights", "tree_targets", "validation_folds"),
        "checked_arrays",
        ("text", "stream", "examples"),
        "picture_stream",
        "arrays",
        "tables",
        ("sets", "chunked", "foreign"),
        "reading",
        ("predict_inputs", "understanding"),
        "labelled",
        "load",
    ],
    "run": [
        ("folder", "outputs", "progress", "scores"),
        "problem_record",
        ("checkpoint", "spec", "run", "tracking"),
        ("session", "validate", "restore", "verify", "origin"),
        ("cluster", "predicting"),
        ("train", "resume", "replay"),
        "train_models",
        "trajectory",
    ],
}
# What compiles a function in JAX and Equinox; only `core/compiler.py` calls it.
COMPILERS = {"jit", "pjit", "pmap", "filter_jit", "filter_pmap"}
# What writes a file: only `core/disk.py` does, atomically and through no link. The second group also writes
# into memory.
WRITERS = {
    *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "tofile", "memmap", "save_file"),
    *("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "copy2", "copyfile", "copytree", "move"),
}
INTO_A_SINK = {
    *("write_csv", "write_parquet", "write_ipc", "write_ndjson", "write_table", "to_csv"),
    *("savez", "savez_compressed", "savetxt"),
}
MEMORY = ("BytesIO(", "BufferOutputStream(")
# A command loads its modules when it is called, and the root loads names on first use.
LAZY = set((SOURCE / "doors" / "cli" / "commands").glob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
# Modules under 60 lines whose only importer lies in the same folder, and why each is a file of its own.
SMALL_LINES = 60
SMALL_WITH_ONE_IMPORTER: dict[str, str] = {}


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


def own_compilations(text: str) -> list[int]:
    """Return the lines in which functions are compiled by JAX or Equinox, without our options."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Attribute) and node.attr in COMPILERS)
        or (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] != "thalweg"
            and any(alias.name in COMPILERS for alias in node.names)
        )
    ]


def test_every_program_is_compiled_with_our_options():
    lines = {str(path.relative_to(SOURCE)): own_compilations(path.read_text()) for path in modules()}
    assert {file: found for file, found in lines.items() if found}.keys() == {"core/compiler.py"}


@pytest.mark.parametrize(
    "line",
    [
        "jax.jit(f)",
        "@partial(jax.jit, static_argnums=0)\ndef f(): ...",
        "from jax import jit",
        "from jax import pmap as p",
        "eqx.filter_jit(f)",
        "from equinox import filter_pmap",
        "import equinox\nequinox.filter_pmap(f)",
        "from jax.experimental.pjit import pjit",
    ],
)
def test_a_planted_compilation_without_our_options_is_caught(line):
    assert own_compilations(line)
    assert not own_compilations("from thalweg.core.compiler import filter_jit, jit\njit(f)")


def openings_for_writing(text: str) -> list[int]:
    """Return the lines in which a file is opened for writing, or renamed, other than by `core/disk.py`.

    Writers of polars, NumPy and Arrow may write into memory: into what the same module made with `BytesIO()`
    or `BufferOutputStream()`.
    """
    tree = ast.parse(text)
    in_memory = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(name in ast.unparse(node.value) for name in MEMORY)
        for assigned in node.targets
        for target in ast.walk(assigned)
        if isinstance(target, ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _opens_for_writing(call, in_memory)]


def _opens_for_writing(call: ast.Call, in_memory: set[str]) -> bool:
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    owner = getattr(getattr(call.func, "value", None), "id", "")
    words = [*call.args, *(keyword.value for keyword in call.keywords)]
    if name == "open":
        modes = [word.value for word in words if isinstance(word, ast.Constant)]
        read_only = "os.O_RDONLY" in ast.unparse(call)
        return (owner == "os" and not read_only) or any(
            set(str(mode)) & set("wax+") for mode in modes if len(str(mode)) < 4
        )
    if words and (name in INTO_A_SINK or (name == "save" and owner in ("np", "numpy", "jnp"))):
        return not any(isinstance(word, ast.Name) and word.id in in_memory for word in words)
    return name in WRITERS or (owner == "os" and name in ("rename", "replace", "link", "symlink"))


def test_one_module_opens_files_for_writing():
    lines = {str(path.relative_to(SOURCE)): openings_for_writing(path.read_text()) for path in modules()}
    assert {file: found for file, found in lines.items() if found}.keys() == {"core/disk.py"}


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.open('r+b')",
        "os.open(path, flags)",
        "path.write_text(text)",
        "path.write_bytes(content)",
        "path.touch()",
        "os.replace(one, other)",
        "shutil.copyfile(one, other)",
        "tempfile.mkstemp()",
        "frame.write_csv(path)",
        "np.save(path, values)",
        "pq.write_table(table, where=path)",
        "safetensors.numpy.save_file(arrays, path)",
    ],
)
def test_a_planted_opening_for_writing_is_caught(line):
    assert openings_for_writing(line)


def test_reading_and_writing_into_memory_are_no_openings_for_writing():
    code = (
        "content = BytesIO()\nnp.save(content, a)\nframe.write_parquet(content)\nopen(path, 'rb')\nopen(path)"
    )
    assert not openings_for_writing(code)
    assert not openings_for_writing("text.replace('a', 'w')\nImage.open(path, formats=known)")


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
