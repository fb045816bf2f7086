"""Serving the playground."""

import secrets
from collections.abc import Callable

from thalweg.doors.page.local import LocalServer, bound
from thalweg.doors.play.app import application
from thalweg.doors.play.player import Player
from thalweg.insight.play.session import Playground


class PlayPage(LocalServer):
    """The server of a playground. As a context manager it serves in a thread.

    Args:
        make: Returns what is played; called once the port is known to be free.
        port: The port; None for a free one.

    Raises:
        BadInput: The port is taken.
    """

    def __init__(self, make: Callable[[], Playground], port: int | None = None):
        listener, token = bound(port, None), secrets.token_urlsafe(24)
        self.player = Player(make())
        super().__init__(listener, token, lambda is_ending: application(self.player, token, is_ending))

    def serve(self) -> None:
        """Serve until Ctrl-C, or until the context ends."""
        self.player.start()
        try:
            super().serve()
        finally:
            self.player.end()

    def __exit__(self, *details: object) -> None:
        """End training, then the server."""
        self.player.end()
        super().__exit__(*details)
