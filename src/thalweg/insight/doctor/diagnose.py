"""`diagnose`: is it failing, what is suspected, what does a counterfactual run say, and what repairs it.

1. Static checks of problem and recipe, and a probe of the network before training.
2. The base: the recipe as it is, over the seeds. It is judged against what the data allow (`judge`). A
   healthy run ends here; one that passes and misses something beside a strong suspicion does, too, unless
   the repair of that is proven to do better.
3. What is certain from problem and recipe alone is changed first, all at once, and trained.
4. Else arms: single changes for suspected causes, short, beside two controls; then pairs of the best ones.
5. The best arm is trained in full. It is the proof if it recovers half of the gap, its interval excludes
   zero, and no control does the same; what puts the fault back is the base itself, or the repair without that
   change.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.arguments import checked
from thalweg.core.caller import option
from thalweg.core.errors import BadInput
from thalweg.engine.feeds import feed_for
from thalweg.insight.doctor.anatomy import Anatomy, opened
from thalweg.insight.doctor.answer import answer, is_generic, proven
from thalweg.insight.doctor.arms import BASE, Bench, Result, effect
from thalweg.insight.doctor.case import STRONG, Case, Trial
from thalweg.insight.doctor.checks import CHECKS
from thalweg.insight.doctor.diagnosis import Diagnosis
from thalweg.insight.doctor.finding import Finding, View
from thalweg.insight.doctor.full import (
    ENOUGH,
    PROMISING,
    confirm,
    finite,
    length,
    lengthen,
    mend,
    settle,
    simpler,
    strengthen,
)
from thalweg.insight.doctor.judge import doubtful, failing, scale_of
from thalweg.insight.doctor.moves import setting
from thalweg.insight.doctor.plan import Move
from thalweg.insight.doctor.probe import probed
from thalweg.insight.doctor.profile import profiled
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe, own_rate
from thalweg.run.progress import Progress, Status, listener
from thalweg.run.restore import Trained
from thalweg.run.validate import check_loss, check_recipe

# The best arms are trained longer, up to this share of a run, where the budget allows.
PROMOTED, LONGEST = 3, 0.5
DEAR = 0.3  # length of an arm, as a share of a run, from which on it is trained with one seed
ALMOST = 0.85  # effect of the best arm above which no pairs are tried
# Weight below which a suspicion is not worth a compilation beside a strong one.
FAINT = 0.25
CONTROL, IRRELEVANT = "no change", "irrelevant change"
# Weight of a suspicion that is nearly sure; causes that are then an alarm also where the metric looks well.
SURE, ALARMING = (
    0.8,
    (
        "data_leakage",
        "train_eval_mismatch",
        "labels_corrupted",
        "data_too_little",
    ),
)
LEARNED = 0.03  # what a network is ahead of a constant, at least, where something can be learned
MOST_LANES = 100  # seeds of an arm


@checked(BadInput)
def diagnose(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    budget: float = 10.0,
    seeds: int = 3,
    quick: bool = False,
    progress: Progress | Callable[[Status], Any] | bool | None = False,
) -> Diagnosis:
    """Say why a training fails, prove it, and repair it.

    Args:
        problem: What is learned: with a loss or an objective, a model of the library or any Equinox module.
        recipe: How; None for the default of the data.
        budget: Trainings of the recipe that may be spent, at least `seeds`; 0 for static checks alone.
        seeds: Seeds of every arm, at least 3.
        quick: Static checks and a short probe only.
        progress: As for `train`; by default nothing is shown.

    Returns:
        The diagnosis; `repaired` is a problem and a recipe that train, where a repair was found.

    Raises:
        BadInput: The budget is too small, or the problem cannot be looked at.

    Example:
        >>> import thalweg as tw
        >>> problem = tw.Problem(tw.MLP([64, 32, 10], activation="sigmoid"), tw.load("digits"))
        >>> tw.diagnose(problem, tw.Recipe(tw.SGD(lr=1e-6), epochs=5)).causes[0].name
        'lr_low'
    """
    if not 3 <= seeds <= MOST_LANES:
        raise BadInput("doctor", f"needs 3 to {MOST_LANES} seeds", got=seeds, hint=option("seeds", 3))
    if budget < 0 or 0 < budget < 1:
        rule = "budget must be 0, or one training or more"
        raise BadInput("doctor", rule, got=budget, hint=f"for example {option('budget', 10)}")
    recipe = recipe or default_recipe(problem.data.task, problem.data.train.count())
    return diagnosed(problem, recipe, budget, seeds, quick or budget == 0, listener(progress))


def diagnosed(
    problem: Problem,
    recipe: Recipe,
    budget: float,
    seeds: int,
    quick: bool,
    progress: Progress,
    finished: Trained | None = None,
) -> Diagnosis:
    """Diagnose, see `diagnose`.

    Args:
        problem, recipe, budget, seeds, quick, progress: As there.
        finished: What a run of the recipe gave. Where nothing is trained, it is the base that is judged, so
            that a look at a run says no less than the run does.
    """
    started = time.perf_counter()
    with np.errstate(all="ignore"):  # losses and outputs that are not finite are what is looked at
        case = _examined(problem, recipe, budget, seeds, quick, progress, trees=not quick or bool(finished))
        if not case.quick:
            _train_base(case)
            doubted = not case.unhealthy and _doubted(case)
            if case.unhealthy or doubted:
                _search(case)
                settle(case)
                strengthen(case)
            case.unhealthy |= doubted and bool(set(proven(case)) & _sure(case))
        elif finished is not None:
            _take_base(case, case.bench.of_run(BASE, finished))
        return answer(case, time.perf_counter() - started)


def _examined(
    problem: Problem,
    recipe: Recipe,
    budget: float,
    seeds: int,
    quick: bool,
    progress: Progress,
    trees: bool,
) -> Case:
    """Return the case after static checks."""
    check_recipe(problem, recipe)
    check_loss(problem)
    anatomy: Anatomy = opened(problem, recipe)
    probe, profile = probed(anatomy, anatomy.built), profiled(anatomy)
    scale = scale_of(anatomy, trees=trees)
    epoch = feed_for(problem.data.train, [recipe], whole=problem.whole_batches).epoch_steps
    view = View(anatomy, probe, profile, scale.references, recipe.length(epoch), epoch, scale.ceiling)
    bench = Bench(anatomy, tuple(range(recipe.seed, recipe.seed + seeds)), progress)
    bench.constant, bench.ceiling = scale.constant, scale.ceiling
    case = Case(view, bench, scale, budget, quick)
    case.findings = _found(view)
    case.unhealthy = quick and any(each.certain for each in case.findings)
    return case


def _found(view: View) -> list[Finding]:
    """Return the findings of all checks, one for each cause, strongest first."""
    by_cause: dict[str, Finding] = {}
    for check in CHECKS:
        for each in check.run(view):
            if each.cause not in by_cause or each.weight > by_cause[each.cause].weight:
                by_cause[each.cause] = each
    return sorted(by_cause.values(), key=lambda each: -each.weight)


def _train_base(case: Case) -> None:
    seeds = case.bench.seeds[: max(1, int(min(len(case.bench.seeds), case.budget)))]
    _take_base(case, case.bench.run([(BASE, ())], None, seeds=seeds)[BASE])


def _take_base(case: Case, base: Result) -> None:
    """Judge the runs as diagnosed."""
    case.base = base
    finite = next((m for m, bad in zip(base.modules, base.diverged, strict=True) if not bad), base.modules[0])
    worst = int(np.argmin(base.values))
    module = base.modules[worst] if not base.diverged[worst] else finite
    after = probed(case.view.anatomy, module)
    case.view = replace(case.view, base=base, after=after)
    suspected = any(each.weight >= SURE for each in case.findings)
    case.findings = _found(case.view)
    fails = failing(case.view, base, case.scale, suspected)
    alarming = [each for each in case.findings if each.cause in ALARMING and each.weight >= SURE]
    if base.score > case.scale.constant + max(LEARNED, case.scale.noise):  # the labels do say something
        alarming = [each for each in alarming if each.cause != "labels_corrupted"]
    certain = any(each.certain for each in case.findings)
    case.unhealthy = fails or bool(alarming) or (certain and base.gap > 0.15)


def _sure(case: Case) -> set[str]:
    """Return the causes that are suspected strongly and have changes of their own: rates rescue anything."""
    own = (each for each in case.findings if each.moves and not is_generic(each))
    return {each.cause for each in own if each.weight >= SURE}


def _doubted(case: Case) -> bool:
    """Return whether a run that passes is tried against a strong suspicion, as it misses some of the way."""
    base = case.base
    return bool(base is not None and case.left > 0 and _sure(case) and doubtful(base, case.scale))


def _search(case: Case) -> None:
    """Try what is suspected; fill in trials, what is accepted, and the repair."""
    base = case.base
    assert base is not None
    if mend(case):
        return
    certain = [each for each in case.findings if each.certain and each.moves]
    if certain and case.left >= len(case.bench.seeds):
        moves = tuple(move for each in certain for move in each.moves[0])
        trials = [Trial(each, each.moves[0], each.cause) for each in certain]
        if confirm(case, trials, moves, finite(case)) >= ENOUGH:
            return
        if case.repaired is not None and case.repaired.gap < base.gap - 0.1:
            case.accepted = moves
    _screen(case)
    lengthen(case)
    if case.repaired is not None and effect(case.repaired, base) >= ENOUGH:
        return
    for trial in _ranked(case)[:2]:
        if case.left < length(case, trial.moves):
            continue
        trial = simpler(case, trial)
        if confirm(case, [trial], (*case.accepted, *trial.moves), finite(case)) >= ENOUGH:
            return


def _ranked(case: Case) -> list[Trial]:
    """Try pairs, and the best arms for longer; return the trials that recovered something, best first."""
    best, strong = _best(case) or _suspected(case), [each for each in _suspected(case) if each.strong]
    if len({trial.finding.cause for trial in strong}) > 1 and best[0].effect < PROMISING:
        _pairs(case, strong[:3])  # two faults, of which no single change shows anything
        best = _best(case) or best
    if best and best[0].effect < ALMOST and _promote(case, best):
        best = _best(case) or _suspected(case)
    if best and best[0].effect < ALMOST:
        suspects = [each for each in case.trials if each.strong and each not in best[:3]]
        best = [*_pairs(case, [*best[:3], *suspects[:1]]), *best]
    return [each for each in best if each.effect > 0.05]


def _best(case: Case) -> list[Trial]:
    """Return the trials whose arms recovered something, best first."""
    ranked = sorted(case.trials, key=lambda each: -each.rank)
    return [each for each in ranked if each.short is not None and each.effect > 0.05]


def _suspected(case: Case) -> list[Trial]:
    """Return the strongest suspicions that were tried, whatever their arms did."""
    tried = (each for each in case.trials if each.short is not None and each.finding.weight >= FAINT)
    return sorted(tried, key=lambda each: -each.finding.weight)


def _promote(case: Case, best: Sequence[Trial]) -> bool:
    """Train the best arms longer, with what the budget leaves; return whether that was done.

    After a tenth of a run the arms with the highest rates are ahead, and few changes have shown what they do.
    """
    seeds, chosen = len(case.bench.seeds), list(best[:PROMOTED])
    share = min(LONGEST, (case.left - seeds) / (seeds * len(chosen)))
    steps = int(share * case.view.total)
    if steps < 2 * case.steps:
        return False
    arms = [(f"{each.name}, longer", (*case.accepted, *each.moves)) for each in chosen]
    results = case.bench.run(arms, steps)
    for (name, _), trial in zip(arms, chosen, strict=True):
        trial.judge(results.get(name), case.base)
    return True


def _screen(case: Case) -> None:
    """Train short arms for the suspected causes, beside both controls."""
    recipe = case.view.recipe
    tweak = _irrelevant(recipe)
    controls = [(CONTROL, case.accepted), (IRRELEVANT, (*case.accepted, tweak))]
    reserve, cost = len(case.bench.seeds), case.steps / max(1, case.view.total)
    # Of a run that is hardly longer than an arm, one seed has to do.
    seeds = case.bench.seeds if cost < DEAR else case.bench.seeds[:1]
    cost *= len(seeds)
    most = int((case.left - reserve) / cost) - len(controls)
    if most < 1:  # a repair is then trained with one seed
        most = int((case.left - 1) / cost) - len(controls)
    tried = {move.change.fix for move in case.accepted}
    chosen: list[Trial] = []
    strongest = max((each.weight for each in case.findings), default=0.0)
    for finding in case.findings:
        compiles = any(move.structural for move in finding.moves[0]) if finding.moves else False
        if finding.cause == "epochs_few" or (compiles and strongest >= STRONG and finding.weight < FAINT):
            continue
        for number, moves in enumerate(finding.moves[: 2 if finding.weight >= 0.3 else 1]):
            if not {move.change.fix for move in moves} & tried:
                chosen.append(Trial(finding, moves, f"{finding.cause}.{number}"))
    chosen = sorted(chosen, key=lambda each: (each.name.endswith(".1"), -each.finding.weight))[: max(0, most)]
    # What is suspected strongly goes first: where its own change does nearly all, no other has to be tried.
    own = [each for each in chosen if each.finding.weight >= STRONG and not is_generic(each.finding)]
    rest = [each for each in chosen if each not in own]
    for stage in [own, rest] if own else [rest]:
        if max((each.effect for each in case.trials if each in own), default=0.0) >= ALMOST:
            return
        arms = [*controls, *((each.name, (*case.accepted, *each.moves)) for each in stage)]
        results = case.bench.run(arms, case.steps, seeds=seeds)
        if controls:
            case.short_base, case.irrelevant = results.get(CONTROL), results.get(IRRELEVANT)
        for trial in stage:
            trial.judge(results.get(trial.name), case.short_base)
        case.trials += stage
        controls = []


def _pairs(case: Case, best: Sequence[Trial]) -> list[Trial]:
    """Try the best arm together with each of the next ones; a pair counts for the stronger suspicion."""
    first, arms = best[0], []
    for other in best[1:]:
        if other.finding.cause != first.finding.cause and not _overrides(first, other):
            moves = (*first.moves, *other.moves)
            finding = max(first.finding, other.finding, key=lambda each: each.weight)
            trial = Trial(finding, moves, f"{first.name} + {other.name}", parts=(first, other))
            arms.append((trial, moves))
    if case.short_base is None:
        return []
    seeds = case.bench.seeds[: len(case.short_base.values)]
    room = int((case.left - len(case.bench.seeds)) * case.view.total / (len(seeds) * case.steps))
    arms = arms[: max(0, room)]
    named = [(trial.name, (*case.accepted, *moves)) for trial, moves in arms]
    results = case.bench.run(named, case.steps, seeds=seeds)
    better = []
    for trial, _ in arms:
        trial.judge(results.get(trial.name), case.short_base)
        if trial.effect > first.effect + 0.1:
            better.append(trial)
    case.trials += better
    return sorted(better, key=lambda each: -each.effect)


def _overrides(one: Trial, other: Trial) -> bool:
    """Return whether one of two changes takes the other back: a rate, and an optimizer with its own."""
    both = [{move.change.where or "" for move in trial.moves} for trial in (one, other)]
    rates = [any(where.startswith("recipe.optimizer") for where in each) for each in both]
    return all(rates) and any("recipe.optimizer" in each for each in both)


def _irrelevant(recipe: Recipe) -> Move:
    """Return a change that cannot matter: a learning rate that differs in the fifth digit."""
    if not recipe.optimizer.rates:
        return setting("do_nothing", recipe, "seed", recipe.seed)
    path = f"optimizer.{recipe.optimizer.rates[0]}"
    return setting("do_nothing", recipe, path, own_rate(recipe) * 1.00001)
