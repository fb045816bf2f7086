"""`thalweg fit` and `thalweg resume`: train one run, or continue one, and print its result."""

import sys

from thalweg.core.device import leads
from thalweg.core.stop_reason import EXIT_FAILED
from thalweg.doors.cli.arguments import (
    initial,
    judging,
    load_options,
    resumes,
    save_options,
    trackers,
    workers,
)
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.distributed import together
from thalweg.doors.cli.output import brief, exit_code, finish, print_json
from thalweg.doors.cli.watch import watching
from thalweg.insight.fit import NoLearningRate
from thalweg.insight.fit import fit as fit_run
from thalweg.insight.judging import resume as resume_run
from thalweg.run.resume import Change
from thalweg.run.run import Run, Runs
from thalweg.view import progress as showing


def fit(options: Options) -> int:
    """Train one run; return the exit code."""
    use_device(options["device"])
    try:
        with watching(options), together(options) as own:
            result = _fitted(own)
    except NoLearningRate as error:
        print(f"error: {error}", file=sys.stderr)
        if options["json"]:
            print_json({"run": None, "stopped": None, "finding": brief(error.finding.to_dict())})
        return EXIT_FAILED
    if options["distributed"] and not leads():
        assert isinstance(result, Run)  # folds are refused
        return exit_code(result)
    return finish(result, options["json"], options["quiet"])


def _fitted(options: Options) -> Run | Runs:
    """Train; of several processes together, only the first writes the run, shows it and judges it."""
    here = not options["distributed"] or leads()
    return fit_run(
        options["data"],
        options["model"],
        options["recipe"],
        settings=options["set_"] or (),
        **{name: options[name] for name in ("lr", "epochs", "steps", "seed")},
        **{name: options[name] for name in ("ensemble", "devices", "data_on", "cost")},
        init=initial(options),
        by=options["by"] or (),
        references=options["references"] and here,
        **judging(options),
        keep=save_options(options) if here else None,
        resume=resumes(options) and here,
        progress=showing.progress(quiet=options["quiet"]) if here else False,
        trackers=trackers(options) if here else (),
        **load_options(options),
    )


def resume(options: Options) -> int:
    """Continue, extend or fork a run; return the exit code."""
    use_device(options["device"])
    changes = {name: options[name] for name in ("epochs", "steps", "schedule", "at", "out")}
    with workers(options) as executor:
        result = resume_run(
            options["run"],
            data=options["data"],
            allow_import=options["allow_import"],
            change=Change(**changes, settings=tuple(options["set_"] or ())),
            progress=showing.progress(quiet=options["quiet"]),
            executor=executor,
            devices=options["devices"],
            data_on=options["data_on"],
        )
    return finish(result, options["json"], options["quiet"])
