"""`render`: the page of a run, a sweep, a finding or a landscape, from an object or from its folder."""

from pathlib import Path
from typing import Any

from thalweg.core.disk import replace
from thalweg.core.errors import RunFolderError
from thalweg.insight.finder import finding_io
from thalweg.insight.landscape.curvature import Curvature
from thalweg.insight.landscape.line import Line
from thalweg.insight.landscape.surface import Landscape
from thalweg.insight.ranking import ranking_of
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.record import Record, read
from thalweg.run.folder.sweep_record import Sweep, is_sweep
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.run import Run, Runs
from thalweg.view.finding import batch_page
from thalweg.view.finding import page as finding_page
from thalweg.view.landscape import page as landscape_page
from thalweg.view.report import page
from thalweg.view.sweep import page as sweep_page


def render(
    run: Run | Runs | Record | Sweep | Landscape | Line | Curvature | Path | str, *, unverified: bool = False
) -> str:
    """Return a report as one HTML file without outside references.

    Args:
        run: A run or a sweep, as `train`, `fit` and `resume` return them; a record, as `read` returns it;
            what `landscape` or `curvature` returns; or the folder of a run, a sweep or a finding.
        unverified: Whether to read a folder without checksums (run.json) nevertheless.

    Returns:
        The file's text; write it as UTF-8.

    Raises:
        RunFolderError: It is none of these, or the folder cannot be read.

    Example:
        >>> import pathlib
        >>> import thalweg as tw
        >>> run = tw.fit("iris", epochs=2)
        >>> pathlib.Path("report.html").write_text(tw.render(run), encoding="utf-8") > 10_000
        True
    """
    shown: Any = run
    records: list[Record] = []
    if isinstance(shown, (str, Path)):
        folder = Path(shown)
        if finding_io.is_finding(folder):
            return _finding(finding_io.read(folder))
        shown = (read_sweep if is_sweep(folder) else read)(folder, unverified=unverified)
    if isinstance(shown, (Landscape, Line, Curvature)):
        return landscape_page.render(shown)
    if isinstance(shown, Runs):
        records, first = [run.record for run in shown], shown[0].record
        name = shown.folder or Path(str(shown.result.get("data") or "sweep"))
        shown = Sweep(name, shown.result, shown.table, first.problem, first.environment)
    if isinstance(shown, Sweep):
        return sweep_page.render(shown, ranking_of(shown), records)
    shown = shown.record if isinstance(shown, Run) else shown
    if not isinstance(shown, Record):
        rule = "takes a run, a sweep, a record or a folder"
        hint = "for example render(tw.fit(...)), or render('runs/digits-0')"
        raise RunFolderError("render", rule, got=shown, hint=hint)
    return page.render(shown)


def write_report(run: Run | Runs) -> Path | None:
    """Write the report of a run or sweep into its folder; return its path, or None for memory only.

    Raises:
        OSError: It cannot be written.
    """
    if run.folder is None:
        return None
    target = run.folder / "report.html"
    replace(target, render(run).encode(), durable=False, files=files_of(run.folder))
    return target


def _finding(finding: dict[str, Any]) -> str:
    if finding_io.is_of_batches(finding):
        return batch_page.render(finding_io.batch_from_dict(finding), finding)
    return finding_page.render(finding_io.from_dict(finding), finding)
