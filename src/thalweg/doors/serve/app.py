"""The HTTP application: POST /predict, GET /schema, GET /health, and a page to try it on.

Requests must say that they are JSON or CSV, which a form of another web site cannot without asking, and name
a known host (see `doors/page/app.py`). Errors of the input are 400 with the words of `thalweg predict`.
"""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from thalweg.core.errors import BadInput, ThalwegError
from thalweg.doors.answers import csv_of
from thalweg.doors.serve.batcher import Batcher, Full
from thalweg.doors.serve.example import example_page
from thalweg.doors.serve.rows import CSV, JSON, plain_rows, raw_of, raw_of_csv, rows_of, schema_of
from thalweg.run.restore import Trained

LOCAL_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Args:
        body: Bytes of a request.
        rows: Rows of a request.
        batch: Most rows of several requests that are computed together.
        waiting: Rows that wait; with more, requests are refused until there are fewer.
    """

    body: int = 8 * 2**20
    rows: int = 10_000
    batch: int = 1024
    waiting: int = 50_000


def application(trained: Trained, limits: Limits, hosts: tuple[str, ...] = LOCAL_HOSTS) -> Starlette:
    """Return the application.

    Args:
        trained: The model.
        limits: What it takes.
        hosts: Names of this machine that requests may use; `*` for any.

    Raises:
        DataError: The model makes no prediction for a row.
    """
    trained.check_predicts()
    batcher, schema = Batcher(trained, limits.batch, limits.waiting), schema_of(trained)

    async def predict(request: Request) -> Response:
        return await _predicted(request, trained, batcher, limits)

    async def health(request: Request) -> Response:
        about = {"status": "ok", "run": trained.record.name, "model": schema["model"]}
        counts = {"requests": batcher.requests, "calls": batcher.calls}
        return JSONResponse(about | counts, headers=_HEADERS)

    async def shown(request: Request) -> Response:
        return JSONResponse(schema, headers=_HEADERS)

    async def page(request: Request) -> Response:
        return _page(request, schema)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        batcher.close()

    routes = [
        Route("/", page),
        Route("/health", health),
        Route("/schema", shown),
        Route("/predict", predict, methods=["POST"]),
    ]
    known = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    handlers: dict[Any, Any] = {Exception: _failed}
    return Starlette(routes=routes, middleware=[known], exception_handlers=handlers, lifespan=lifespan)


async def _predicted(request: Request, trained: Trained, batcher: Batcher, limits: Limits) -> Response:
    """Answer a request for predictions, or say what is wrong with it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, CSV):
        words = f"request: the content type must be {JSON} or {CSV}; got {kind or 'none'}"
        return _refused(415, words, "")
    content = await _content(request, limits.body)
    if content is None:
        return _refused(413, f"request: the body may have at most {limits.body} bytes", "send fewer rows")
    try:
        if kind == JSON:
            rows = rows_of(content)
            count, read = len(rows), lambda: raw_of(rows, trained)
        else:
            count, read = content.count(b"\n") + 1, lambda: raw_of_csv(content, trained)
        if count > limits.rows:
            words = f"request: a request may have at most {limits.rows} rows; got {count}"
            return _refused(413, words, "send fewer rows")
        answer = await batcher.predict(read, count)
    except Full:
        return _refused(503, "server: too many rows wait", "try again in a second", {"Retry-After": "1"})
    except BadInput as error:
        words, _, hint = str(error).partition("\nhint: ")
        return _refused(400, words, hint)
    targets = trained.preparation.target_names
    if CSV in request.headers.get("accept", ""):
        return PlainTextResponse(csv_of(answer.columns, targets=targets), media_type=CSV, headers=_HEADERS)
    body = {"predictions": plain_rows(answer.columns, targets), "weights": trained.weights}
    return JSONResponse(body | ({"notes": answer.notes} if answer.notes else {}), headers=_HEADERS)


def _page(request: Request, schema: dict[str, Any]) -> Response:
    """Return the page to try the server on; only its own script may run."""
    nonce = secrets.token_urlsafe(16)
    own = f"'nonce-{nonce}'"
    policy = f"default-src 'none'; script-src {own}; style-src {own}; connect-src 'self'; base-uri 'none'"
    headers = _HEADERS | {"Content-Security-Policy": policy + "; form-action 'none'; frame-ancestors 'none'"}
    return HTMLResponse(example_page(schema, str(request.base_url), nonce), headers=headers)


async def _failed(request: Request, error: Exception) -> Response:
    """Answer where the model itself failed."""
    known = isinstance(error, ThalwegError)
    words = str(error) if known else f"server: the model failed; got {type(error).__name__}"
    return _refused(500, words.splitlines()[0], "")


_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


async def _content(request: Request, most: int) -> bytes | None:
    """Return the body of a request; None if it is too long, without reading all of it."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        return None
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                return None
            parts.append(part)
    except ClientDisconnect:
        return b""
    return b"".join(parts)


def _refused(status: int, error: str, hint: str, headers: dict[str, str] | None = None) -> Response:
    body = {"error": error} | ({"hint": hint} if hint else {})
    return Response(
        json.dumps(body, ensure_ascii=False), status, media_type=JSON, headers=_HEADERS | (headers or {})
    )
