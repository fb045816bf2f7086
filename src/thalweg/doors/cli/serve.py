"""`thalweg serve`: predictions over HTTP."""

import contextlib
import sys
from importlib import import_module

from thalweg.core.errors import BadInput, MissingExtra
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.predict import check_weights, restored
from thalweg.view.terminal import say


def serve(options: Options) -> int:
    """Serve until Ctrl-C; return the exit code."""
    check_weights(options["weights"])
    for name in ("max_rows", "max_megabytes"):
        if options[name] < 1:
            raise BadInput(
                f"--{name.replace('_', '-')}", "must be at least 1", got=options[name], hint="try 100"
            )
    try:
        server, app = (import_module(f"thalweg.doors.serve.{name}") for name in ("server", "app"))
    except ImportError as error:
        rule, hint = "needs Starlette and uvicorn", "pip install 'thalweg[serve]'"
        raise MissingExtra("serve", rule, got=f"no {error.name}", hint=hint) from error
    use_device(options["device"])
    trained = restored(options)
    limits = app.Limits(body=options["max_megabytes"] * 2**20, rows=options["max_rows"])
    running = server.Server(trained, options["host"], options["port"], limits)
    say(f"{running.address}\nGET /schema, /health; POST /predict. Ctrl-C ends it.")
    sys.stdout.flush()
    if options["host"] not in app.LOCAL_HOSTS:
        say(
            "note: other machines can reach this address; anyone who can may ask for predictions.", sys.stderr
        )
    with contextlib.suppress(KeyboardInterrupt):
        running.serve()
    return EXIT_DONE
