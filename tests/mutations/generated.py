"""Mutants that are made, not written: operators, constants, comparisons, conditions, dropped statements.

They are made inside of functions of the modules that compute. Left out are what only words errors (`raise`
and f-strings), annotations, and constants of modules, which were chosen by measurement.
"""

import ast
import copy
from collections.abc import Iterator

from tests.mutations.asked import tests_of
from tests.mutations.mutant import SOURCE, Mutant

# By floor, the modules and folders that compute.
MODULES: dict[str, tuple[str, ...]] = {
    "core": ("core/keys.py", "core/tree.py", "core/jaxprs.py", "core/choice.py"),
    "problem": (
        "problem/losses",
        "problem/augment.py",
        "problem/models/layers",
        "problem/models/gpt.py",
        "problem/models/recurrent.py",
        "problem/models/mlp.py",
        "problem/models/sampling.py",
        "problem/data/split.py",
        "problem/data/splitting.py",
        "problem/data/preparation.py",
        "problem/data/inputs/rules.py",
    ),
    "recipe": (
        "recipe/optimizers",
        "recipe/schedules",
        "recipe/averaging.py",
        "recipe/gradient.py",
        "recipe/precision.py",
    ),
    "engine": ("engine",),
    "run": (
        "run/scores.py",
        "run/session",
        "run/checkpoint",
        "run/run.py",
        "run/restore.py",
        "run/folder/log_stream.py",
    ),
    "insight": (
        "insight/intervals.py",
        "insight/ranking.py",
        "insight/curves.py",
        "insight/answers.py",
        "insight/landscape/sharpness.py",
        "insight/finder/valley.py",
        "insight/finder/rungs.py",
        "insight/finder/range_sweep.py",
        "insight/finder/batch_limits.py",
    ),
}
# These are for speed or for people, and change no result.
LEFT_OUT = ("engine/autotune.py", "engine/compilation.py", "engine/dispatch.py", "run/session/scheduler.py")

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_NAMES = {
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
    "all": "any",
    "any": "all",
    "argmax": "argmin",
    "argmin": "argmax",
    "sum": "mean",
    "mean": "sum",
    "ones": "zeros",
    "zeros": "ones",
    "floor": "ceil",
    "sin": "cos",
    "cos": "sin",
}


def mutants_of(floor: str) -> list[Mutant]:
    """Return all made mutants of a floor, in the order of its files."""
    files: list[str] = []
    for name in MODULES.get(floor, ()):  # doors compute little themselves
        path = SOURCE / name
        paths = [path] if path.suffix else sorted(path.rglob("*.py"))
        files += [str(each.relative_to(SOURCE)) for each in paths]
    return [mutant for file in files if file not in LEFT_OUT for mutant in of_file(file)]


def of_file(file: str) -> Iterator[Mutant]:
    """Yield the made mutants of a file."""
    text = (SOURCE / file).read_text(encoding="utf-8")
    for name, function in _functions(ast.parse(text).body, ""):
        for node, changed in _changes(function):
            right = ast.get_source_segment(text, node)
            assert right is not None
            start = _offset(text, node.lineno, node.col_offset)
            end = _offset(text, node.end_lineno, node.end_col_offset)
            wrong = ast.unparse(changed)
            wrong = wrong if isinstance(node, ast.stmt) else f"({wrong})"
            yield Mutant(file, name, right, wrong, tests_of(file), made=text[:start] + wrong + text[end:])


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node


def _changes(function: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    """Yield each node that is changed, and what replaces it."""
    for node in _walk(function):
        if isinstance(node, ast.stmt):
            if _can_be_dropped(node):
                yield node, ast.Pass()
        elif isinstance(node, ast.expr):
            for changed in _changed(node):
                yield node, changed


def _walk(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body that compute something."""
    waiting: list[ast.AST] = list(reversed(getattr(function, "body", [])))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
            continue
        yield node
        if isinstance(node, ast.FunctionDef):
            waiting += reversed(node.body)
        elif isinstance(node, ast.AnnAssign):
            waiting += [node.value] if node.value else []
        else:
            waiting += reversed(list(ast.iter_child_nodes(node)))


def _can_be_dropped(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.AugAssign):
        return True
    if not isinstance(node, ast.Assign):
        return False
    names = {inner.id for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
    used = {inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name)}
    # A name that is assigned anew from itself exists without the statement.
    return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets) or bool(
        names and names <= used
    )


def _changed(node: ast.expr) -> Iterator[ast.expr]:
    changed = copy.deepcopy(node)
    if isinstance(changed, ast.BinOp) and type(changed.op) in _OPERATORS:
        if not _is_text(changed.left):
            changed.op = _OPERATORS[type(changed.op)]()
            yield changed
    elif isinstance(changed, ast.Compare):
        changed.ops[0] = _COMPARISONS[type(changed.ops[0])]()
        yield changed
    elif isinstance(changed, ast.BoolOp):
        changed.op = ast.And() if isinstance(changed.op, ast.Or) else ast.Or()
        yield changed
    elif isinstance(changed, ast.UnaryOp):
        yield changed.operand
    elif isinstance(changed, ast.Constant):
        yield from _constants(changed.value)
    elif isinstance(changed, ast.Attribute) and changed.attr in _NAMES:
        changed.attr = _NAMES[changed.attr]
        yield changed
    elif isinstance(changed, ast.Name) and changed.id in _NAMES:
        yield ast.Name(_NAMES[changed.id])


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _constants(value: object) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(2 * value if value else 1.0)


def _offset(text: str, line: int | None, column: int | None) -> int:
    """Return the position in a text; columns count bytes of UTF-8."""
    assert line is not None and column is not None
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())
