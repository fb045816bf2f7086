"""Changes trained in full: the proof and the repair of what short arms suggest."""

from collections.abc import Sequence
from dataclasses import replace

from thalweg.engine.feeds import feed_for
from thalweg.insight.doctor.anatomy import held_of
from thalweg.insight.doctor.arms import BASE, HALF, Result, effect, joined, proves
from thalweg.insight.doctor.case import STRONG, Case, Moves, Trial
from thalweg.insight.doctor.judge import failing, scale_of

ENOUGH = 0.75  # share of the gap that a repair recovers at least, and that ends the search
PROMISING = 0.3  # effect of the best short arm above which no longer run is tried
LONGER = 0.4  # weight of a suspicion of a short run below which no longer one is tried
# Causes whose repair takes more updates, and for which one that diverges later is tried with another change.
LENGTHENING = ("epochs_few", "batch_large")
SETTLING = ("loss_unstable", "clip_missing", "lr_high")
MOST_SEEDS = 6  # seeds of a repair whose interval three leave open
# Causes by which validation says something else than how well the network does: their repair changes the rows
# that are judged, and may bring the metric down.
JUDGED_WRONGLY = ("data_leakage", "train_eval_mismatch")


def confirm(case: Case, trials: Sequence[Trial], moves: Moves, settled: Moves = ()) -> float:
    """Train moves in full; return the share of the gap that they recover.

    Args:
        case: The case.
        trials: The suspicions whose changes these are.
        moves: The changes.
        settled: Further ones that only keep it finite.
    """
    settled = tuple(move for move in settled if move not in moves)
    moves = (*moves, *settled)
    base = case.base
    assert base is not None
    name = " + ".join(dict.fromkeys(move.change.fix for move in moves))
    seeds = case.bench.seeds[: max(1, int(case.left / max(length(case, moves, ()), 1e-9)))]
    result = case.bench.run([(name, moves)], None, seeds=seeds).get(name)
    if result is None:
        return 0.0
    for trial in trials:
        trial.full = result
        if trial not in case.trials:
            case.trials.append(trial)
    recovered = effect(result, base)
    if case.repaired is None or _better(result, case.repaired):
        case.repaired, case.accepted = result, moves
        case.settled = settled or case.settled
    return recovered


def _better(one: Result, other: Result) -> bool:
    """Return whether a result is better: no lane diverges, or a higher score."""
    return (not any(one.diverged), one.score) > (not any(other.diverged), other.score)


def simpler(case: Case, trial: Trial) -> Trial:
    """Return the part of a pair that does as much alone, in a whole run; the pair, if none does.

    A fault of data, head or model that is strongly suspected may need a whole run to show its repair, where
    another optimizer shows its own after a tenth. One seed tells.
    """
    seeds, base = case.bench.seeds, case.base
    for part in trial.parts:
        generic = all(move.change.group == "optimisation" for move in part.moves)
        short = case.left < (1 + len(seeds)) * length(case, part.moves)
        if base is None or generic or short or part.finding.weight < STRONG:
            continue
        moves = (*case.accepted, *part.moves, *(each for each in finite(case) if each not in part.moves))
        result = case.bench.run([(part.name, moves)], None, seeds=seeds[:1]).get(part.name)
        if result is not None and effect(result, replace(base, values=base.values[:1])) >= ENOUGH:
            return part
    return trial


def length(case: Case, moves: Moves, accepted: Moves | None = None) -> float:
    """Return the length of an arm on top of what is accepted, in trainings of the diagnosed recipe."""
    problem, recipe = case.bench.built((*(case.accepted if accepted is None else accepted), *moves))
    epoch = feed_for(problem.data.train, [recipe], whole=problem.whole_batches).epoch_steps
    return recipe.length(epoch) / max(1, case.view.total)


def finite(case: Case) -> Moves:
    """Return what keeps the loss finite at certainty, where it is not and nothing does yet."""
    moves = next((each.moves[0] for each in case.findings if each.cause == SETTLING[0] and each.moves), ())
    return () if moves and moves[0] in case.accepted else moves


