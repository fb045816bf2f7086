"""A race as text for 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.race.result import Contestant, Race
from thalweg.insight.race.verdict import Pair
from thalweg.insight.summary import Statement
from thalweg.insight.wording import count, figure, listing, measure, plural, seconds, setting
from thalweg.view.text import bullets, facts


def show(race: Race) -> RenderableType:
    """Show who won, by how much, and at what cost."""
    style = "bold green" if race.winner else "bold yellow"
    return Group(
        Text(headline(race), style=style),
        Text(),
        _table(race),
        Text(),
        *bullets(statements(race)),
        Text(),
        facts(known(race)),
    )


def headline(race: Race) -> str:
    """Return the verdict in one sentence."""
    after = f"after {plural(race.seeds, 'seed')} each"
    if race.interrupted:
        return f"{race.data}: interrupted {after}; no verdict" if not race.pairs else _verdict(race, after)
    return _verdict(race, after)


def _verdict(race: Race, after: str) -> str:
    if race.winner:
        return f"{race.data}: {race.winner} is the best of {len(race.contestants)}, {after}"
    settled = [pair for pair in race.pairs if pair.winner]
    if not settled:
        return f"{race.data}: cannot tell, {after}"
    return f"{race.data}: no overall winner; {len(settled)} of {len(race.pairs)} pairs settled, {after}"


def statements(race: Race) -> list[Statement]:
    """Return one sentence for each pair, and what limits them."""
    found = [_pair(race, pair) for pair in race.pairs]
    for one in race.contestants:
        if one.recipe is None and not race.interrupted:
            text = f"{one.name}: every training of tuning diverged, so it did not race."
            found.append(Statement("diverged", text, "bad"))
        elif one.diverged:
            text = f"{one.name}: {one.diverged} of {len(one.values)} seeds diverged; they count as the worst "
            found.append(Statement("diverged", f"{text}figure that the race saw.", "bad"))
    skewed = [f"{pair.first} and {pair.second}" for pair in race.skewed]
    if skewed:
        text = f"The differences of {listing(skewed)} are skewed, while the tests assume normal ones: "
        found.append(Statement("skewed", f"{text}their error rates may be off.", "unclear"))
    return found


def _pair(race: Race, pair: Pair) -> Statement:
    ends = difference(pair)
    if pair.winner is None:
        text = f"{pair.first} and {pair.second}: cannot tell (difference {ends}, corrected p {pair.p:.2g})."
        return Statement("pair", text, "unclear")
    loser = pair.second if pair.winner == pair.first else pair.first
    text = f"{pair.winner} is better than {loser}: {pair.first} minus {pair.second} is {ends}, corrected "
    return Statement("pair", f"{text}p {pair.p:.2g}, settled after {plural(pair.decided_at, 'seed')}.")


def difference(pair: Pair) -> str:
    """Write a paired difference with its interval."""
    if pair.low is None or pair.high is None:
        return figure(pair.difference, 3)
    if pair.high == float("inf"):
        return f"{figure(pair.difference, 3)} (no finite interval yet)"
    return f"{figure(pair.difference, 3)} ({figure(pair.low, 3)} to {figure(pair.high, 3)})"


def _table(race: Race) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column("", style="bold", overflow="fold")
    for name in (f"validation {race.metric}", "judged at", "to target", "rate"):
        grid.add_column(name, overflow="fold")
    for one in race.ranked:
        grid.add_row(*(Text(cell) for cell in row(race, one)))
    return grid


def row(race: Race, one: Contestant) -> tuple[str, str, str, str, str]:
    """Return name, mean with interval, stop, updates and seconds to the target, and the rate found."""
    mean = "-" if one.estimate is None else one.estimate.text(race.metric)
    stop = "-" if one.stop is None else f"step {count(one.stop)}"
    target = "-" if one.to_target is None else f"{count(one.to_target)} ({seconds(one.seconds_to_target)})"
    rate = "-" if not one.settings else setting(next(iter(one.settings.values())))
    return one.name, mean, stop, target, rate


def known(race: Race) -> list[tuple[str, str]]:
    """Return the facts of a race, by name."""
    way = "looks at 5, 10 and 20 seeds, t tests" if race.fast else "e-process, looked at every 5 seeds"
    target = (
        None if race.target is None else f"{measure(race.metric, race.target)}, which all reach on average"
    )
    spent = f"{race.budget} trainings of {plural(race.steps, 'step')} each: {race.tuning} to tune, the rest "
    return [
        ("budget", f"{spent}one for each seed (stopped at {race.seeds})"),
        ("test", f"{way}; Holm over {plural(len(race.pairs), 'pair')}, level {race.level:g}"),
        ("target", target or ""),
        ("covers", "intervals and verdicts cover seeds, on these validation rows; tuning is not repeated"),
    ]
