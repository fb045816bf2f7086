"""`thalweg audit`: the texts' checklist for a recipe or a run, with the experiments that try each point."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options
from thalweg.doors.cli.output import print_json, print_text
from thalweg.lab.audit import STATUSES, Audit, AuditRow, Trial, audit
from thalweg.lab.checklist import FOLLOWED, MISSED, OPEN, UNUSED
from thalweg.view.text import LEVELS

_STYLES = {FOLLOWED: LEVELS["good"], MISSED: LEVELS["unclear"]}


def audit_recipe(options: Options) -> int:
    """Print the checklist; return the exit code: a point that is not followed is a result, no failure."""
    checklist = audit(options["what"])
    if options["json"]:
        print_json(checklist.to_dict())
    else:
        print_text(shown(checklist))
    return EXIT_DONE


def shown(checklist: Audit) -> RenderableType:
    """Return the checklist for `rich.console.Console.print`, by status."""
    parts: list[RenderableType] = [Text(f"{checklist.subject} {checklist.summary}", style="bold"), Text()]
    for status in STATUSES:
        rows = [row for row in checklist if row.status == status]
        if rows:
            parts += [Text(status, style=f"bold {_STYLES.get(status, '')}".strip()), _table(rows), Text()]
    parts.append(Text("thalweg lab run NAME runs the experiment of a point on this machine."))
    return Group(*parts)


def _table(rows: list[AuditRow]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        settings = "".join(f"\n--set {change}" for change in row.change)
        tried = "" if row.status in (OPEN, UNUSED) else "".join(f"\n{_tried(each)}" for each in row.trials)
        grid.add_row(f"  {row.point}", f"{row.advice} Here: {row.here}.{settings}{tried}")
    return grid


def _tried(trial: Trial) -> str:
    return f"lab {trial.name}: {trial.verdict or 'not in the book'}"
