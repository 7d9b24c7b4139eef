"""A connection on a scripted transport: data split at every byte, protocol errors, refusals and closing."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadgen.generators import IdleReactor, offline_generator
from tests.loadgen.test_websocket_frames import frame
from wscheck.loadgen import connection as connection_module
from wscheck.loadgen.connection import Connection, ConnectionState, PendingAcks, ReceivedEvent
from wscheck.loadgen.endpoint import Endpoint, UserIdentity
from wscheck.loadgen.reactor import READABLE, Reactor
from wscheck.loadgen.transport import TcpTransport, TransportOwner
from wscheck.loadgen.websocket_frames import apply_mask
from wscheck.model.load_statistics import LoadStatistics

HANDSHAKE = '0{"sid":"e1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


class ScriptedTransport(TcpTransport):
    """A transport that receives the given chunks and records what is sent."""

    def __init__(self, owner: TransportOwner) -> None:
        self._owner = owner
        self._is_writing = False
        self.sent, self.is_closed = b"", False
        self.chunks: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self, *, abort: bool = False) -> None:
        self.is_closed = True

    def _receive(self) -> bytes | None:
        return self.chunks.pop(0) if self.chunks else None


class RecordingObserver:
    """An observer that records each call: its name, and its last argument other than the connection."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.needs_texts = True

    def connect_sent(self, connection: Connection) -> None:
        self.calls.append(("connect_sent",))

    def opened(self, connection: Connection) -> None:
        self.calls.append(("opened",))

    def refused(self, connection: Connection, kind: str) -> None:
        self.calls.append(("refused", kind))

    def ended(self, connection: Connection, reason: str) -> None:
        self.calls.append(("ended", reason))

    def abandoned(self, connection: Connection) -> None:
        self.calls.append(("abandoned",))

    def event_received(self, connection: Connection, event: ReceivedEvent, text: str) -> None:
        self.calls.append(("event_received", text))

    def reads_events(self) -> bool:
        return self.needs_texts

    def unread_events_received(self, connection: Connection, count: int) -> None:
        self.calls.append(("unread_events_received", str(count)))


class Conversation:
    """One connection on scripted transports."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        upgrades: bool = False,
        connection_class: type[Connection] = Connection,
    ) -> None:
        self.transports: list[ScriptedTransport] = []
        monkeypatch.setattr(connection_module, "open_transport", self._open_transport)
        self.generator = offline_generator(monkeypatch, upgrades=upgrades)
        self.observer = RecordingObserver()
        identity = UserIdentity("/socket.io/?EIO=4&transport=", "Host: x\r\n", "40")
        self.connection = connection_class(self.generator, identity, self.observer)
        self.connection.open()

    def _open_transport(self, endpoint: Endpoint, reactor: Reactor, owner: TransportOwner) -> ScriptedTransport:
        self.transports.append(ScriptedTransport(owner))
        return self.transports[-1]

    @property
    def counts(self) -> LoadStatistics:
        return self.generator.counters.current

    def upgrade_response(self) -> bytes:
        """Return the 101 that answers the last request."""
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", self.transports[-1].sent)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def receive(self, *chunks: bytes) -> "Conversation":
        """Let the connection receive these chunks, each at once."""
        for chunk in chunks:
            if chunk and self.connection.state is not ConnectionState.CLOSED:
                self._receive_chunk(chunk)
        return self

    def hang_up(self) -> None:
        """End the server's data."""
        self._receive_chunk(b"")

    def _receive_chunk(self, chunk: bytes) -> None:
        self.transports[-1].chunks.append(chunk)
        self.transports[-1].ready(READABLE)

    def sent_payloads(self) -> list[bytes]:
        """Return the payloads of the WebSocket frames that the client sent since its upgrade request."""
        sent, payloads = self.transports[-1].sent.partition(b"\r\n\r\n")[2], []
        while sent:
            size = sent[1] & 0x7F
            payloads.append(apply_mask(sent[2:6], sent[6 : 6 + size]))
            sent = sent[6 + size :]
        return payloads


