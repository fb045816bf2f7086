"""Readers of run folders for fuzzing: a file of a sound folder is exchanged, and the folder is used.

Each file is sealed again afterwards (run.json lists its new checksum), so that what follows the verification
is reached: an attacker can do the same. What a reader shows must not act on a terminal.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from thalweg.core.documents import parse_json
from thalweg.core.escape import printable
from thalweg.insight.compare import compare
from thalweg.insight.finder import finding_io
from thalweg.insight.ranking import ranking_of
from thalweg.run.folder.filesystem import unreadable
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.record import Record, read
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.folder.weights import load
from thalweg.run.restore import restore
from thalweg.run.spec import RunSpec
from thalweg.view import text
from thalweg.view.finding import page as finding_page
from thalweg.view.report import page
from thalweg.view.sweep import page as sweep_page
from thalweg.view.sweep import text as sweep_text

OLD = Path(__file__).parents[1] / "data" / "old_runs"
# Values that no entry expects.
NASTY: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3_000_000_000, 2**63, -(2**63), 1e308, -1e-308, 0.5),
    *("", "x", "x" * 300, "\x1b]0;root\x07", "\u202egnp", "a\nb", "../../bait", "/etc/passwd", "=1+1", "nan"),
    *([], {}, [[]], [{}], [None], [1, "x"], {"name": []}, {"name": "mlp"}, {"": 1}, {"x": {"x": {"x": []}}}),
    *({"name": "mlp", "sizes": [4, 3_000_000_000, 3]}, {"../../bait": 1}, [[[0]]]),
]


def edited(sound: Any, choices: bytes) -> bytes:
    """Return JSON with entries removed, exchanged or replaced by nasty values, as three bytes each say."""
    value = json.loads(json.dumps(sound))
    for at in range(0, min(len(choices), 24) - 2, 3):
        places = list(_places(value))
        first, what, which = choices[at : at + 3]
        container, key = places[(first * 257 + which) % len(places)] if places else (None, None)
        if container is None:
            continue
        if what % 8 == 0:
            del container[key]
        elif what % 8 == 1:
            other, name = places[which % len(places)]
            container[key] = json.loads(json.dumps(other[name]))
        else:
            container[key] = NASTY[which % len(NASTY)]
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


class FolderReader(NamedTuple):
    """A reader of a run folder; the fields are those of `fuzz.Reader`."""

    name: str
    sound: bytes
    read: Callable[[bytes, Path], Any]
    more: st.SearchStrategy[bytes]
    mend: Callable[[bytes], bytes] = bytes


def record_readers() -> Iterator[FolderReader]:
    """Yield a reader for each file of a run, a sweep and a finding, and one for resuming and predicting."""
    for name in ("result.json", "problem.json", "environment.json"):
        yield _json(f"record: {name}", OLD / "fit" / name, _exchanged("fit", name, _show))
    recipe = (OLD / "fit" / "recipe.toml").read_bytes()
    yield FolderReader("record: recipe.toml", recipe, _exchanged("fit", "recipe.toml", _show), st.nothing())
    for name in ("steps.parquet", "evaluations.parquet", "layers.parquet", "test.parquet"):
        content = (OLD / "fit" / name).read_bytes()
        yield FolderReader(f"record: {name}", content, _exchanged("fit", name, _show), st.nothing())
    weights = (OLD / "fit" / "final.safetensors").read_bytes()
    yield FolderReader("weights", weights, _exchanged("fit", "final.safetensors", _load), st.nothing())
    yield _json("sweep.json", OLD / "sweep" / "sweep.json", _exchanged("sweep", "sweep.json", _show_sweep))
    finding = json.dumps(_finding()).encode()
    yield _of("finding.json", finding, _show_finding)
    origin = json.dumps(RunFile.read(OLD / "killed").origin).encode()
    yield _of("origin of a run", origin, _plan_to_resume)
    yield _json("prediction", OLD / "fit" / "problem.json", _exchanged("fit", "problem.json", restore))


def _json(name: str, path: Path, read: Callable[[bytes, Path], Any]) -> FolderReader:
    return _of(name, path.read_bytes(), read)


def _of(name: str, content: bytes, read: Callable[[bytes, Path], Any]) -> FolderReader:
    sound = json.loads(content)
    edits = st.binary(min_size=3, max_size=12).map(lambda choices: edited(sound, choices))
    # What looks like JSON is left as it is; anything else says which entries to change.
    return FolderReader(
        name, content, read, edits, lambda raw: raw if raw[:1] == b"{" else edited(sound, raw)
    )


def _exchanged(folder: str, name: str, use: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def read_with(content: bytes, place: Path) -> Any:
        copy = place / folder
        if not copy.exists():
            shutil.copytree(OLD / folder, copy)
        sound = (copy / name).read_bytes()
        (copy / name).write_bytes(content)
        try:
            RunFile.read(copy).write_end(copy, True)
            return use(copy)
        finally:
            (copy / name).write_bytes(sound)

    return read_with


def _show(folder: Path) -> None:
    record = read(folder)
    _safe(text.plain(text.show(record)))
    _safe(page.render(record))
    other = Record(None, {}, {}, {}, {})
    for pair in ((record, record), (record, other), (other, record)):
        _safe(text.plain(text.compare(compare(*pair))))


def _load(folder: Path) -> None:
    load(folder / "final.safetensors")


def _show_sweep(folder: Path) -> None:
    sweep = read_sweep(folder)
    ranking = ranking_of(sweep)
    _safe(text.plain(sweep_text.show(ranking, sweep.result)))
    _safe(sweep_page.render(sweep, ranking))


def _show_finding(content: bytes, place: Path) -> None:
    folder = place / "find"
    folder.mkdir(exist_ok=True)
    (folder / "environment.json").write_bytes(b"{}")
    (folder / "finding.json").write_bytes(content)
    values = finding_io.read(folder)
    if not finding_io.is_of_batches(values):
        finding = finding_io.from_dict(values)
        _safe(text.plain(finding_page.show(finding, values)))
        _safe(finding_page.render(finding, values))


def _plan_to_resume(content: bytes, place: Path) -> None:
    where = place / "run.json"
    try:
        origin = parse_json(content)
    except ValueError as error:  # as `unseal` refuses the file around it
        raise unreadable(where, error) from error
    if not isinstance(origin, dict):  # as `RunFile.read` refuses it
        raise unreadable(where, ValueError("origin is no table"))
    spec = RunSpec.from_dict(origin, place)
    spec.lanes(place)
    spec.rebuild_problem()


def _safe(shown: str) -> None:
    unsafe = [char for char in set(shown) if printable(char) != char]
    assert not unsafe, f"shows {unsafe!r}"


def _finding() -> dict[str, Any]:
    rows = [
        {"rung": 0, "steps": 10, "rate": 10.0**at, "seed": 0, "loss": 1.0 + abs(at + 3)}
        | {"train_loss": 1.0, "stopped": "steps", "diverged_at": None}
        for at in range(-6, 0)
    ]
    recipe = "\n".join(
        line for line in (OLD / "fit" / "recipe.toml").read_text(encoding="utf-8").splitlines()
    )
    numbers = {"value": 1e-3, "low": 1e-4, "high": 1e-2, "default": 1e-3, "diverges": 0.1}
    return {
        "run": "runs/f",
        "data": "iris",
        "task": "classification",
        "model": "mlp:4-4-3",
        "schema": 2,
        "setting": "optimizer.lr",
        **numbers,
        "predicted_edge": None,
        "status": "found",
        "reason": "Six lanes.",
        "curve": rows,
        "fitted": [{"rate": 1e-3, "loss": 1.0, "low": 0.9, "high": 1.1}],
        "cost": {"steps": 60, "run_steps": 100, "seconds": 1.0},
        "recipe": recipe,
        "recipe_before": recipe,
    }