def lengthen(case: Case) -> None:
    """Train longer with one seed, where the loss was still falling and no short arm does as much.

    A longer run cannot be shortened to an arm, and three of it would cost more than everything else. It takes
    as many updates as the budget leaves; if these do, so will more.
    """
    base = case.base
    suspects = [each for each in case.findings if each.cause in LENGTHENING and each.weight >= LONGER]
    best = max((each.effect for each in case.trials), default=0.0)
    stronger = [each for each in case.findings if each.weight >= STRONG and each.cause not in LENGTHENING]
    if not suspects or best >= PROMISING or stronger or base is None:
        return
    suspect, moves = suspects[0], (*suspects[0].moves[0], *finite(case))
    share = min(length(case, moves), case.left)
    if share < 1.0:
        return
    steps, seeds = int(share * case.view.total), case.bench.seeds[:1]
    name = suspect.moves[0][0].change.fix
    result = case.bench.run([(name, (*case.accepted, *moves))], steps, seeds=seeds).get(name)
    if result is not None:
        case.trials.append(Trial(suspect, suspect.moves[0], name, full=result, effect=effect(result, base)))
        if effect(result, base) >= ENOUGH:
            case.repaired, case.accepted, case.settled = result, (*case.accepted, *moves), finite(case)


def settle(case: Case) -> None:
    """Add what else keeps it finite to a repair that trains and then diverges: see `finite`."""
    for cause in SETTLING:
        repaired, accepted = case.repaired, case.accepted
        if repaired is None or case.base is None or not any(repaired.diverged):
            return
        finding = next((each for each in case.findings if each.cause == cause and each.moves), None)
        short = case.left < len(case.bench.seeds) * length(case, ())
        if finding is None or short or effect(repaired, case.base) < HALF or finding.moves[0][0] in accepted:
            continue
        helped = [trial for trial in case.trials if trial.full is repaired]
        confirm(case, [Trial(finding, finding.moves[0], cause)], accepted, finding.moves[0])
        if case.repaired is not repaired:
            for trial in helped:
                trial.full = case.repaired


def strengthen(case: Case) -> None:
    """Train further seeds, while the repair's interval includes zero and the budget allows it.

    Three seeds that agree roughly leave an interval open that a fourth closes. What is certain anyway needs
    no proof.
    """
    bench = case.bench
    if all(trial.finding.certain for trial in case.trials if trial.full is case.repaired):
        return
    while case.base is not None and case.repaired is not None:
        base, repaired = case.base, case.repaired
        cost = base.steps / max(1, case.view.total) + length(case, ())
        enough = len(repaired.values) < MOST_SEEDS and len(repaired.values) == len(base.values)
        if proves(repaired, base) or effect(repaired, base) < ENOUGH or not enough or case.left < cost:
            return
        seed = bench.seeds[0] + len(base.values)
        more = bench.run([(BASE, ()), (repaired.name, case.accepted)], None, seeds=(seed,))
        if repaired.name not in more:
            return
        case.base = joined(base, more[BASE])
        case.repaired = joined(repaired, more[repaired.name])
        for trial in case.trials:
            if trial.full is repaired:
                trial.full = case.repaired


def mend(case: Case) -> bool:
    """Train beside validation rows that judge rightly; return whether that was the fault, and is done.

    No gap can be recovered: the repair is one if what is left then does not fail, beside references on it.
    """
    finding = next((each for each in case.findings if each.cause in JUDGED_WRONGLY and each.moves), None)
    if finding is None or case.base is None or case.left < len(case.bench.seeds):
        return False
    moves = finding.moves[0]
    result = case.bench.run([(finding.cause, moves)], None).get(finding.cause)
    problem, _ = case.bench.built(moves)
    if result is None:
        return False
    anatomy = replace(case.view.anatomy, held=held_of(case.view.anatomy, problem))
    scale = scale_of(anatomy)
    result = replace(result, constant=scale.constant, ceiling=scale.ceiling)
    if failing(case.view, result, scale):
        return False
    case.trials.append(Trial(finding, moves, finding.cause, full=result))
    case.repaired, case.accepted, case.mended = result, moves, True
    return True
