"""Connections of the load generator without Socket.IO: raw WebSockets and server-sent events."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadgen.generators import add_user, in_a_thread, is_open, load_generator, refusal_kinds, wait_until
from tests.plain_servers import LATE_REFUSAL, LOGIN, plain_server
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.config.target import EVENT_STREAM, WEBSOCKET
from wscheck.loadgen.handshake import HttpError, StreamBody
from wscheck.loadgen.page_component import ReconnectPolicy

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
