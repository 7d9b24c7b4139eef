"""A connection's receive path: the same conversation, cut at every byte; and nonsense, counted and closed."""

import base64
import hashlib
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadgen.test_frames import frame
from wscheck.loadgen import socket_io as module
from wscheck.loadgen.acks import Answers
from wscheck.loadgen.callbacks import State
from wscheck.loadgen.connection import Connection
from wscheck.loadgen.counters import Tally
from wscheck.loadgen.endpoint import Presence
from wscheck.loadgen.frames import mask_with
from wscheck.loadgen.handshake import Opening
from wscheck.loadgen.polling import PollingOpening
from wscheck.loadgen.reactor import READABLE
from wscheck.loadgen.swarm import Swarm
from wscheck.model.load_statistics import LoadStatistics

HANDSHAKE = '0{"sid":"e1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


class ScriptedLink:
    """A server that said these chunks, and what it was sent."""

    fd, is_blocked, has_ended = 7, False, False

    def __init__(self) -> None:
        self.sent, self.chunks, self.closed = b"", [], False  # type: tuple[bytes, list[bytes], bool]

    def send(self, data: bytes) -> None:
        self.sent += data

    def flush(self) -> None:
        """Nothing waits."""

    def receive(self) -> bytes | None:
        return self.chunks.pop(0) if self.chunks else None

    def close(self, *, abort: bool = False) -> None:
        self.closed = True


class Witness:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda connection, *rest: self.told.append((name, *rest[-1:]))


