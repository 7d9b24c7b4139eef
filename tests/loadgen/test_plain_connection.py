"""Connections of the load generator without Socket.IO: raw WebSockets and server-sent events."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadgen.generators import add_user, in_a_thread, is_open, load_generator, refusal_kinds, wait_until
from tests.loadgen.test_connection import Conversation
from tests.loadgen.test_websocket_frames import frame
from tests.plain_servers import LATE_REFUSAL, LOGIN, plain_server
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.config.target import EVENT_STREAM, WEBSOCKET
from wscheck.loadgen.connection import Connection
from wscheck.loadgen.handshake import HttpError, StreamBody
from wscheck.loadgen.page_component import ReconnectPolicy
from wscheck.loadgen.plain_connection import EventStreamLoadConnection, WebSocketLoadConnection
from wscheck.loadgen.reactor import READABLE

CHUNKED = b"5\r\ndata:\r\n3;x=y\r\n a\n\r\n1\r\n\n\r\n0\r\n\r\n"


@contextmanager
def served(path: str, *faults: str) -> Iterator[str]:
    @asynccontextmanager
    async def serve() -> AsyncIterator[str]:
        async with plain_server(*faults) as (address, _):
            yield f"http://{address}{path}"

    with in_a_thread(serve) as url:
        yield url


TARGETS = {"/chat": {"protocol": WEBSOCKET}, "/events": {"protocol": EVENT_STREAM}}
CREDENTIALS = {"user_in": "", "token_in": "query.token"}


@pytest.mark.parametrize("path", TARGETS)
def test_a_newer_connection_of_the_user_replaces_the_older(path: str) -> None:
    with served(path) as url, load_generator(url, target=TARGETS[path] | CREDENTIALS) as generator:
        [first] = add_user(generator)
        wait_until(lambda: is_open(first))
        second = type(first)(generator, first.user_connections, ReconnectPolicy(backoff_s=None))
        generator.users[first.user_connections].append(second)
        second.open()
        wait_until(lambda: is_open(second) and first.connection is None)
        counts = generator.counters.current
        assert (counts.connects, counts.replaced, counts.sum_of_user_peaks) == (2, 1, 2)
        assert counts.disconnects == {"io server disconnect": 1}
        assert generator.close(3.0) == 0
        assert not generator.counters.open


def test_the_answer_to_a_message_is_received() -> None:
    with served("/chat") as url, load_generator(url, target=TARGETS["/chat"] | CREDENTIALS) as generator:
        [component] = add_user(generator)
        received: list[tuple[str, object]] = []
        component.on_event = lambda name, arguments: received.append((name, arguments[0]))
        wait_until(lambda: is_open(component))
        assert component.emit("status", ack=True)
        wait_until(lambda: received)
        assert received == [("status", {"type": "status", "userId": "ada", "number": 0})]
        assert (generator.counters.current.sent, generator.counters.current.received) == (1, 1)


@pytest.mark.parametrize("path", TARGETS)
def test_a_refusal_is_counted_with_its_status(path: str) -> None:
    with served(path) as url, load_generator(url, target={**TARGETS[path], "user_in": "", "token_in": ""}) as generator:
        assert refusal_kinds(generator) == {"http-401": 1}


def test_a_stream_needs_its_media_type() -> None:
    with served("/hello") as url, load_generator(url, target=TARGETS["/events"] | CREDENTIALS) as generator:
        assert refusal_kinds(generator) == {"not an event stream": 1}


@pytest.mark.parametrize(("token", "kind"), [("token-of-ada", None), ("wrong", "step 1 after connecting, login: who?")])
def test_a_login_in_the_first_message_is_performed(token: str, kind: str | None) -> None:
    login = ConnectStep(emit="login", payload={"token": "{token}"}, wait_for="welcome")
    target = {**TARGETS["/chat"], "user_in": "", "token_in": "", "connect": ConnectOptions(steps=(login,))}
    with served("/chat", LOGIN) as url, load_generator(url, target=target) as generator:
        [component] = add_user(generator, token=token)
        counts = generator.counters.current
        wait_until(lambda: is_open(component) and counts.connects if kind is None else counts.refused)
        assert counts.refused == ({} if kind is None else {kind: 1})


def test_a_close_after_the_acceptance_is_the_end_of_the_connection() -> None:
    target = {**TARGETS["/chat"], "user_in": "", "token_in": ""}
    with served("/chat", LATE_REFUSAL) as url, load_generator(url, target=target) as generator:
        add_user(generator)
        counts = generator.counters.current
        wait_until(lambda: counts.disconnects)
        assert (counts.connects, counts.disconnects) == (1, {"io server disconnect": 1})


MESSAGES = (
    frame(0x81, b'{"type":"a"}'),
    frame(0x89, b"are you there"),
    frame(0x01, b'{"type"'),
    frame(0x80, b':"b"}'),
    frame(0x82, b"\x00\xff"),
)
RECEIVED = [("event_received", text) for text in ('{"type":"a"}', '{"type":"b"}', "00ff")]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [("event_received", "1"), ("event_received", "2")]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def talk(monkeypatch: pytest.MonkeyPatch, connection_class: type[Connection], *, is_open: bool = True) -> Conversation:
    conversation = Conversation(monkeypatch, connection_class=connection_class)
    if is_open:
        head = STREAM_HEAD if connection_class is EventStreamLoadConnection else conversation.upgrade_response()
        conversation.receive(head)
        assert conversation.observer.calls == [("connect_sent",), ("opened",)]
        conversation.observer.calls.clear()
    return conversation


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_may_arrive_in_parts_of_any_length(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, data = talk(monkeypatch, WebSocketLoadConnection), b"".join(MESSAGES)
    conversation.receive(*(data[start : start + size] for start in range(0, len(data), size)))
    assert conversation.observer.calls == RECEIVED
    assert conversation.sent_payloads() == [b"are you there"]
    assert conversation.counts.received == 3


@pytest.mark.parametrize("size", [1, 2, 7, 14, 1000])
def test_messages_that_nobody_reads_are_counted(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = talk(monkeypatch, WebSocketLoadConnection)
    conversation.observer.needs_texts = False
    data = MESSAGES[0] * 3 + b"".join(MESSAGES) + frame(0x81, b"\xff")
    conversation.receive(*(data[start : start + size] for start in range(0, len(data), size)))
    assert conversation.counts.received == 6
    unread = [int(count) for name, count in conversation.observer.calls if name == "unread_events_received"]
    assert bool(unread) is (size == 14), "14 bytes are one message; other parts contain less or more than messages"
    assert conversation.observer.calls[-1] == ("ended", "parse error")


def test_messages_of_a_connection_that_is_no_longer_new_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = talk(monkeypatch, WebSocketLoadConnection)
    conversation.observer.needs_texts = False
    for is_young in (True, False):
        conversation.connection.is_young = is_young
        conversation.receive(MESSAGES[0])
    assert conversation.counts.received == 2
    assert conversation.observer.calls == [("unread_events_received", "1")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_may_arrive_in_parts_of_any_length(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = talk(monkeypatch, EventStreamLoadConnection, is_open=False)
    data = STREAM_HEAD + chunk(b": hello\n\ndata: 1\n") + chunk(b"\nevent: b\ndata: 2\n\n") + chunk(b"")
    conversation.receive(*(data[start : start + size] for start in range(0, len(data), size)))
    ended = [("ended", "io server disconnect")]
    assert conversation.observer.calls == [("connect_sent",), ("opened",), *EVENTS, *ended]


@pytest.mark.parametrize(
    ("code", "reason"), [(4000, "io server disconnect"), (1000, "io client disconnect"), (None, "io client disconnect")]
)
def test_a_close_of_the_server_that_crosses_ours_is_its_own(
    code: int | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(monkeypatch, WebSocketLoadConnection)
    conversation.connection.close()
    conversation.receive(frame(0x88, b"" if code is None else code.to_bytes(2)))
    assert conversation.observer.calls == [("ended", reason)]
    assert conversation.sent_payloads() == [(1000).to_bytes(2)]


@pytest.mark.parametrize("connection_class", [WebSocketLoadConnection, EventStreamLoadConnection])
def test_an_end_that_the_server_does_not_announce_is_a_loss(
    connection_class: type[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(monkeypatch, connection_class)
    conversation.hang_up()
    assert conversation.observer.calls == [("ended", "transport close")]


@pytest.mark.parametrize(
    ("connection_class", "data"), [(WebSocketLoadConnection, b"\xff\xff"), (EventStreamLoadConnection, b"no size\r\n")]
)
def test_bytes_that_break_the_protocol_end_the_connection(
    connection_class: type[Connection], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(monkeypatch, connection_class)
    conversation.receive(data)
    assert conversation.observer.calls == [("ended", "parse error")]
    assert conversation.counts.protocol_errors == 1


def test_a_connection_that_is_dropped_while_it_opens_is_closed_when_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = talk(monkeypatch, EventStreamLoadConnection, is_open=False)
    conversation.connection.close()
    conversation.receive(STREAM_HEAD)
    assert conversation.observer.calls == [("connect_sent",), ("opened",), ("ended", "io client disconnect")]


@pytest.mark.parametrize(
    ("arrived", "calls"),
    [
        ((), [("ended", "io client disconnect")]),
        ((chunk(b"data: 1\n\n"),), [("event_received", "1"), ("ended", "io client disconnect")]),
        ((chunk(b"data: 1\n\n") + chunk(b""),), [("event_received", "1"), ("ended", "io server disconnect")]),
        ((b"",), [("ended", "transport close")]),
        ((b"no size\r\n",), [("ended", "parse error")]),
    ],
)
@pytest.mark.parametrize("is_open", [True, False])
def test_what_has_arrived_when_a_stream_is_closed_came_before(
    *, arrived: tuple[bytes, ...], calls: list[tuple[str, ...]], is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(monkeypatch, EventStreamLoadConnection, is_open=is_open)
    conversation.transports[-1].chunks.extend(arrived)
    conversation.connection.close()
    if not is_open:
        conversation.transports[-1].chunks.insert(0, STREAM_HEAD)
        conversation.transports[-1].ready(READABLE)
        calls = [("connect_sent",), ("opened",), *calls]
    assert conversation.observer.calls == calls
    assert conversation.transports[-1].is_closed


@pytest.mark.parametrize("end", [b"", chunk(b"")])
def test_what_follows_the_head_of_a_stream_that_was_dropped_came_before(
    end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(monkeypatch, EventStreamLoadConnection, is_open=False)
    conversation.connection.close()
    conversation.receive(STREAM_HEAD + chunk(b"data: 1\n\n") + end)
    reason = "io server disconnect" if end else "io client disconnect"
    assert conversation.observer.calls[1:] == [("opened",), ("event_received", "1"), ("ended", reason)]


@given(st.lists(st.integers(1, len(CHUNKED)), max_size=6))
def test_a_chunked_body_may_arrive_in_parts_of_any_length(cuts: list[int]) -> None:
    body, places = StreamBody(is_chunked=True), sorted({0, *cuts, len(CHUNKED)})
    parts = [body.feed(CHUNKED[start:end]) for start, end in pairwise(places)]
    assert b"".join(parts) == b"data: a\n\n"
    assert body.is_complete


@pytest.mark.parametrize("data", [b"\r\n", b"x\r\n", b"1" * 2000, b"-1\r\n"])
def test_a_chunk_without_a_size_is_an_error(data: bytes) -> None:
    with pytest.raises(HttpError):
        StreamBody(is_chunked=True).feed(data)
