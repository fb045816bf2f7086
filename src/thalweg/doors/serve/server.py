"""`Server`: the application on a socket, in the foreground or in a thread."""

import threading
from typing import Self

import numpy as np
import uvicorn

from thalweg.doors.page.local import bound
from thalweg.doors.serve.app import LOCAL_HOSTS, Limits, application
from thalweg.doors.serve.rows import raw_of, schema_of
from thalweg.run.outputs import FEWEST_ROWS
from thalweg.run.restore import Trained

LOCAL = "127.0.0.1"
PORT = 8000


class Server:
    """Serves a trained model. As a context manager it serves in a thread.

    Args:
        trained: The model.
        host: Address to listen on. Other machines reach any but 127.0.0.1.
        port: The port; 0 for a free one.
        limits: What it takes.

    Attributes:
        address: Where it answers.

    Raises:
        DataError: The model makes no prediction for a row.
        BadInput: The port is taken, or the host is no address of this machine.
    """

    def __init__(self, trained: Trained, host: str = LOCAL, port: int = PORT, limits: Limits | None = None):
        limits = limits or Limits()
        hosts = LOCAL_HOSTS if host in LOCAL_HOSTS else ("*",)
        app = application(trained, limits, hosts)
        self._socket = bound(port, None, host)
        self.port: int = self._socket.getsockname()[1]
        self.address = f"http://{host}:{self.port}"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, daemon=True)
        _compile_ahead(trained)

    def serve(self) -> None:
        """Serve until Ctrl-C, or until the context ends."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()


def _compile_ahead(trained: Trained) -> None:
    """Compile the program of the smallest batch, so that the first request does not wait for it."""
    rows = schema_of(trained)["example"]["rows"]
    inputs = np.asarray(trained.preparation.columns.examples(raw_of(rows, trained)).inputs)
    trained.outputs(np.repeat(inputs[:1], FEWEST_ROWS, axis=0))
