"""Does the tape name the first faulty op and line? Planted faults in models, and clean runs, with the score.

Every fault is planted into every host (`faults.py`, `hosts.py`); vanishing and exploding gradients are
cases of their own (`vanishing.py`). A fault counts as found if the tape names an op of the right kind, in the
marked line; where the NaN reaches neither output nor gradients, if the op is among those that the tape calls
harmless. A clean run is a false alarm if the tape finds NaN, an infinity or a vanishing gradient in it.

For comparison: whether `jax.debug_nans` stops. It looks at the outputs of compiled functions only, and at
NaN, not at infinities.
"""

import contextlib
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.machine import markdown
from benchmarks.tape import vanishing
from benchmarks.tape.faults import FAULTS, HARMLESS, Fault, line_of
from benchmarks.tape.hosts import HOSTS, Host
from thalweg.insight.tape.tape import Tape, tape

CLEAN_SEEDS = 25
VANISHING_SEEDS = 3


class Case(NamedTuple):
    """A planted fault.

    Args:
        kind: The fault.
        host: The model.
        seed: Of the numbers.
        found: Whether op and line are right.
        said: What the tape said.
        switch: Whether `jax.debug_nans` stopped.
    """

    kind: str
    host: str
    seed: int
    found: bool
    said: str
    switch: bool


def planted(fault: Fault, host: Host, seed: int = 0) -> Tape:
    """Return the tape of a host with a fault."""
    parameters, x, y = host.make(np.random.default_rng(seed))
    return tape(lambda parameters, x, y: host.loss(parameters, x, y, fault.function), parameters, x, y)


def is_found(recorded: Tape, fault: Fault) -> bool:
    """Return whether a tape names the op and the line of a fault."""
    if fault.phase == HARMLESS:
        named = {(op.name, op.source.line if op.source else 0) for op in recorded.nonfinite.harmless}
        return recorded.nonfinite.birth is None and any((op, fault.line) in named for op in fault.ops)
    birth = recorded.nonfinite.birth
    if birth is None or birth.source is None:
        return False
    return birth.name in fault.ops and birth.source.line == fault.line and birth.phase == fault.phase


def said(recorded: Tape) -> str:
    """Return what a tape says, in a few words."""
    birth = recorded.nonfinite.birth
    if birth is not None:
        return f"{birth.kind} in {birth.phase} by {birth.name} at {birth.source}"
    if recorded.flow.verdict:
        culprit = recorded.flow.culprit
        return f"{recorded.flow.verdict} by {culprit.name if culprit else None}"
    return "healthy" if not recorded.nonfinite.harmless else "harmless"


def clean(host: Host, seed: int) -> Tape:
    """Return the tape of a host without a fault."""
    parameters, x, y = host.make(np.random.default_rng(1000 + seed))
    return tape(lambda parameters, x, y: host.loss(parameters, x, y, lambda h: h), parameters, x, y)


def vanishing_case(case: vanishing.Vanishing, seed: int) -> Tape:
    """Return the tape of a gradient that vanishes or explodes."""
    return tape(lambda parameters, x: case.loss(parameters, x, case.depth), *case.inputs(seed))


def vanishing_found(recorded: Tape, case: vanishing.Vanishing) -> bool:
    """Return whether a tape names the verdict, the op and the line of a vanishing gradient."""
    culprit = recorded.flow.culprit
    if recorded.flow.verdict != case.verdict or culprit is None or culprit.source is None:
        return False
    line = line_of(f"# fault: {case.name}", vanishing.__file__)
    return culprit.name in case.ops and culprit.source.line == line


def _switch_stops(fault: Fault, host: Host) -> bool:
    parameters, x, y = host.make(np.random.default_rng(0))

    def loss(parameters: Any) -> Any:
        return host.loss(parameters, x, y, fault.function)

    try:
        with jax.debug_nans(True), contextlib.redirect_stdout(io.StringIO()):  # it prints
            jax.block_until_ready(jax.jit(jax.value_and_grad(loss))(parameters))
    except Exception:  # FloatingPointError, or one of JAX's own that does not derive from it
        return True
    return False


def _cases(quick: bool) -> Iterator[Case]:
    faults, hosts = (FAULTS[::6], HOSTS[::4]) if quick else (FAULTS, HOSTS)
    for host in hosts:
        for fault in faults:
            recorded = planted(fault, host)
            switch = False if quick else _switch_stops(fault, host)
            yield Case(fault.name, host.name, 0, is_found(recorded, fault), said(recorded), switch)
    for case in vanishing.CASES[::5] if quick else vanishing.CASES:
        for seed in range(1 if quick else VANISHING_SEEDS):
            recorded = vanishing_case(case, seed)
            found = vanishing_found(recorded, case)
            yield Case(f"gradient: {case.name}", f"{case.depth} layers", seed, found, said(recorded), False)


def run(quick: bool) -> dict:
    """Score every planted fault, and count false alarms on clean runs."""
    start = time.perf_counter()
    cases = [case._asdict() for case in _cases(quick)]
    print(f"{len(cases)} faults after {time.perf_counter() - start:.0f} s", file=sys.stderr)
    alarms, runs = [], 0
    for host in HOSTS[:2] if quick else HOSTS:
        for seed in range(2 if quick else CLEAN_SEEDS):
            recorded, runs = clean(host, seed), runs + 1
            if not recorded.healthy:
                alarms.append({"host": host.name, "seed": seed, "said": said(recorded)})
    return {"cases": cases, "clean": runs, "alarms": alarms, "seconds": time.perf_counter() - start}


def table(result: dict) -> str:
    """Return the score by fault, and in all; what was missed is listed."""
    cases = result["cases"]
    total, right = Counter(c["kind"] for c in cases), Counter(c["kind"] for c in cases if c["found"])
    stops = Counter(c["kind"] for c in cases if c["switch"])
    rows = [[kind, f"{right[kind]} of {total[kind]}", _of(stops, total, kind)] for kind in total]
    found, count = sum(right.values()), len(cases)
    summary = [
        f"first faulty op and line right: {found} of {count} ({100 * found / count:.1f} %); "
        f"false alarms: {len(result['alarms'])} of {result['clean']} clean runs"
    ]
    missed = [f"missed: {c['kind']} in {c['host']}: {c['said']}" for c in cases if not c["found"]]
    alarmed = [f"alarm: {a['host']}, seed {a['seed']}: {a['said']}" for a in result["alarms"]]
    columns = ["fault", "op and line right", "jax.debug_nans stops"]
    return "\n".join([markdown(columns, rows), "", *summary, *missed, *alarmed])


def _of(stops: Counter[str], total: Counter[str], kind: str) -> str:
    return "" if kind.startswith("gradient") else f"{stops[kind]} of {total[kind]}"
