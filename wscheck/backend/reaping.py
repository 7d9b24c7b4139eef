"""The fault `never-reap`: a session whose server waits a day for a pong instead of its ping timeout."""

from typing import Any

A_DAY_S = 86_400.0


class _Patient:
    """An Engine.IO server as one of its sessions sees it, all but the ping timeout unchanged."""

    ping_timeout = A_DAY_S

    def __init__(self, server: Any) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def never_reap(engine: Any, session: str) -> None:
    """Make `engine` keep `session` however long it stays silent. What the handshake announced stays announced."""
    socket = engine.sockets[session]
    socket.server = _Patient(socket.server)
