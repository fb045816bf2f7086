"""Other users: their folders, and links that someone swaps in while a run writes."""

import contextlib
import itertools
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.bench import BAD_INPUT, Bench, refused_well, small_bench
from tests.faults.filesystems import killed
from tests.faults.tally import Line
from tests.faults.victim import scratch

DAMAGED = 3
STRANGER = 65534  # nobody
# What someone with access to the folder exchanges for links, besides every name that is there.
FILES = (".report.html.part", ".result.json.part", ".run.json.part", ".problem.json.part", ".probe.part")
FOLDERS = ("checkpoints",)


def strangers(full: bool) -> Iterator[Line]:
    """Try all of these, with one undisturbed run to compare with."""
    with scratch() as place:
        bench = small_bench(Path(place))
        yield from _others_folders(bench, full)
        yield _swapped_links(bench, 24 if full else 2)


def _others_folders(bench: Bench, full: bool) -> Iterator[Line]:
    """Read and write a finished and a killed run of another user, who allows reading, or nothing."""
    for mode, allowed in ((0o755, "reading"), (0o700, "nothing")):
        line = Line(
            f"the run folder belongs to another user, who allows {allowed}",
            "what needs only reading works where it is allowed; the rest is refused with exit code 2 and a "
            "sentence that names the folder; nothing in it changes",
        )
        if os.getuid() != 0:
            line.skipped = "only root can give a folder to another user"
            yield line
            continue
        finished, unfinished = bench.place / f"finished-{mode:o}", bench.place / f"unfinished-{mode:o}"
        shutil.copytree(bench.whole, finished)
        killed(bench, unfinished)
        for folder in (finished, unfinished):
            _give_away(folder, mode)
        before = contents(finished) | contents(unfinished)
        uses = list(_uses(finished, unfinished, bench))
        for name, command, reads in uses if full else random.Random(mode).sample(uses, 3):
            done = bench.run(*command, unprivileged=True)
            works = reads and allowed == "reading"
            wrong = refused_well(done, (0,) if works else (BAD_INPUT,))
            if not works and str(finished) not in done.stdout and str(unfinished) not in done.stdout:
                wrong = wrong or f"does not name the folder: {done.stdout[-300:]}"
            if contents(finished) | contents(unfinished) != before:
                wrong = wrong or "it changed the folder"
            line.add(wrong and f"{name}: {wrong}")
        yield line


def _uses(finished: Path, unfinished: Path, bench: Bench) -> Iterator[tuple[str, list[str], bool]]:
    """Return commands, and whether they only read the folder."""
    elsewhere = str(bench.place / "elsewhere.html")
    yield "show", ["show", str(finished)], True
    yield "check", ["check", str(finished)], True
    yield "predict", ["predict", str(finished), "digits"], True
    yield "report --out", ["report", str(finished), "--out", elsewhere], True
    Path(elsewhere).unlink(missing_ok=True)
    yield "report", ["report", str(finished)], False
    yield "resume of a finished run", ["resume", str(finished), "--epochs", "13", "-q"], False
    yield "resume", ["resume", str(unfinished), "-q"], False
    yield "fit --resume auto", [*bench.fit(unfinished), "--resume", "auto"], False
    yield "fit --force", [*bench.fit(finished), "--force"], False
    yield "fit inside", bench.fit(finished / "inside"), False
    yield "predict --out inside", ["predict", str(bench.whole), "digits", "--out", f"{finished}/p.csv"], False
    find = ["find", "digits", "--epochs", "2", "--budget", "10%", "-q"]
    yield "find inside", [*find, "--out", str(finished / "found")], False


def _give_away(folder: Path, mode: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
        path.chmod(mode if path.is_dir() else mode & 0o644)


def contents(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return what is in a folder, with the time of each change; links are not followed."""
    left = {}
    for at in (folder, *sorted(folder.rglob("*"))):
        content = at.read_bytes() if at.is_file() and not at.is_symlink() else None
        left[str(at)] = (at.lstat().st_mtime_ns, content)
    return left


def _swapped_links(bench: Bench, times: int) -> Line:
    line = Line(
        "two threads exchange files and folders for links that lead out, while `fit`, `resume` or `report` "
        "writes",
        "nothing outside the folder changes; it succeeds or fails with a Thalweg error",
    )
    rng = random.Random(14)
    for number in range(times):
        folder, outside = bench.place / f"swapped-{number}", bench.place / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        shutil.copytree(bench.whole, outside)
        (outside / "victim").write_bytes(b"must stay as it is\n")
        before = contents(outside)
        name = ("fit", "report", "resume")[number % 3]
        if name == "resume":
            killed(bench, folder)
        elif name == "report":
            shutil.copytree(bench.whole, folder)
        else:
            folder.mkdir()
        command = {"report": ["report", str(folder)], "resume": ["resume", str(folder), "-q"]}
        with swapping(folder, outside, rng.random()) as swaps:
            done = bench.run(*command.get(name, [*bench.fit(folder), "--force"]))
        line.count("links put in place", next(swaps))
        wrong = refused_well(done, (0, BAD_INPUT, DAMAGED))
        after = contents(outside)
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        if changed:
            wrong = f"outside the folder changed: {', '.join(os.path.relpath(p, outside) for p in changed)}"
        line.count("refused", int(done.returncode != 0))
        line.add(wrong and f"try {number}, {name}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return line


@contextlib.contextmanager
def swapping(folder: Path, outside: Path, seed: float) -> Iterator[Iterator[int]]:
    """Swap names of a folder for links to names outside and back, in two threads, until the block ends.

    Args:
        folder: The folder in which a run writes.
        outside: What must not change.
        seed: Of the order.

    Returns:
        Counts the links that were put in place.
    """
    stop, swaps = threading.Event(), itertools.count()

    def work(number: int) -> None:
        rng = random.Random(f"{seed}{number}")
        while not stop.is_set():
            with contextlib.suppress(OSError):
                names = [name for name in os.listdir(folder) if not name.startswith(".aside-")]
                chosen = rng.choice((names or FILES, FILES, FOLDERS))
                _swap(folder, rng.choice(chosen), outside, rng, number, stop.wait)
                next(swaps)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _swap(
    folder: Path,
    name: str,
    outside: Path,
    rng: random.Random,
    number: int,
    wait: Callable[[float], object],
) -> None:
    """Put a link in the place of a name for a moment, and what was there back."""
    path, aside, link = folder / name, folder / f".aside-{number}", folder / f".aside-link-{number}"
    inner = outside / name
    os.symlink(inner if inner.exists() else outside / "victim", link)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, aside)
        os.rename(link, path)
        wait(rng.choice((0.0, 0.001, 0.02)))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        if path.is_symlink():
            path.unlink()
        with contextlib.suppress(OSError):
            os.rename(aside, path)
