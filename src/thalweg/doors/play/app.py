"""The playground as a web application: one document, the next frame, and what the page asks for."""

import json
from collections.abc import Callable
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from thalweg.core.errors import ThalwegError
from thalweg.doors.page.local import Guard, Refused, document, file, guarded, headers, refusal, wish_of
from thalweg.doors.play.player import SPEEDS, Player, Seen
from thalweg.insight.play import settings
from thalweg.insight.play.lanes import MOST_PINNED
from thalweg.insight.play.sources import MOST_CLASSES, MOST_DRAWN, NAMED
from thalweg.problem.surfaces import SURFACES
from thalweg.view.figure.html import Markup

# Seconds that a page waits for a frame before it asks again, and into how many parts they are divided.
PATIENCE, PARTS = 5.0, 20
COMMAND = "thalweg play"
_NO_NEWS, _GONE = 204, 410


def application(player: Player, token: str, is_ending: Callable[[], bool] = lambda: False) -> Starlette:
    """Return the application.

    Args:
        player: What is played.
        token: Must be in every request.
        is_ending: Whether the server is about to end.
    """
    guard = Guard(token, COMMAND)

    async def page(request: Request) -> Response:
        return _document() if guard.allows(request) else guard.forbidden()

    async def frame(request: Request) -> Response:
        if not guard.allows_change(request):
            return guard.forbidden()
        try:
            seen = Seen(*(int(request.query_params.get(name, "-1")) for name in Seen._fields))
        except ValueError:
            return refusal("numbers of frames are whole numbers", 400)
        content = await _next(player, seen, is_ending)
        if content is None:
            return Response(status_code=_GONE if is_ending() or player.ended else _NO_NEWS, headers=headers())
        return Response(content, media_type="application/octet-stream", headers=headers())

    async def do(request: Request) -> Response:
        if not guard.allows_change(request):
            return guard.forbidden()
        try:
            answer = await anyio.to_thread.run_sync(player.do, await wish_of(request))
        except Refused as error:
            return refusal(str(error), 409)
        except ThalwegError as error:
            return refusal(sentence(error), 409)
        except (ValueError, RecursionError):
            return refusal("the request must be JSON", 400)
        return JSONResponse({"asked": True} | answer, headers=headers())

    routes = [Route("/", page), Route("/frame", frame), Route("/do", do, methods=["POST"])]
    return guarded(routes)


async def _next(player: Player, seen: Seen, is_ending: Callable[[], bool]) -> bytes | None:
    """Wait for a frame, in parts, so that a server that ends does not wait for it."""
    for _ in range(PARTS):
        content = await anyio.to_thread.run_sync(player.next_frame, seen, PATIENCE / PARTS)
        if content is not None or is_ending() or player.ended:
            return content
    return None


def sentence(error: ThalwegError) -> str:
    """Return an error as one line: the rule, what came, and what to do."""
    got = "" if error.got is None else f", got {error.got}"
    return f"{error.rule}{got}; {error.hint}"


def choices() -> dict[str, Any]:
    """Return what the controls offer."""
    return {
        "sources": [[name, title] for name, title in NAMED.items()],
        "surfaces": [[name, shape.formula] for name, shape in SURFACES.items()],
        "activation": settings.ACTIVATION_NAMES,
        "initialisation": settings.INITIALISATION_NAMES,
        "optimizer": settings.OPTIMIZER_NAMES,
        "schedule": settings.SCHEDULE_NAMES,
        "batch_size": settings.BATCH_SIZES,
        "dropout": settings.DROPOUTS,
        "speed": SPEEDS,
        "momenta": list(settings.MOMENTA),
        "most": {
            "layers": settings.MOST_LAYERS,
            "units": settings.MOST_UNITS,
            "steps": settings.MOST_UPDATES,
            "pinned": MOST_PINNED,
            "points": MOST_DRAWN,
            "classes": MOST_CLASSES,
        },
        "numbers": sorted(settings.NUMBERS),
    }


def _document() -> Response:
    styles = [file("view.report", "page.css"), file("doors.play", "play.css")]
    offered = Markup(f"const OFFERED = {_as_script(choices())};\n")
    names = ("draw.js", "play.js")
    return document("Thalweg playground", styles, [offered, *(file("doors.play", name) for name in names)])


def _as_script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