class Conversation:
    """One connection on a scripted link."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, opening: type[Opening] = Opening) -> None:
        self.links: list[ScriptedLink] = []
        monkeypatch.setattr(module, "link_to", lambda endpoint: self.links.append(ScriptedLink()) or self.links[-1])
        nothing = SimpleNamespace(
            watch=lambda *_: None, want=lambda *_: None, forget=lambda *_: None,
            leave=lambda *_: None, look_after=lambda *_: None, worst_lag=lambda _: 0.0,
        )  # fmt: skip
        target = SimpleNamespace(timeout_s=5.0)
        endpoint = SimpleNamespace(target=target, namespace="/", ack_timeout_s=1.0, close_timeout_s=1.0)
        self.swarm: Any = SimpleNamespace(
            reactor=nothing, endpoint=endpoint, tally=Tally(), opening=opening, _kinds=set()
        )
        self.swarm.kind_of_refusal = lambda data, token: f"connect_error: {data['message']}"
        self.witness = Witness()
        self.connection = Connection(
            self.swarm, Presence("/socket.io/?EIO=4&transport=", "Host: x\r\n", "40"), self.witness
        )
        self.connection.open()

    def upgrade_answer(self) -> bytes:
        """The 101 that answers the last request."""
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", self.links[-1].sent)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def hear(self, *chunks: bytes) -> "Conversation":
        """The server says this, in these pieces."""
        for chunk in chunks:
            if chunk and self.connection.state is not State.GONE:
                self.links[-1].chunks.append(chunk)
                self.connection.ready(READABLE)
        return self

    def said(self) -> list[bytes]:
        """What the client sent in websocket frames since its upgrade request."""
        sent, texts = self.links[-1].sent.partition(b"\r\n\r\n")[2], []
        while sent:
            size = sent[1] & 0x7F
            texts.append(mask_with(sent[2:6], sent[6 : 6 + size]))
            sent = sent[6 + size :]
        return texts


WORDS = (
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
TALK = b"".join(WORDS)
TOLD = [
    ("asked",),
    ("opened",),
    ("event", '2["message_sync",{"n":1}]'),
    ("event", '2["message_sync",{"n":2}]'),
    ("event", '51-7["file",{"_placeholder":true,"num":0}]'),
    ("ended", "io server disconnect"),
]
SAID = [b"40", b"437[]", b"3", b"are you there", b"\x03\xe8"]


@pytest.mark.parametrize("at", range(1, len(TALK)))
def test_split_at_every_byte(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    talk = Conversation(monkeypatch)
    talk.hear(talk.upgrade_answer() + TALK[:at], TALK[at:])
    assert (talk.witness.told, talk.said()) == (TOLD, SAID)
    assert talk.swarm.tally.now.received == 3
    assert talk.swarm.tally.now.protocol_errors == 0


def test_byte_by_byte_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Conversation(monkeypatch)
    talk.hear(*(bytes((each,)) for each in talk.upgrade_answer() + TALK))
    assert (talk.witness.told, talk.said()) == (TOLD, SAID)


@pytest.mark.parametrize(
    ("crossing", "reason"), [(b"", "io client disconnect"), (frame(0x81, b"41"), "io server disconnect")]
)
def test_a_kick_that_crosses_our_leaving_is_heard(
    monkeypatch: pytest.MonkeyPatch, crossing: bytes, reason: str
) -> None:
    talk = Conversation(monkeypatch)
    talk.hear(talk.upgrade_answer() + b"".join(WORDS[:2]))
    talk.connection.leave()
    assert talk.said() == [b"40", b"41", b""], "it closes before the server can have answered"
    talk.hear(crossing, frame(0x8A, b""), frame(0x88, b""))
    assert talk.witness.told == [("asked",), ("opened",), ("ended", reason)]
    assert talk.said()[3:] == [(1000).to_bytes(2)]
    assert talk.links[-1].closed is False, "the server closes first, so that our port is free at once"
    talk.links[-1].chunks.append(b"")
    talk.connection.ready(READABLE)
    assert talk.links[-1].closed


@pytest.mark.parametrize(("lag_ms", "stalled"), [(19_000.0, 0), (20_000.0, 1)])
def test_an_end_is_ours_when_we_were_later_than_the_server_waits(
    monkeypatch: pytest.MonkeyPatch, lag_ms: float, stalled: int
) -> None:
    talk = Conversation(monkeypatch)
    talk.swarm.reactor.worst_lag = lambda within: lag_ms
    talk.hear(talk.upgrade_answer(), *WORDS[:2]).connection.closed(gone=True)
    assert talk.swarm.tally.now.stalled == stalled


@pytest.mark.parametrize(
    "nonsense",
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
def test_nonsense_is_one_protocol_error_and_a_close(monkeypatch: pytest.MonkeyPatch, nonsense: bytes) -> None:
    talk = Conversation(monkeypatch)
    talk.hear(talk.upgrade_answer() + b"".join(WORDS[:2]), nonsense, nonsense)
    assert talk.witness.told == [("asked",), ("opened",), ("ended", "parse error")]
    assert talk.swarm.tally.now.protocol_errors == 1
    assert talk.connection.state is State.GONE
    assert talk.links[-1].closed
    assert talk.said()[-1] == (1002).to_bytes(2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "protocol"),
        (b"HTTP/1.1 101 Fine\r\n\r\n", "protocol"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "http-502"),
        (b'HTTP/1.1 400 No\r\nContent-Length: 10\r\n\r\n{"code":5}', "http-400 unsupported protocol version"),
    ],
)
def test_a_handshake_that_fails_is_refused_by_kind(monkeypatch: pytest.MonkeyPatch, answer: bytes, kind: str) -> None:
    talk = Conversation(monkeypatch).hear(answer)
    assert talk.witness.told == [("refused", kind)]
    assert talk.links[-1].closed


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (frame(0x81, b'0{"no":"sid"}'), "protocol"),
        (WORDS[0] + frame(0x81, b"40"), "protocol"),
        (WORDS[0] + frame(0x81, b'40{"sid":7}'), "protocol"),
        (WORDS[0] + frame(0x81, b'44{"message":"invalid token"}'), "connect_error: invalid token"),
        (WORDS[0] + frame(0x88, b""), "closed by the server"),
        (WORDS[0] + frame(0x81, b"41"), "disconnected at once"),
    ],
)
def test_a_connect_that_fails_is_refused_by_kind(monkeypatch: pytest.MonkeyPatch, words: bytes, kind: str) -> None:
    talk = Conversation(monkeypatch)
    talk.hear(talk.upgrade_answer() + words)
    assert talk.witness.told[-1] == ("refused", kind)
    assert talk.connection.state is State.GONE


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=4))
def test_arbitrary_bytes_end_in_order_or_wait(parts: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        talk = Conversation(monkeypatch)
        talk.hear(talk.upgrade_answer() + b"".join(WORDS[:2]), *parts)
        ends = [told for told in talk.witness.told if told[0] == "ended"]
        assert len(ends) == (talk.connection.state > State.LEAVING)
        assert talk.swarm.tally.now.protocol_errors <= 1


def poll(*packets: str) -> bytes:
    body = "\x1e".join(packets).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("at", range(1, 500, 7))
def test_polling_and_the_upgrade_cut_anywhere(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    talk = Conversation(monkeypatch, PollingOpening)

    def cut(data: bytes) -> tuple[bytes, bytes]:
        return data[: at % len(data)], data[at % len(data) :]

    talk.hear(*cut(poll(HANDSHAKE))).hear(*cut(poll("ok"))).hear(*cut(poll("2")), *cut(poll("ok")))
    talk.hear(*cut(poll('40{"sid":"s1"}', '42["message_sync",{"n":1}]')))
    assert talk.connection.emit("early") is True
    talk.hear(*cut(talk.upgrade_answer())).hear(*cut(frame(0x81, b"6") + frame(0x81, b"3probe")))
    talk.hear(*cut(frame(0x81, b'42["message_sync",{"n":2}]') + frame(0x88, b"")))
    assert talk.witness.told == [
        ("asked",),
        ("opened",),
        ("event", '2["message_sync",{"n":1}]'),
        ("event", '2["message_sync",{"n":2}]'),
        ("ended", "transport close"),
    ]
    assert [b"sid=e1" in link.sent for link in talk.links] == [True, True]
    assert b"POST" in talk.links[0].sent
    assert b"40" in talk.links[0].sent
    assert talk.said() == [b"2probe", b"5", b'42["early"]', b"\x03\xe8"]


@pytest.mark.parametrize(
    ("body", "told"),
    [(HANDSHAKE.encode(), [("asked",)]), (b"\xff", [("refused", "protocol")]), (b"", [("refused", "protocol")])],
)
def test_a_poll_whose_end_is_the_connections_end(
    monkeypatch: pytest.MonkeyPatch, body: bytes, told: list[tuple[str, ...]]
) -> None:
    talk = Conversation(monkeypatch, PollingOpening).hear(b"HTTP/1.0 200 OK\r\n\r\n" + body)
    talk.links[-1].chunks.append(b"")
    talk.connection.ready(READABLE)
    assert talk.witness.told == told
    assert talk.swarm.tally.now.protocol_errors == (told[0][0] == "refused")
    assert talk.links[-1].closed is (told[0][0] == "refused")


def test_all_that_are_late_are_given_up_at_once() -> None:
    answers, now, late = Answers(), LoadStatistics(), list[Any]()
    for _ in range(3):
        answers.expect(lambda answer, ms: late.append(answer))
    answers.give_up(answers.oldest_at - 1.0, now)
    assert now.ack_timeouts == 0
    answers.give_up(answers.oldest_at + 1.0, now)
    assert (now.ack_timeouts, late, len(answers)) == (3, [None] * 3, 0)


def test_refusals_told_apart_are_few_and_hold_no_secret() -> None:
    swarm = Swarm.__new__(Swarm)
    swarm._kinds, swarm._redactor = set(), __import__("wscheck.model.secrets", fromlist=["Redactor"]).Redactor()
    kinds = {swarm.kind_of_refusal({"message": f"no {number}"}) for number in range(200)}
    assert len(kinds) == 51
    assert "abcdefgh12" not in swarm.kind_of_refusal({"message": "token=abcdefgh12 is bad"})
