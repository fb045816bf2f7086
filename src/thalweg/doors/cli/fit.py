"""`thalweg fit` and `thalweg resume`: train one run, or continue one, and print its result."""

import sys

from thalweg.core.stop_reason import EXIT_FAILED
from thalweg.doors.cli.arguments import Options, load_options, resumes, save_options, use_device
from thalweg.doors.cli.output import brief, finish, print_json
from thalweg.insight.fit import NoLearningRate
from thalweg.insight.fit import fit as fit_run
from thalweg.run.resume import Change
from thalweg.run.resume import resume as resume_run
from thalweg.view import progress as showing


def fit(options: Options) -> int:
    """Train one run; return the exit code."""
    use_device(options["device"])
    try:
        result = fit_run(
            options["data"],
            options["model"],
            options["recipe"],
            settings=options["set_"] or (),
            **{name: options[name] for name in ("lr", "epochs", "steps", "seed", "init")},
            keep=save_options(options),
            resume=resumes(options),
            progress=showing.progress(quiet=options["quiet"]),
            **load_options(options),
        )
    except NoLearningRate as error:
        print(f"error: {error}", file=sys.stderr)
        if options["json"]:
            print_json({"run": None, "stopped": None, "finding": brief(error.finding.to_dict())})
        return EXIT_FAILED
    return finish(result, options["json"], options["quiet"])


def resume(options: Options) -> int:
    """Continue, extend or fork a run; return the exit code."""
    use_device(options["device"])
    changes = {name: options[name] for name in ("epochs", "steps", "schedule", "at", "out")}
    result = resume_run(
        options["run"],
        change=Change(**changes, settings=tuple(options["set_"] or ())),
        progress=showing.progress(quiet=options["quiet"]),
    )
    return finish(result, options["json"], options["quiet"])
