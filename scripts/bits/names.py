"""Names of files, columns and figures: which are compared, and what they were called before.

If a name changes but its content does not, add it here, new name first, so that recordings from before and
after the change stay comparable.
"""

# Files, by their path in a run's folder or the end of it: {"log/steps.parquet": "steps.parquet"}.
FILES: dict[str, str] = {}
# Columns of tables, by table and column: {"steps.rate": "steps.learning_rate"}.
COLUMNS: dict[str, str] = {"sizes.status": "sizes.standing"}
# Figures of JSON and TOML files, by their dotted path, its beginning or its end: {"test.loss": "test_loss"}.
FIGURES: dict[str, str] = {"status": "standing", "recipe_before": "asked"}

# Columns and figures that depend on the clock.
CLOCKS = {"seconds", "examples_per_second"}
# Figures that are not results of training, and why they are not compared.
APART = {
    "run": "location of the run",
    "folder": "location of the run",
    "source": "location of the data",
    "schema": "version of a file format",
    "notes": "text",
    "reason": "text",
    "reasons": "text",
    "fits": "depends on free memory",
    "bytes": "an estimate of memory",
    "waves": "depends on free memory",
    "references": "which other methods are tried, and on how many rows, depends on the clock",
}
# Folders that are not compared: only `resume` reads them, and the resumed runs are compared.
UNREAD = ("checkpoints", "shards")


def file(path: str) -> str:
    """Return the old name of a file."""
    for now, before in FILES.items():
        if path == now or path.endswith(f"/{now}"):
            return path.removesuffix(now) + before
    return path


def column(table: str, name: str) -> str:
    """Return the old name of a column."""
    return COLUMNS.get(f"{table}.{name}", f"{table}.{name}").removeprefix(f"{table}.")


def figure(path: str) -> str:
    """Return the old name of a figure."""
    for now, before in FIGURES.items():
        if path == now or path.startswith(f"{now}."):
            return before + path.removeprefix(now)
        if path.endswith(f".{now}"):
            return path.removesuffix(now) + before
    return path
