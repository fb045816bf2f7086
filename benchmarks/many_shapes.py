"""Memory of a process that trains one network after another, each with shapes of its own.

Each fit of a new shape compiles some five programs, which stay for the next one of the same shape until there
are too many (`thalweg.engine.compilation.MOST_PROGRAMS`). One process keeps to that, the other one keeps all.
Resident memory, from the operating system, after each fit; the first fits, which load libraries, apart.
"""

import os
import subprocess
import sys
from typing import Any

from benchmarks.machine import markdown

FITS, EVERY, FIRST = 100, 10, 10
MEBIBYTE = 2**20


def run(quick: bool) -> dict[str, Any]:
    """Measure both processes, one after the other."""
    fits = 2 * EVERY if quick else FITS
    return {"rows": {keeps: _process(keeps, fits) for keeps in ("bounded", "all")}}


def growth(result: dict[str, Any], keeps: str = "bounded") -> float:
    """Return by how many MiB the memory grew from the tenth to the last fit, for each of them."""
    after = result["rows"][keeps]
    return (after[-1] - after[0]) / max(1, EVERY * (len(after) - 1))


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [keeps, str(EVERY * (number + 1)), f"{memory:.0f}"]
        for keeps, after in result["rows"].items()
        for number, memory in enumerate(after)
    ]
    growths = ", ".join(f"{keeps} {growth(result, keeps):.1f}" for keeps in result["rows"])
    lines = markdown(["programs", "fits", "resident memory, MiB"], rows)
    return f"{lines}\n\nMiB a fit, from the tenth on: {growths}"


def _process(keeps: str, fits: int) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.many_shapes", keeps, str(fits)]
    environment = os.environ | {"THALWEG_CACHE": "off"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main(keeps: str, fits: int) -> None:
    """Train networks with 5, 6, 7... inputs; print the memory in MiB after every tenth."""
    import numpy as np
    import psutil

    import thalweg as tw
    from thalweg.engine import compilation

    if keeps == "all":
        setattr(compilation, "MOST_PROGRAMS", sys.maxsize)  # noqa: B010 (a constant)
    generator = np.random.default_rng(0)
    recipe = tw.Recipe(tw.AdamW(), batch_size=16, steps=20)
    for number in range(1, fits + 1):
        inputs = generator.normal(size=(80, 4 + number)).astype(np.float32)
        data = tw.load((inputs, inputs[:, 0] > 0))
        tw.train(tw.Problem(tw.MLP([4 + number, 16, 2]), data), recipe, progress=False)
        if number % EVERY == 0:
            print(psutil.Process().memory_info().rss / MEBIBYTE, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
