"""From a finished case to its diagnosis: which causes are proven, which are not, and what repairs it."""

from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.insight.doctor.arms import HALF, Result, effect, paired, proves
from thalweg.insight.doctor.case import STRONG, Case, Trial
from thalweg.insight.doctor.diagnosis import (
    PROVEN,
    REFUTED,
    STATIC,
    UNPROVEN,
    Arm,
    Cause,
    Cost,
    Diagnosis,
    Evidence,
    Repair,
)
from thalweg.insight.doctor.finding import Finding
from thalweg.insight.doctor.judge import of_symptoms, symptoms
from thalweg.insight.doctor.plan import Move
from thalweg.insight.doctor.vocabulary import CAUSES

# Share of the gap below which an arm that was tried refutes a suspicion, and that a repair recovers.
NOTHING, REPAIRED = 0.1, 0.6
# Weight of the effect of a change that rescues much, and of a suspicion beside which it proves nothing.
GENERIC, RIVAL = 0.5, 0.4
# A rival whose own arm recovers less than this share of what the other one does is none.
AS_MUCH = 0.35
# Weight of a suspicion that is still listed beside a repair which did without it.
LEFT_OVER = 0.75
# Causes that are listed without a proof: so many, with at least this weight.
MOST_UNPROVEN, LEAST = 3, 0.3


def answer(case: Case, seconds: float) -> Diagnosis:
    """Return the diagnosis of a case."""
    bench = case.bench
    cost = Cost(bench.trainings, bench.updates, seconds, bench.compile_seconds)
    references = {} if case.scale.references is None else case.scale.references.scores
    anatomy = case.view.anatomy
    subject = {
        "data": anatomy.problem.data.name,
        "model": anatomy.problem.model_name,
        "metric": anatomy.metric,
    }
    healthy = Diagnosis(True, references=references, cost=cost, subject=subject, arms=_arms(case))
    if not case.unhealthy:
        return replace(healthy, advice=_advice(case))
    causes, refuted = _causes(case)
    repair = _repair(case)
    found = () if case.base is None else of_symptoms(symptoms(case.view, case.base, case.scale, True))
    repaired = None
    if repair is not None:
        repaired = bench.built(case.accepted)
    return replace(
        healthy,
        healthy=False,
        symptoms=found,
        causes=causes,
        refuted=refuted,
        repair=repair,
        repaired=repaired,
        controls=_controls(case),
        advice=tuple(f"{name} was left out: {why}" for name, why in bench.left_out.items()),
    )


def _advice(case: Case) -> tuple[str, ...]:
    return tuple(f"{CAUSES[each.cause]}: {each.why}" for each in case.findings if each.weight >= STRONG)


def _controls(case: Case) -> tuple[tuple[str, Any], ...]:
    if case.short_base is None:
        return ()
    changed = None if case.irrelevant is None else paired(case.irrelevant, case.short_base)
    return (("no change", paired(case.short_base, case.short_base)), ("irrelevant change", changed))


def _arms(case: Case) -> tuple[Arm, ...]:
    rows = []
    if case.base is not None:
        rows.append(_arm(case.base, (), None))
    for result in (case.short_base, case.irrelevant):
        if result is not None:
            rows.append(_arm(result, (), case.short_base))
    for trial in case.trials:
        if trial.short is not None:
            rows.append(_arm(trial.short, trial.moves, trial.beside))
    if case.repaired is not None:
        rows.append(_arm(case.repaired, case.accepted, case.base))
    return tuple(rows)


def _arm(result: Result, moves: tuple[Move, ...], base: Result | None) -> Arm:
    """Return a row of the table of arms."""
    interval = None if base is None else paired(result, base)
    changes = tuple(move.change for move in moves)
    return Arm(result.name, changes, result.values, result.steps, interval, tuple(result.mean_curve))


def _recovered(result: Result | None, base: Result | None) -> float:
    return 0.0 if result is None or base is None else effect(result, base)


def _causes(case: Case) -> tuple[tuple[Cause, ...], tuple[Cause, ...]]:
    """Return the causes, ranked, and those that were refuted."""
    ranked: list[tuple[float, Cause]] = []
    refuted: list[Cause] = []
    by_cause = _by_cause(case)
    shown = _proven(case, by_cause)
    for finding in case.findings:
        trial = by_cause.get(finding.cause)
        change = (
            trial.moves[0].change
            if trial is not None
            else finding.moves[0][0].change
            if finding.moves
            else None
        )
        evidence = None if trial is None else _evidence(case, trial)
        # A change of the rate rescues half of everything a little: its effect says less about the cause.
        worth = GENERIC if is_generic(finding) else 1.0
        rank = finding.weight + (0.0 if trial is None else worth * min(1.0, max(trial.effect, 0.0)))
        proof = UNPROVEN
        if finding.certain:
            proof, rank = STATIC, rank + 3
        elif finding.cause in shown:
            proof, rank = PROVEN, rank + 2.5
        elif trial is not None and _repairs(case, trial) and not _rivalled(case, trial, by_cause):
            rank += 1.5
        elif (
            trial is not None
            and trial.short is not None
            and trial.effect < NOTHING
            and trial.beside is not None
        ):
            if finding.weight < 0.75:
                refuted.append(Cause(finding.cause, REFUTED, finding.why, change, evidence))
                continue
            rank -= 0.4
        ranked.append((rank, Cause(finding.cause, proof, finding.why, change, evidence)))
    ranked.sort(key=lambda each: -each[0])
    sure = [cause for _, cause in ranked if cause.proof != UNPROVEN]
    likely = [cause for rank, cause in ranked if cause.proof == UNPROVEN and rank >= LEAST]
    if sure and (case.quick or _repair(case) is not None):  # what is left over explains nothing more
        strong = {each.cause for each in case.findings if each.weight >= LEFT_OVER and not is_generic(each)}
        return (*sure, *[cause for cause in likely if cause.name in strong][:1]), tuple(refuted)
    return (*sure, *likely[:MOST_UNPROVEN]), tuple(refuted)


