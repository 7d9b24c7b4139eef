"""GraphQL over WebSocket: both subprotocols, and which operations are subscriptions."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.graphql import GraphQlSession, Operation, find_operation
from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Direction,
    Identified,
    Opening,
    Received,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
    WireEvents,
)
from wscheck.protocols.registry import recognise

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
QUERY = "subscription Moved($yard: ID!) { moved(yard: $yard) { id } }"


def send(session: GraphQlSession, type: str, **message: Any) -> WireEvents:
    return session.receive(SENT, json.dumps({"type": type, **message}), 1)


def receive(session: GraphQlSession, type: str, **message: Any) -> WireEvents:
    return session.receive(RECEIVED, json.dumps({"type": type, **message}), 2)


@pytest.mark.parametrize(
    ("start", "data", "stop"), [("subscribe", "next", "complete"), ("start", "data", "stop")], ids=["new", "legacy"]
)
def test_a_subscription_from_start_to_end(start: str, data: str, stop: str) -> None:
    session = GraphQlSession()
    (identified,) = send(session, "connection_init", payload={"userId": "ann"})
    assert isinstance(identified, Identified) and (identified.source, identified.values) == ("auth", {"userId": "ann"})
    assert receive(session, "connection_ack") == []
    payload = {"query": QUERY, "variables": {"yard": 1}}
    (subscribed,) = send(session, start, id="1", payload=payload)
    assert subscribed == Subscribed(at=1, id="1", name="Moved", same=payload)
    (received,) = receive(session, data, id="1", payload={"data": {"moved": 1}})
    assert received == Received(at=2, name="Moved", payload=[payload, {"data": {"moved": 1}}])
    assert send(session, stop, id="1") == [Unsubscribed(at=1, id="1")]
    assert receive(session, "complete", id="1") == [], "the server confirms"


def test_equal_data_of_two_subscriptions_are_two_events() -> None:
    session, found = GraphQlSession(), []
    for id, yard in (("1", "a"), ("2", "b"), ("3", "b")):
        send(session, "subscribe", id=id, payload={"query": QUERY, "variables": {"yard": yard}})
        (received,) = receive(session, "next", id=id, payload={"data": {"moved": 1}})
        assert isinstance(received, Received)
        found.append(received)
    assert found[0] != found[1] and found[1] == found[2]


@pytest.mark.parametrize("type", ["complete", "error"])
def test_the_server_may_end_a_subscription(type: str) -> None:
    session = GraphQlSession()
    send(session, "subscribe", id="a", payload={"query": QUERY})
    assert receive(session, type, id="a") == [Unsubscribed(at=2, id="a", by_server=True)]


def test_queries_and_mutations_are_requests() -> None:
    session = GraphQlSession()
    for query, name in [("{ me { id } }", "me"), ("mutation Save { save }", "Save"), ("query Q { a }", "Q")]:
        (sent,) = send(session, "subscribe", id=name, payload={"query": query, "variables": {"a": 1}})
        assert sent == Sent(at=1, name=name, arguments=[{"a": 1}])
        assert receive(session, "complete", id=name) == []


def test_a_document_that_only_the_server_knows_is_a_subscription() -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}
    (event,) = send(GraphQlSession(), "subscribe", id="1", payload={"extensions": extensions})
    assert isinstance(event, Subscribed) and event.same == {"extensions": extensions}


def test_appsync_sends_the_query_as_text() -> None:
    text = json.dumps({"query": QUERY, "variables": {"yard": 2}})
    authorization = {"authorization": {"Authorization": "secret"}}
    (event,) = send(GraphQlSession(), "start", id="1", payload={"data": text, "extensions": authorization})
    assert isinstance(event, Subscribed)
    assert (event.name, event.same) == ("Moved", {"query": QUERY, "variables": {"yard": 2}})


@pytest.mark.parametrize("frame", ["hello", "[1]", b"\x00"])
def test_what_is_no_json_object_is_malformed(frame: str | bytes) -> None:
    assert [type(event).__name__ for event in GraphQlSession().receive(RECEIVED, frame, 1)] == ["Malformed"]


def test_heartbeats_are_no_events() -> None:
    session = GraphQlSession()
    for type in ("ping", "pong", "ka"):
        assert send(session, type) == [Beat(at=1, direction=SENT)]
        assert receive(session, type) == [Beat(at=2, direction=RECEIVED)]


@pytest.mark.parametrize(
    ("document", "wanted", "found"),
    [
        (QUERY, None, Operation("subscription", "Moved")),
        ("subscription { moved }", None, Operation("subscription", "moved")),
        ("subscription ($a: [ID!] = [1]) @live(n: 1) { b: moved(a: {x: 1}) }", None, Operation("subscription", "b")),
        ('# query { a }\nsubscription S { m(text: "} query") }', None, Operation("subscription", "S")),
        ("fragment F on User { id } subscription S { ...F }", None, Operation("subscription", "S")),
        ("query A { a } subscription B { b }", "B", Operation("subscription", "B")),
        ("query A { a } subscription B { b }", "A", Operation("query", "A")),
        ('"""a } b""" query { a }', None, Operation("query", "a")),
        ("", "Persisted", Operation("subscription", "Persisted")),
        ("", None, Operation("subscription", "subscription")),
    ],
)
def test_the_operation_of_a_document(document: str, wanted: str | None, found: Operation) -> None:
    assert find_operation(document, wanted) == found


@pytest.mark.parametrize(
    ("opening", "confidence"),
    [
        (Opening(url="ws://h/g", transport=Transport.WEBSOCKET, subprotocols=("graphql-ws",)), Confidence.CERTAIN),
        (Opening(url="ws://h/g", transport=Transport.WEBSOCKET, accepted="graphql-transport-ws"), Confidence.CERTAIN),
        (
            Opening(url="ws://h/g", transport=Transport.WEBSOCKET, sent=('{"type":"connection_init"}',)),
            Confidence.LIKELY,
        ),
    ],
)
def test_it_is_recognised_by_its_subprotocol_or_its_first_message(opening: Opening, confidence: Confidence) -> None:
    found = recognise(opening)
    assert found is not None and (found.protocol.id, found.confidence) == ("graphql-ws", confidence)


def test_another_subprotocol_or_first_message_is_not_graphql() -> None:
    opening = Opening(url="ws://h/graphql", transport=Transport.WEBSOCKET, sent=('{"type":"hello"}',))
    found = recognise(opening)
    assert found is not None and found.protocol.id == "websocket"


_TYPES = st.sampled_from(["connection_init", "subscribe", "start", "next", "data", "complete", "stop", "error", "ka"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(QUERY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["query", "data", "x"]), inner),
    max_leaves=5,
)
_MESSAGE = st.fixed_dictionaries({"type": _TYPES}, optional={"id": _JSON, "payload": _JSON}).map(json.dumps)


@given(st.lists(st.tuples(st.booleans(), _MESSAGE | st.text() | st.binary()), max_size=20))
def test_any_messages_are_read_and_only_open_subscriptions_end(frames: list[tuple[bool, str | bytes]]) -> None:
    session, started = GraphQlSession(), set[str]()
    for is_sent, data in frames:
        for event in session.receive(SENT if is_sent else RECEIVED, data, 1):
            if isinstance(event, Subscribed):
                started.add(event.id)
            elif isinstance(event, Unsubscribed):
                assert event.id in started
                started.discard(event.id)


@given(st.text(alphabet='{}()"#@ \nquery subscription Afragment'))
def test_any_document_has_an_operation(document: str) -> None:
    assert find_operation(document).name


@pytest.mark.parametrize("document", ['"\\' * 32_000, '"""' + '\\"""' * 16_000, '"' * 65_000, "{a(" + '"' * 65_000])
def test_quotation_marks_without_end_are_read_once(document: str) -> None:
    began = time.process_time()
    find_operation(document)
    assert time.process_time() - began < 2
