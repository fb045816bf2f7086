"""Fuzzing of readers guided by coverage: atheris changes sound files and keeps those that take a new branch.

Readers, limits and promise are those of `fuzz.py`. Each reader runs in a process of its own
(`python -m tests.faults.guided READER TIMES PLACE`), because the fuzzer never returns, and because Thalweg's
modules must be instrumented when they are imported. So nothing of Thalweg is imported at the top.
"""

import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.tally import Line

try:
    import atheris
except ImportError:  # an extra (`fuzz`), and not made for every system
    atheris = None

# Executions of each reader; of slow ones a share.
QUICK, FULL = 2_000, 120_000
SHARES = {
    "record": 60,
    "data": 60,
    "sweep": 60,
    "finding": 60,
    "origin": 120,
    "prediction": 240,
    "weights": 4,
}
READERS = ("manifest", "run.json", "safetensors header", "lock file", "recipe TOML", "log", "JSON", "TOML")
FOLDER_READERS = (
    *(f"record: {name}" for name in ("result.json", "problem.json", "environment.json", "recipe.toml")),
    *(f"record: {name}.parquet" for name in ("steps", "evaluations", "layers", "test")),
    *("weights", "sweep.json", "finding.json", "origin of a run", "prediction"),
)
DATA_READERS = tuple(
    f"data: {kind}"
    for kind in (
        *("CSV", "Parquet", "npy", "npz", "text", "idx", "idx.gz", "CSV.gz", "lines", "series"),
        *("png", "jpg", "gif", "bmp", "tif", "webp", "tar"),
    )
)
PROMISE = "a value or a Thalweg error: no crash, no hang, no memory blow-up, no path outside"
LONGEST_BYTES = 4096
WORDS = (b"../../bait", b"/etc/passwd", b"NaN", b"1e999", b"\xff" * 8, b"null", b"-1", b"9" * 20)


def guided_readers(full: bool) -> Iterator[Line]:
    """Fuzz every reader."""
    for name in (*READERS, *FOLDER_READERS, *DATA_READERS):
        line = Line(f"fuzzing guided by coverage: {name}", PROMISE)
        if atheris is None:
            line.skipped = "atheris is not installed (`pip install 'thalweg[fuzz]'`)"
            yield line
            continue
        yield guided(line, name, max(100, (FULL if full else QUICK) // share(name)))


def share(name: str) -> int:
    """Return how much seldomer a reader is executed: those that write files, draw pages, use libraries."""
    return SHARES.get(name.split(":")[0].split(".")[0].split()[0], 1)


def guided(line: Line, name: str, times: int) -> Line:
    """Fuzz one reader in a process of its own, and return its line."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.guided", name, str(times), place],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    tally = re.search(r"^TALLY (.*)$", done.stdout, re.MULTILINE)
    if tally is None:
        line.add(f"the process ended with {done.returncode}: {done.stderr[-500:]}")
        return line
    covered = re.findall(r"cov: (\d+)", done.stderr)
    result = Line(**json.loads(tally[1]))
    result.count("Thalweg branches reached", int(covered[-1]) if covered else 0)
    return result


def main(name: str, times: int, place: Path) -> None:
    """Execute one reader `times` times, print its line, and exit."""
    # Imported here, because the import must be instrumented.
    with atheris.instrument_imports(include=["thalweg"]):
        fuzz = importlib.import_module("tests.faults.fuzz")
    reader = next(reader for reader in fuzz.readers() if reader.name == name)
    corpus, folder, words = place / "corpus", place / "read", place / "words"
    corpus.mkdir()
    folder.mkdir()
    (corpus / "sound").write_bytes(reader.sound)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in _words(reader.sound)))
    reader.read(reader.mend(reader.sound), folder)
    line, before = Line(f"fuzzing guided by coverage: {name}", PROMISE), fuzz.peak_bytes()

    def once(content: bytes) -> None:
        line.add(fuzz.wrong_with(reader, reader.mend(content), folder, line))
        if line.tried == times:
            fuzz.with_peak(line, before)
            print("\nTALLY " + json.dumps(dataclasses.asdict(line)), flush=True)
            os._exit(0)

    # `limits` watches time and memory, so that a violation is counted and fuzzing continues.
    settings = ["-seed=1", "-timeout=0", "-rss_limit_mb=0", f"-dict={words}", f"-artifact_prefix={place}/"]
    settings.append(f"-max_len={max(LONGEST_BYTES, len(reader.sound))}")
    with fuzz.limits():
        atheris.Setup([sys.argv[0], *settings, str(corpus)], once)
        atheris.Fuzz()


def _words(sound: bytes) -> list[bytes]:
    """Return words for mutations: those of the sound file, and some hostile ones."""
    return [*WORDS, *sorted(set(re.findall(rb"[A-Za-z_]{3,20}", sound)))[:200]]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
