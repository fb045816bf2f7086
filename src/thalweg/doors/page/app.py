"""The live page as a web application: one document, a stream of events, and a request to stop."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from thalweg.doors.page.local import Guard, Refused, document, file, guarded, headers, refusal, wish_of
from thalweg.doors.page.monitor import PERIOD, Monitor, Page

# Seconds without news after which a comment is sent, so that a connection that has gone away is noticed.
SILENCE = 15.0


def application(monitor: Monitor, token: str, is_ending: Callable[[], bool] = lambda: False) -> Starlette:
    """Return the application.

    Args:
        monitor: The runs.
        token: Must be in every request.
        is_ending: Whether the server is about to end, and streams with it.
    """
    guard = Guard(token, "thalweg watch")

    async def page(request: Request) -> Response:
        return _document() if guard.allows(request) else guard.forbidden()

    async def events(request: Request) -> Response:
        if not guard.allows(request):
            return guard.forbidden()
        chosen = Page(monitor, [key for key in request.query_params.get("runs", "").split(",") if key])
        streamed = headers() | {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            _stream(chosen, monitor, is_ending), media_type="text/event-stream", headers=streamed
        )

    async def stop(request: Request) -> Response:
        if not guard.allows_change(request):
            return guard.forbidden()
        try:
            wish = await wish_of(request)
            await anyio.to_thread.run_sync(_stop, monitor, wish.get("run"), wish.get("lanes"))
        except (ValueError, RecursionError):
            return refusal("the request must be JSON", 400)
        except Refused as error:
            return refusal(str(error), 409)
        return JSONResponse({"asked": True}, headers=headers())

    routes = [
        Route("/", page),
        Route("/events", events),
        Route("/stop", stop, methods=["POST"]),
    ]
    return guarded(routes)


def _stop(monitor: Monitor, key: Any, lanes: Any) -> None:
    with monitor.lock:
        monitor.stop(key, lanes)


async def _stream(page: Page, monitor: Monitor, is_ending: Callable[[], bool]) -> AsyncIterator[str]:
    silent = 0.0
    with contextlib.suppress(anyio.get_cancelled_exc_class()):
        while True:
            ending = is_ending()
            if ending:
                await anyio.to_thread.run_sync(monitor.hurry)
            messages = await anyio.to_thread.run_sync(page.news)
            for event, value in messages:
                yield f"event: {event}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
            if ending:
                yield "event: end\ndata: {}\n\n"
                return
            silent = 0.0 if messages else silent + PERIOD
            if silent >= SILENCE:
                silent = 0.0
                yield ":\n\n"
            await anyio.sleep(PERIOD)


def _document() -> Response:
    styles = [file("view.report", "page.css"), file("doors.page", "uplot/uPlot.min.css")]
    styles.append(file("doors.page", "watch.css"))
    scripts = [file("doors.page", name) for name in ("uplot/uPlot.iife.min.js", "chart.js", "watch.js")]
    return document("Thalweg", styles, scripts)
