"""What all pages on this machine have in common: who may ask, what documents may do, where they are served.

Whoever can open a connection on this machine could ask for a page: another user's process, or a script of a
web site in the user's own browser. Hence the token, which only the printed address holds; the check of the
host name, without which a site could name this machine with a name of its own (DNS rebinding) and read the
answers; and a policy that lets the document load nothing and connect nowhere else.
"""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from thalweg.core.caller import argument
from thalweg.core.errors import BadInput
from thalweg.view.figure.html import Markup, element

HOST = "127.0.0.1"
# Names by which a browser on this machine reaches it; through an SSH tunnel, too.
HOSTS = [HOST, "localhost"]
# Seconds that open pages get to receive the last state before the server ends.
FAREWELL = 3.0
_LONGEST_REQUEST = 1 << 16
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 3c3 0 "
    "3 9 7 9s4-5 7-5' fill='none' stroke='%230b6a88' stroke-width='2.2'/%3E%3C/svg%3E"
)


class Refused(Exception):
    """A request that cannot be followed; the text says why."""


class Guard:
    """Tells requests that hold the token from others.

    Args:
        token: Must be in every request.
        command: The command that printed the address.
    """

    def __init__(self, token: str, command: str):
        self._token, self._command = token, command

    def allows(self, request: Request) -> bool:
        """Return whether the address holds the token."""
        return self._is_token(request.query_params.get("token"))

    def allows_change(self, request: Request) -> bool:
        """Return whether a header holds the token, which a form of another site cannot set."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self._is_token(given)

    def forbidden(self) -> Response:
        """Return the answer to a request without the token."""
        text = f"Open the address that `{self._command}` printed: its token is missing or wrong.\n"
        return PlainTextResponse(text, 403, headers=headers())

    def _is_token(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self._token.encode())


def guarded(routes: Sequence[Route]) -> Starlette:
    """Return an application that answers only under the names of this machine."""
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)])


async def wish_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        Refused: It is too long, or no object.
        ValueError, RecursionError: It is no JSON.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_REQUEST:
            raise Refused("the request is too long")
    wish = json.loads(body)
    if not isinstance(wish, dict):
        raise Refused("the request must be an object")
    return wish


def refusal(reason: str, status: int) -> Response:
    """Return why a request is not followed."""
    return JSONResponse({"asked": False, "reason": reason}, status, headers=headers())


def document(title: str, styles: Sequence[Markup], scripts: Sequence[Markup]) -> Response:
    """Return a page: an empty frame that its scripts fill; style and scripts inline."""
    nonce = secrets.token_urlsafe(16)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        Markup(f'<link rel="icon" href="{_ICON}">'),
        element("title", title),
        element("style", *styles, nonce=nonce),
    )
    body = element(
        "body",
        element("main", element("noscript", "This page needs JavaScript."), id="page"),
        *[element("script", text, nonce=nonce) for text in scripts],
    )
    text = f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
    return HTMLResponse(text, headers=headers(nonce))


def file(package: str, name: str) -> Markup:
    """Read a file of a page; they hold no end tags."""
    return Markup(files(f"thalweg.{package}").joinpath(name).read_text(encoding="utf-8"))


def headers(nonce: str = "") -> dict[str, str]:
    """Return the headers of every answer; with a nonce, of a document whose own scripts may run."""
    own = f"'nonce-{nonce}'" if nonce else "'none'"
    policy = (
        f"default-src 'none'; script-src {own}; style-src {own}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class LocalServer:
    """Serves an application on this machine alone. As a context manager it serves in a thread.

    Args:
        listener: From `bound`.
        token: What the address holds.
        make: Returns the application, given whether the server is about to end.

    Attributes:
        port: Its port.
        address: To open in a browser, with the token.
    """

    def __init__(self, listener: socket.socket, token: str, make: Callable[[Callable[[], bool]], Starlette]):
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        self.address = f"http://{HOST}:{self.port}/?token={token}"
        self._ending = False
        config = uvicorn.Config(
            make(lambda: self._ending or self._server.should_exit),  # at Ctrl-C, too
            log_level="warning",
            access_log=False,  # the log would hold the token
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        """Serve until Ctrl-C, or until the context ends."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the server once the open pages have the last state."""
        self._ending = True
        deadline = time.monotonic() + FAREWELL
        while self._server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        self._server.should_exit = True
        self._thread.join(FAREWELL)
        self._socket.close()


def bound(port: int | None, before: object, host: str = HOST) -> socket.socket:
    """Return a socket at the port; with None at that of the last time, or else at any free one.

    Raises:
        BadInput: The port is taken, or the host is no address of this machine.
    """
    wanted = [port] if port is not None else [before, 0] if isinstance(before, int) else [0]
    error: Exception | None = None
    for number in wanted:
        # With the protocol by its number, as asyncio sends answers at once (TCP_NODELAY) only then. Otherwise
        # one in two parts, head and body, waits 40 ms for the client's acknowledgement of the first.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
        try:
            listener.bind((host, number))
            listener.listen()  # who opens the address before the server has started waits for it
            return listener
        except (OSError, OverflowError) as failure:
            listener.close()
            error = failure
    hint = f"leave {argument('port')} out to get a free one" if host == HOST else "try another port or host"
    why = getattr(error, "strerror", None) or str(error)
    raise BadInput(
        argument("port"), "must be a free port, 0 to 65535", got=port, where=why, hint=hint
    ) from error
