"""Names of files, columns and figures: which of them are compared, and what they were called before.

A name that changes while its content stays is told here, new name first, so that recordings from before and
after the change stay comparable.
"""

# Files, by the path in a run's folder or the end of it: {"log/steps.parquet": "steps.parquet"}.
FILES: dict[str, str] = {}
# Columns of tables, by table and column: {"steps.rate": "steps.learning_rate"}.
COLUMNS: dict[str, str] = {}
# Figures of JSON and TOML files, by their dotted path or its beginning: {"test.loss": "test_loss"}.
FIGURES: dict[str, str] = {}

# Columns and figures that tell of the clock.
CLOCKS = {"seconds", "examples_per_second"}
# Figures that are no outcome of training, and why they are not compared.
APART = {
    "run": "where a run lies",
    "folder": "where a run lies",
    "source": "where the data lie",
    "schema": "the form of a file",
    "notes": "sentences",
    "reason": "sentences",
    "reasons": "sentences",
    "fits": "depends on the memory that is free",
    "bytes": "an estimate of memory",
    "waves": "depends on the memory that is free",
}
# Of a run's folder: what is drawn or noted, and the state that only `resume` reads; that it has the bits is
# seen by the runs that go on from it.
UNREAD = ("checkpoints", "shards")


def file(path: str) -> str:
    """Return what a file was called."""
    for now, before in FILES.items():
        if path == now or path.endswith(f"/{now}"):
            return path.removesuffix(now) + before
    return path


def column(table: str, name: str) -> str:
    """Return what a table's column was called."""
    return COLUMNS.get(f"{table}.{name}", f"{table}.{name}").removeprefix(f"{table}.")


def figure(path: str) -> str:
    """Return what a figure was called."""
    for now, before in FIGURES.items():
        if path == now or path.startswith(f"{now}."):
            return before + path.removeprefix(now)
    return path
