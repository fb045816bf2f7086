"""`thalweg tape`: the forward and backward pass of one example, or of the update at which a run failed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from thalweg.core.errors import BadInput
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.json_output import print_json
from thalweg.doors.cli.outfile import check_out, write_out
from thalweg.insight.tape import listing
from thalweg.insight.tape.runs import tape_of_birth, tape_of_run, tape_of_script
from thalweg.insight.tape.statements import as_dict
from thalweg.insight.tape.tape import Tape
from thalweg.run.replay import saved_run
from thalweg.view.tape import page as tape_page
from thalweg.view.terminal import say


def tape(options: Options) -> int:
    """Print the tape, and write its page if asked; return the exit code."""
    use_device(options["device"])
    page: Path | None = options["page"]
    if page is not None:
        check_out(page, "--page", force=options["force"], inputs=(options["run"], options["script"]))
    recorded = _recorded(options)
    if page is not None:
        write_out(page, tape_page.render(recorded).encode(), "--page", force=options["force"])
    if options["json"]:
        print_json(as_dict(recorded) | {"page": None if page is None else str(page)})
    else:
        say(listing.text(recorded).rstrip("\n"))
        if page is not None:
            say(f"\npage: {page}")
    return EXIT_DONE


def _recorded(options: Options) -> Tape:
    run: Path = options["run"]
    if run.suffix == ".py":
        if options["born"] or options["script"] is not None:
            hint = f"train it first, then: thalweg tape RUN --script {run}"
            raise BadInput("tape", "a script has no run to replay", got=str(run), hint=hint)
        module = _loaded(run)
        return tape_of_script(module.problem(), module.recipe(), options["example"])
    script: Path | None = options["script"]
    problem = None if script is None else _loaded(script).problem()
    saved = saved_run(run, problem, options["data"], options["unverified"])
    if options["born"]:
        return tape_of_birth(saved)
    return tape_of_run(saved, options["example"], options["weights"] or None)


def _loaded(path: Path) -> Any:
    """Import a script, which must define `problem()`, and `recipe()` where it is recorded by itself.

    Raises:
        BadInput: It cannot be read, or defines neither.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise BadInput(
            "tape", "the script must be a Python file", got=str(path), hint="for example examples/vae.py"
        )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _check(module, path)
    return module


def _check(module: ModuleType, path: Path) -> None:
    missing = [name for name in ("problem", "recipe") if not callable(getattr(module, name, None))]
    if missing:
        hint = "for example: def problem(): return tw.Problem(...)"
        raise BadInput(
            "tape",
            "the script must define problem() and recipe()",
            got=f"no {missing[0]}()",
            where=path,
            hint=hint,
        )