FRAMES = (
    frame(0x81, HANDSHAKE.encode()),
    frame(0x81, b'40{"sid":"s1"}'),
    frame(0x81, b'42["message_sync",{"n":1}]'),
    frame(0x01, b'42["mess'),
    frame(0x80, b'age_sync",{"n":2}]'),
    frame(0x81, b'451-7["file",{"_placeholder":true,"num":0}]'),
    frame(0x82, b"\x00\x01"),
    frame(0x81, b"2"),
    frame(0x81, b"6"),
    frame(0x89, b"are you there"),
    frame(0x81, b'42/other,["not ours"]'),
    frame(0x81, b'451-/other,["nor this",{"_placeholder":true,"num":0}]'),
    frame(0x82, b"\x02"),
    frame(0x81, b"41"),
)
OPENING = b"".join(FRAMES[:2])
STREAM = b"".join(FRAMES)
OBSERVED = [
    ("connect_sent",),
    ("opened",),
    ("event_received", '2["message_sync",{"n":1}]'),
    ("event_received", '2["message_sync",{"n":2}]'),
    ("event_received", '51-7["file",{"_placeholder":true,"num":0}]'),
    ("ended", "io server disconnect"),
]
SENT = [b"40", b"437[]", b"3", b"are you there", b"\x03\xe8"]


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_data_split_at_every_byte(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(talk.upgrade_response() + STREAM[:at], STREAM[at:])
    assert (talk.observer.calls, talk.sent_payloads()) == (OBSERVED, SENT)
    assert talk.counts.received == 3
    assert talk.counts.protocol_errors == 0


def test_data_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(*(bytes((each,)) for each in talk.upgrade_response() + STREAM))
    assert (talk.observer.calls, talk.sent_payloads()) == (OBSERVED, SENT)


@pytest.mark.parametrize(("recovery", "texts"), [(b',"pid":"p1"', 1), (b"", 2)])
def test_copies_are_alike_without_the_offset_for_recovery(
    monkeypatch: pytest.MonkeyPatch, recovery: bytes, texts: int
) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(talk.upgrade_response() + FRAMES[0] + frame(0x81, b'40{"sid":"s1"' + recovery + b"}"))
    talk.receive(*(frame(0x81, b'42["line",{"n":[1,"a"]},"1764525832000-%d"]' % n) for n in range(2)))
    received = {text for name, *texts in talk.observer.calls if name == "event_received" for text in texts}
    assert len(received) == texts
    assert texts == 2 or received == {'2["line",{"n":[1,"a"]}]'}


@pytest.mark.parametrize(
    ("crossing", "reason"), [(b"", "io client disconnect"), (frame(0x81, b"41"), "io server disconnect")]
)
def test_a_server_disconnect_that_crosses_ours_counts(
    monkeypatch: pytest.MonkeyPatch, crossing: bytes, reason: str
) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(talk.upgrade_response() + OPENING)
    talk.connection.close()
    assert talk.sent_payloads() == [b"40", b"41", b""], "the WebSocket stays open until the server has read the 41"
    talk.receive(crossing, frame(0x8A, b""), frame(0x88, b""))
    assert talk.observer.calls == [("connect_sent",), ("opened",), ("ended", reason)]
    assert talk.sent_payloads()[3:] == [(1000).to_bytes(2)]
    assert talk.transports[-1].is_closed is False, "the server closes first, so that our port is free at once"
    talk.hang_up()
    assert talk.transports[-1].is_closed


@pytest.mark.parametrize(("lag_ms", "stalled"), [(19_000.0, 0), (20_000.0, 1)])
def test_a_close_after_our_own_long_lag_counts_as_our_stall(
    monkeypatch: pytest.MonkeyPatch, lag_ms: float, stalled: int
) -> None:
    talk = Conversation(monkeypatch)
    assert isinstance(talk.generator.reactor, IdleReactor)
    talk.generator.reactor.lag_ms = lag_ms
    talk.receive(talk.upgrade_response(), *FRAMES[:2]).connection.closed_by_server(transport_closed=True)
    assert talk.counts.stalled == stalled


@pytest.mark.parametrize(
    "malformed",
    [
        frame(0x81, b"hello"),
        frame(0x81, b""),
        frame(0x81, b"9"),
        frame(0x81, b"49"),
        frame(0x81, b"42[broken"),
        frame(0x81, b'42{"not":"a list"}'),
        frame(0x81, b'42["connect"]'),
        frame(0x81, b'40{"sid":"again"}'),
        frame(0x81, HANDSHAKE.encode()),
        frame(0x82, b"an attachment of nothing"),
        frame(0x83, b"x"),
        frame(0x81, b"\xff"),
    ],
)  # fmt: skip
def test_malformed_data_is_one_protocol_error_and_a_close(monkeypatch: pytest.MonkeyPatch, malformed: bytes) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(talk.upgrade_response() + OPENING, malformed, malformed)
    assert talk.observer.calls == [("connect_sent",), ("opened",), ("ended", "parse error")]
    assert talk.counts.protocol_errors == 1
    assert talk.connection.state is ConnectionState.CLOSED
    assert talk.transports[-1].is_closed
    assert talk.sent_payloads()[-1] == (1002).to_bytes(2)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "protocol"),
        (b"HTTP/1.1 101 Fine\r\n\r\n", "protocol"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "http-502"),
        (b'HTTP/1.1 400 No\r\nContent-Length: 10\r\n\r\n{"code":5}', "http-400 unsupported protocol version"),
    ],
)
def test_a_failed_handshake_is_a_refusal(monkeypatch: pytest.MonkeyPatch, response: bytes, kind: str) -> None:
    talk = Conversation(monkeypatch).receive(response)
    assert talk.observer.calls == [("refused", kind)]
    assert talk.transports[-1].is_closed


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (frame(0x81, b'0{"no":"sid"}'), "protocol"),
        (FRAMES[0] + frame(0x81, b"40"), "protocol"),
        (FRAMES[0] + frame(0x81, b'40{"sid":7}'), "protocol"),
        (FRAMES[0] + frame(0x81, b'44{"message":"invalid token"}'), "connect_error: invalid token"),
        (FRAMES[0] + frame(0x88, b""), "closed by the server"),
        (FRAMES[0] + frame(0x81, b"41"), "disconnected at once"),
    ],
)
def test_a_failed_connect_is_a_refusal(monkeypatch: pytest.MonkeyPatch, frames: bytes, kind: str) -> None:
    talk = Conversation(monkeypatch)
    talk.receive(talk.upgrade_response() + frames)
    assert talk.observer.calls[-1] == ("refused", kind)
    assert talk.connection.state is ConnectionState.CLOSED


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=4))
def test_arbitrary_bytes_end_the_connection_at_most_once(parts: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        talk = Conversation(monkeypatch)
        talk.receive(talk.upgrade_response() + OPENING, *parts)
        ends = [call for call in talk.observer.calls if call[0] == "ended"]
        assert len(ends) == (talk.connection.state > ConnectionState.CLOSING)
        assert talk.counts.protocol_errors <= 1


def poll_response(*packets: str) -> bytes:
    body = "\x1e".join(packets).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("at", range(1, 500, 7))
def test_polling_and_the_upgrade_split_anywhere(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    talk = Conversation(monkeypatch, upgrades=True)

    def split(data: bytes) -> tuple[bytes, bytes]:
        return data[: at % len(data)], data[at % len(data) :]

    talk.receive(*split(poll_response(HANDSHAKE))).receive(*split(poll_response("ok")))
    talk.receive(*split(poll_response("2")), *split(poll_response("ok")))
    talk.receive(*split(poll_response('40{"sid":"s1"}', '42["message_sync",{"n":1}]')))
    assert talk.connection.emit("early") is True
    talk.receive(*split(talk.upgrade_response())).receive(*split(frame(0x81, b"6") + frame(0x81, b"3probe")))
    talk.receive(*split(frame(0x81, b'42["message_sync",{"n":2}]') + frame(0x88, b"")))
    assert talk.observer.calls == [
        ("connect_sent",),
        ("opened",),
        ("event_received", '2["message_sync",{"n":1}]'),
        ("event_received", '2["message_sync",{"n":2}]'),
        ("ended", "transport close"),
    ]
    assert [b"sid=e1" in transport.sent for transport in talk.transports] == [True, True]
    assert b"POST" in talk.transports[0].sent
    assert b"40" in talk.transports[0].sent
    assert talk.sent_payloads() == [b"2probe", b"5", b'42["early"]', b"\x03\xe8"]


@pytest.mark.parametrize(
    ("body", "calls"),
    [(HANDSHAKE.encode(), [("connect_sent",)]), (b"\xff", [("refused", "protocol")]), (b"", [("refused", "protocol")])],
)
def test_a_poll_that_ends_with_the_transport(
    monkeypatch: pytest.MonkeyPatch, body: bytes, calls: list[tuple[str, ...]]
) -> None:
    talk = Conversation(monkeypatch, upgrades=True).receive(b"HTTP/1.0 200 OK\r\n\r\n" + body)
    talk.hang_up()
    is_refused = calls[0][0] == "refused"
    assert talk.observer.calls == calls
    assert talk.counts.protocol_errors == is_refused
    assert talk.transports[-1].is_closed is is_refused


def test_all_late_acknowledgements_expire_at_once() -> None:
    pending, counts = PendingAcks(), LoadStatistics()
    answers: list[list[Any] | None] = []
    on_ack: Callable[[list[Any] | None, float], None] = lambda answer, ms: answers.append(answer)  # noqa: E731
    for _ in range(3):
        pending.add(on_ack)
    pending.expire(pending.oldest_sent_at - 1.0, counts)
    assert counts.ack_timeouts == 0
    pending.expire(pending.oldest_sent_at + 1.0, counts)
    assert (counts.ack_timeouts, answers, len(pending)) == (3, [None] * 3, 0)


def test_refusal_kinds_are_few_and_contain_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = offline_generator(monkeypatch)
    kinds = {generator.refusal_kind({"message": f"no {number}"}) for number in range(200)}
    assert len(kinds) == 51
    assert "abcdefgh12" not in generator.refusal_kind({"message": "token=abcdefgh12 is bad"})
