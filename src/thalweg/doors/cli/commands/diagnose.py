"""Commands that judge by training: doctor and race."""

from typing import Annotated, Any

import typer

from thalweg.doors.cli.commands.training import fit
from thalweg.doors.cli.flags import one_or_several, with_options_of

Trainings = Annotated[
    float, typer.Option(metavar="N", help="Trainings of the recipe that may be spent; 0: static checks only.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Only static checks and a short probe.")]


Optimizers = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Whom to race: adamw,sgd,muon (the default).", show_default=False),
]
Models = Annotated[
    str | None,
    typer.Option(metavar="MODELS", help="Race models instead of optimizers: mlp:64,mlp:512."),
]
Spent = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Trainings of each contestant, at least 10: at most ten tune it, the rest are seeds.",
    ),
]
Fast = Annotated[bool, typer.Option("--fast", help="Look at 5, 10 and 20 seeds only, with t tests.")]
# Options of fit that make no sense for many trainings that are not kept.
NOT_RACED = (
    "references",
    "cost",
    "by",
    "watch",
    "folds",
    "checkpoint_every",
    "resume",
    "track",
    "init",
    "init_names",
    "lr",
)


@with_options_of(fit, without=("references", "cost", "by"))
def doctor(budget: Trainings = 10.0, quick: Quick = False, **options: Any) -> None:
    """Say why training on DATA, or a run in folder DATA, fails; prove it, and write the repair."""
    options |= {"budget": budget, "quick": quick, "data": one_or_several(options["data"])}
    from thalweg.doors.cli import doctor as command

    raise typer.Exit(command.doctor(options))


@with_options_of(fit, without=NOT_RACED)
def race(
    optimizers: Optimizers = None,
    models: Models = None,
    budget: Spent = 30,
    fast: Fast = False,
    **options: Any,
) -> None:
    """Settle which optimizer, or which model, is best on DATA: equal budgets including tuning, over seeds."""
    options |= {"optimizers": optimizers, "models": models, "budget": budget, "fast": fast, "lr": None}
    options["data"] = one_or_several(options["data"])
    from thalweg.doors.cli import race as command

    raise typer.Exit(command.race(options))
