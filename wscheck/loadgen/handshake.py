"""HOW A CONNECTION BEGINS: by websocket at once, or by polling and then the upgrade."""

from typing import TYPE_CHECKING

from wscheck.loadgen import upgrade
from wscheck.loadgen.frames import TEXT, masked
from wscheck.loadgen.http import HttpError, Response
from wscheck.protocols.engine_io import Handshake

if TYPE_CHECKING:
    from wscheck.loadgen.connection import Connection


class Opening:
    """By websocket at once: one request, and the answer 101."""

    __slots__ = ("_connection", "_key", "_response")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._response = Response()
        self._key = b""

    def begin(self) -> None:
        """Raises LinkError when not even a socket can be had."""
        self._connection.use_new_link()
        self._ask("")

    def _ask(self, more: str) -> None:
        self._response = Response()
        self._key = upgrade.new_key()
        presence = self._connection.presence
        self._connection.send(upgrade.request(f"{presence.path}websocket{more}", presence.headers, self._key))

    def received(self, data: bytes) -> None:
        """The server's answer, or a part of it."""
        try:
            if self._response.feed(data):
                upgrade.check(self._response, self._key)
                self._up(self._response.rest)
        except HttpError:
            self._connection.swarm.tally.now.protocol_errors += 1
            self._connection.fail("protocol")
        except upgrade.Refused as refused:
            self._connection.fail(str(refused))

    def hung_up(self) -> bool:
        """The server closed; True when that is not the end."""
        if self._response.end():
            self.received(b"")
            return True
        return False

    def handshaken(self, handshake: Handshake) -> None:
        """The server said who it is."""

    def send_packet(self, text: str) -> None:
        """Send an Engine.IO packet by the transport there is."""
        self._connection.send(masked(TEXT, text.encode()))

    def _up(self, rest: bytes) -> None:
        self._connection.is_up(rest)
