"""The option `--distributed`: this process is one of many that train one run together."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from thalweg.core.errors import BadInput, ThalwegError
from thalweg.core.stop_reason import EXIT_FAILED
from thalweg.doors.cli.device import Options
from thalweg.engine.mesh import EVERY
from thalweg.insight.fit import AUTO

# Seconds without a sign of life from which on a process counts as lost, and the others end.
HEARTBEAT_SECONDS = 20
# What says where the others are, where JAX does not find it by itself.
ADDRESS, COUNT, NUMBER = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
# What the transports and the coordination service say when a process is gone.
_LOST = re.compile("gloo|nccl|heartbeat|unavailable|connection|barrier|coordination", re.IGNORECASE)
_EXAMPLE = f"{ADDRESS}=HOST:1234 {COUNT}=2 {NUMBER}=0 (and 1) thalweg fit ... --distributed"


@contextmanager
def together(options: Options) -> Iterator[Options]:
    """Join the other processes, if the option says so; give the options of this process.

    The first process writes the run and shows it; the others compute. If one is lost within the block, this
    process ends, too: nothing can be computed without it.

    Raises:
        BadInput: There are no other processes to be found, or an option is for one process alone.
    """
    if not options["distributed"]:
        yield options
        return
    _check(options)
    _join()
    own = dict(options) | {"devices": options["devices"] or EVERY}
    try:
        yield own
    except jax.errors.JaxRuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        hint = "start all of them again with --resume auto: they continue from the last checkpoint"
        lost = ThalwegError("--distributed", "all processes must live", got=str(error), hint=hint)
        print(f"error: {lost}", file=sys.stderr, flush=True)
        os._exit(EXIT_FAILED)  # JAX would wait for the others first, and then abort


def _check(options: Options) -> None:
    """Refuse what processes cannot do together."""
    for name in ("folds", "watch"):
        if options.get(name):
            hint = f"leave out --{name} or --distributed"
            raise BadInput("--distributed", f"trains one run, without --{name}", got=options[name], hint=hint)
    if options["lr"] == AUTO:
        hint = "find it first: thalweg find"
        raise BadInput("--distributed", "cannot search for the rate", got="--lr auto", hint=hint)
    if options["out"] is None:
        rule, hint = "needs the folder of the run, so that it can be resumed", "for example --out runs/big"
        raise BadInput("--distributed", rule, got="no --out", hint=hint)


def _join() -> None:
    """Connect to the other processes, as SLURM, Kubernetes, MPI or the environment says where they are."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    given: dict[str, Any] = {}
    try:
        if COUNT in os.environ:
            given = {"num_processes": int(os.environ[COUNT]), "process_id": int(os.environ[NUMBER])}
        jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_SECONDS, **given)
    except (ValueError, KeyError, RuntimeError) as error:
        rule = "must find the other processes: through SLURM, Kubernetes, MPI, or what the environment says"
        got = str(error) or type(error).__name__
        raise BadInput("--distributed", rule, got=got, hint=f"for example {_EXAMPLE}") from error
