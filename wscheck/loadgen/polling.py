"""POLLING, THEN THE UPGRADE: the stock client's default, so that its cost can be compared.

    GET (handshake) · POST 40 · GET 40 · websocket with the sid: 2probe, 3probe, 5

One session, one connection; an application's packets wait for the websocket.
"""

from typing import TYPE_CHECKING

from wscheck.loadgen.frames import CLOSE, TEXT, Frames, masked
from wscheck.loadgen.handshake import Opening
from wscheck.loadgen.http import Response, refusal
from wscheck.protocols.engine_io import Handshake, PacketError, decode_payload, encode_engine_packet

if TYPE_CHECKING:
    from wscheck.loadgen.connection import Connection

_POLL, _POST, _UPGRADE, _PROBE = range(4)


class PollingOpening(Opening):
    """The connection is open once the namespace acknowledged, and this goes on until the websocket is up."""

    __slots__ = ("_frames", "_outbox", "_sid", "_stage")

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self._frames = Frames()
        self._outbox: list[str] = []
        self._sid = ""
        self._stage = _POLL

    def begin(self) -> None:
        self._connection.use_new_link()
        self._poll()

    def handshaken(self, handshake: Handshake) -> None:
        self._sid = handshake.sid

    def send_packet(self, text: str) -> None:
        self._outbox.append(text)

    def received(self, data: bytes) -> None:
        if self._stage == _PROBE:
            self._probed(data)
        elif self._stage == _UPGRADE:
            super().received(data)
        else:
            self._answer(data)

    def hung_up(self) -> bool:
        if self._stage in (_POLL, _POST) and self._response.end():
            try:
                self._answered()
            except ValueError:
                self._connection.swarm.tally.now.protocol_errors += 1
                self._connection.fail("protocol")
            return True
        return super().hung_up() if self._stage == _UPGRADE else False

    def _request(self, method: str, body: str = "") -> None:
        self._response = Response()
        presence = self._connection.presence
        sid = f"&sid={self._sid}" if self._sid else ""
        data = body.encode()
        length = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(data)}\r\n" if data else ""
        head = f"{method} {presence.path}polling{sid} HTTP/1.1\r\n{presence.headers}{length}\r\n"
        self._connection.send(head.encode() + data)

    def _poll(self) -> None:
        self._stage = _POLL
        self._request("GET")

    def _answer(self, data: bytes) -> None:
        try:
            if self._response.feed(data):
                self._answered()
        except ValueError as problem:
            raise PacketError("what came is no answer to a poll") from problem

    def _answered(self) -> None:
        response, stage = self._response, self._stage
        if response.status != 200:
            self._connection.fail(refusal(response))
            return
        if not response.keeps_alive:
            self._connection.use_new_link()
        if stage == _POLL:
            for packet in decode_payload(response.body.decode()):
                text = encode_engine_packet(packet)
                if isinstance(text, str) and not self._connection.is_over:
                    self._connection.packet(text)
        self._go_on()

    def _go_on(self) -> None:
        """Post what waits to be said; upgrade once the namespace has acknowledged; poll otherwise."""
        connection = self._connection
        if connection.is_over:
            return
        if connection.sid is not None:
            connection.use_new_link()
            self._stage = _UPGRADE
            self._ask(f"&sid={self._sid}")
        elif self._outbox:
            said, self._outbox = self._outbox, []
            self._stage = _POST
            self._request("POST", "\x1e".join(said))
        else:
            self._poll()

    def _up(self, rest: bytes) -> None:
        self._stage = _PROBE
        self._connection.send(masked(TEXT, b"2probe"))
        if rest:
            self._probed(rest)

    def _probed(self, data: bytes) -> None:
        messages = self._frames.feed(data)
        if self._frames.broken:
            raise PacketError(self._frames.broken)
        for opcode, text in messages:
            if opcode == CLOSE:
                self._connection.fail("upgrade")
                return
            if text == "3probe":
                self._upgraded()
                return

    def _upgraded(self) -> None:
        """Nothing follows the probe's answer before the server has read the 5."""
        connection = self._connection
        connection.send(b"".join(masked(TEXT, text.encode()) for text in ("5", *self._outbox)))
        connection.is_up(b"")
