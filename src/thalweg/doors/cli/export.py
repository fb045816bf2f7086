"""`thalweg export`: a trained model for another program."""

from pathlib import Path

from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options
from thalweg.doors.cli.json_output import print_json
from thalweg.doors.cli.predict import check_weights
from thalweg.doors.export.export import FORMATS, check_target, format_of
from thalweg.doors.export.export import export as write
from thalweg.run.restore import restore
from thalweg.view.terminal import say


def export(options: Options) -> int:
    """Export; return the exit code."""
    check_weights(options["weights"])
    target, to = options["to"], options["format_"]
    if to is None and target in FORMATS:  # --to onnx
        to, target = target, str(Path(options["run"]).name) + FORMATS[target].suffix
    path = Path(target)
    check_target(path, format_of(path, to), options["force"])
    trained = restore(
        options["run"],
        weights=options["weights"] or None,
        unverified=options["unverified"],
        allow_import=options["allow_import"],
    )
    written = write(trained, path, to=to, force=options["force"])
    if options["json"]:
        fields = {"path": str(written.path), "format": written.format, "rows": written.rows}
        print_json(fields | {"difference": written.difference, "weights": trained.weights})
    else:
        difference = f"differs from the run by at most {written.difference:.1e} on {written.rows} rows"
        say(f"{written.path} ({written.format}, {trained.weights} weights): {difference}")
    return EXIT_DONE
