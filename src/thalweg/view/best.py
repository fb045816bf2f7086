"""A search for the best network as text for 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.best.candidates import Structure
from thalweg.insight.best.result import SHOWN, Best, Trial
from thalweg.insight.summary import Statement
from thalweg.insight.wording import figure, listing, measure, percent, plural, setting
from thalweg.view.text import bullets, facts


def show(best: Best) -> RenderableType:
    """Show the winner, the best trials, what mattered, and what limits it."""
    return Group(
        Text(headline(best), style="bold green" if best.run is not None else "bold yellow"),
        Text(),
        _table(best),
        Text(),
        *bullets(statements(best)),
        Text(),
        facts(known(best)),
    )


def headline(best: Best) -> str:
    """Return the winner in one sentence."""
    value, tried = measure(best.metric, best.winner.figure), plural(len(best.trials), "trial")
    if best.run is None:
        return f"{best.data}: interrupted after {tried}; validation {value} so far"
    return f"{best.data}: {best.model}, validation {value}, the best of {tried}"


def statements(best: Best) -> list[Statement]:
    """Return what was gained, what mattered, and what the figures do not say."""
    default = best.trials[0]
    if best.winner is default:
        found = [Statement("gain", "Nothing that was tried beat the default.", "unclear")]
    else:
        text = f"The default reached {measure(best.metric, default.figure)} on the same rows."
        found = [Statement("gain", text)]
    told = [row for row in best.mattered if row.told]
    for row in told:
        span = f"{percent(row.low, 0)} to {percent(row.high, 0)}"
        share = f"{percent(row.share, 0)} ({span})"
        text = f"{row.setting} accounts for {share} of the differences between trials."
        found.append(Statement("mattered", text))
    others = [row.setting for row in best.mattered if not row.told]
    if others:
        text = f"Whether {listing(others, 9)} mattered: cannot tell from {plural(len(best.trials), 'trial')}."
        found.append(Statement("mattered", text, "unclear"))
    elif not told:
        text = f"What mattered: cannot tell from {plural(len(best.trials), 'trial')}."
        found.append(Statement("mattered", text, "unclear"))
    text = "The validation figure is the best of many and therefore optimistic; the test figures are not: "
    found.append(Statement("optimistic", f"{text}the final run alone was evaluated on the test split."))
    return found


def _table(best: Best) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("round", f"validation {best.metric}", "rate", "updates", "setting"):
        grid.add_column(name, overflow="fold")
    for trial in best.ranked[:SHOWN]:
        grid.add_row(*(Text(cell) for cell in row(trial, best.trials[0].structure)))
    return grid


def row(trial: Trial, default: Structure) -> tuple[str, str, str, str, str]:
    """Return a trial as cells; of its structure what differs from the default's."""
    value = "diverged" if trial.figure is None else figure(trial.figure)
    number = "default" if trial.round == 0 else str(trial.round)
    words = [f"{name} {value}" for name, value in trial.structure.items() if value != default[name]]
    rate = "-" if trial.rate is None else setting(trial.rate)
    ended = "" if trial.whole else " (frozen)"
    return number, f"{value}{ended}", rate, f"{trial.updates:,}", ", ".join(words) or "-"


def known(best: Best) -> list[tuple[str, str]]:
    """Return the facts of a search, by name."""
    frozen = sum(not trial.whole for trial in best.trials)
    tried = f"{plural(len(best.trials), 'trial')} in {plural(best.rounds, 'round')} after the default"
    factors = "width, batch and length are factors of the default's"
    return [
        ("budget", f"{best.spent} of {best.budget}"),
        ("tried", f"{tried}; {frozen} did not run to their end"),
        ("judged", f"by {best.judged_by}, with one seed; {factors}"),
    ]