def proven(case: Case) -> tuple[str, ...]:
    """Return the causes that arms have proven."""
    return _proven(case, _by_cause(case))


def _by_cause(case: Case) -> dict[str, Trial]:
    """Return the trial of each cause that recovered most."""
    found: dict[str, Trial] = {}
    for trial in case.trials:
        known = found.get(trial.finding.cause)
        if known is None or _worth(case, trial) > _worth(case, known):
            found[trial.finding.cause] = trial
    return found


def _worth(case: Case, trial: Trial) -> float:
    full = _recovered(trial.full, case.base) + 1 if trial.full is not None else 0.0
    return full + trial.effect


def _proven(case: Case, by_cause: dict[str, Any]) -> tuple[str, ...]:
    """Return the causes that are proven.

    One is proven if its change alone was trained in full, and recovers the gap. Both of a pair are if they
    recover it together, and neither does alone: putting one fault back brings the failure back. As that was
    seen in short arms only, both have to be suspected anyway.
    """
    for trial in sorted(by_cause.values(), key=lambda each: -each.rank):
        certain = proves(trial.full, case.base) and not _control_moves(case)
        if not certain or not _repairs(case, trial):
            continue
        if trial.parts:
            needed = [part for part in trial.parts if part.effect < HALF <= part.finding.weight]
            return tuple(part.finding.cause for part in needed) if len(needed) == len(trial.parts) else ()
        if not _rivalled(case, trial, by_cause):
            return (trial.finding.cause,)
    return ()


def _repairs(case: Case, trial: Trial) -> bool:
    """Return whether a trial's change alone is the repair, and recovers half of the gap."""
    return (
        trial.full is not None
        and trial.full is case.repaired
        and _alone(case, trial)
        and _recovered(trial.full, case.base) >= HALF
    )


def _rivalled(case: Case, trial: Trial, by_cause: dict[str, Any]) -> bool:
    """Return whether a change that rescues much a little has a suspicion beside it that is as strong, and
    whose own arm was not tried or does as much."""
    if not is_generic(trial.finding):
        return False
    for other in case.findings:
        if other.cause == trial.finding.cause or other.weight < max(RIVAL, trial.finding.weight):
            continue
        tried = by_cause.get(other.cause)
        if tried is None or tried.short is None or tried.effect >= AS_MUCH * trial.effect:
            return True
    return False


def is_generic(finding: Finding) -> bool:
    """Return whether a finding is tried by what rescues much: a change of the optimisation alone, or a second
    network beside the model, which does without whatever is wrong inside of that."""
    groups = {move.change.group for moves in finding.moves for move in moves}
    return finding.cause == "capacity_low" or groups == {"optimisation"}


def _alone(case: Case, trial: Trial) -> bool:
    """Return whether what was accepted is this trial's change and nothing else of another cause."""
    own = [move for move in case.accepted if move not in case.settled]
    return len(own) == len(trial.moves) and {m.change.fix for m in own} == {m.change.fix for m in trial.moves}


def _control_moves(case: Case) -> bool:
    """Return whether the irrelevant change recovers half of the gap as well."""
    return proves(case.irrelevant, case.short_base)


def _evidence(case: Case, trial: Trial) -> Evidence | None:
    full = trial.full is not None and case.base is not None
    result, base = (trial.full, case.base) if full else (trial.short, trial.beside)
    if result is None or base is None:
        return None
    control = () if case.short_base is None else case.short_base.values
    restored = base.values if full else ()
    return Evidence(
        case.view.anatomy.metric, base.values, result.values, control, restored, paired(result, base)
    )


def _repair(case: Case) -> Repair | None:
    result, base = case.repaired, case.base
    if result is None or base is None or any(result.diverged):
        return None
    if not np.isfinite(result.score) or (_recovered(result, base) < REPAIRED and not case.mended):
        return None
    changes = tuple(move.change for move in case.accepted)
    return Repair(changes, case.view.anatomy.metric, base.values, result.values)
