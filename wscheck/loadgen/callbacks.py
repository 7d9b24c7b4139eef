"""WHERE A CONNECTION IS, and who is told."""

from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from wscheck.protocols.socket_io import SocketPacket

if TYPE_CHECKING:
    from wscheck.loadgen.connection import Connection


class State(IntEnum):
    """Where a connection is; it only ever moves on."""

    CONNECTING = 0
    ASKED = 1
    OPEN = 2
    LEAVING = 3
    OVER = 4
    GONE = 5


class Observer(Protocol):
    """Who is told what becomes of a connection."""

    def asked(self, connection: "Connection") -> None:
        """CONNECT was sent: from now on the server may count it."""

    def opened(self, connection: "Connection") -> None:
        """The namespace acknowledged."""

    def refused(self, connection: "Connection", kind: str) -> None:
        """It never opened, and not because we gave up."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """It was open and is no more."""

    def given_up(self, connection: "Connection") -> None:
        """We closed it before it was asked for."""

    def event(self, connection: "Connection", packet: SocketPacket, text: str) -> None:
        """An event arrived; `text` is the whole packet."""
