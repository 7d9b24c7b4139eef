"""Requests and frames of one session as input, its events as output."""

import base64
import json
from typing import Any

import msgspec
import pytest

from wscheck.model.errors import UsageError
from wscheck.model.events import (
    CodeLocation,
    Connected,
    Connecting,
    ConnectionEvent,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Refused,
    Unreadable,
    Upgraded,
)
from wscheck.observe.traffic import ConnectionOrigin, IdentityRule, Initiator, TrafficDemux

WS = "ws://user:pw@localhost/socket.io/?EIO=4&transport=websocket"
POLL = "http://localhost/socket.io/?EIO=4&transport=polling"
PAGE = Initiator(target_id="T1", page="tab 1", target="page http://localhost/")
HANDSHAKE = '0{"sid":"E1","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}'
CONNECT = '40{"token":"sesame-open","userId":"user_123"}'


class Conversation:
    """A websocket as a list of lines, a second apart: `<` is received, `>` is sent."""

    def __init__(self, rule: str = "auth.userId", url: str = WS, headers: dict[str, str] | None = None) -> None:
        self.traffic, self.at = TrafficDemux(IdentityRule.parse(rule), source="browser"), 100.0
        self.traffic.on_websocket_created("w", url, self.at, initiator=PAGE, headers=headers)

    def __call__(self, *lines: str | bytes) -> "Conversation":
        for line in lines:
            self.at += 1
            outgoing = line[:1] in (">", b">")
            self.traffic.on_frame("w", self.at, line[1:], outgoing=outgoing)
        return self

    def close(self) -> "Conversation":
        self.traffic.on_closed("w", self.at + 1)
        return self

    def events(self) -> list[Event]:
        return self.traffic.events()


def type_names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def connected(events: list[Event]) -> Connected:
    return next(event for event in events if isinstance(event, Connected))


def test_a_websocket_session_from_handshake_to_close() -> None:
    conversation = Conversation()(
        "<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', '>42["ask",1]', '<42["status",{"a":1}]'
    ).close()
    events = conversation.events()
    assert type_names(events) == ["Connecting", "Connected", "Emitted", "Delivered", "Disconnected"]
    assert {event.user for event in events} == {"user_123"}
    one = connected(events)
    assert (one.sid, one.eio, one.namespace, one.transport, one.page) == ("S1", "E1", "/", "websocket", "tab 1")
    assert one.fingerprint and one.target == "page http://localhost/"
    assert [event.reason for event in events if isinstance(event, Disconnected)] == ["transport close"]
    assert "sesame" not in repr(events) and "pw@" not in repr(events)


@pytest.mark.parametrize(("line", "reason"), [("<41", "io server disconnect"), (">41", "io client disconnect")])
def test_a_disconnect_is_reported_once_with_its_side(line: str, reason: str) -> None:
    events = Conversation()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', line).close().events()
    assert [event.reason for event in events if isinstance(event, Disconnected)] == [reason]


@pytest.mark.parametrize(("seconds", "reason"), [(44.6, "ping timeout"), (44.4, "transport close")])
def test_an_end_after_silence_is_a_ping_timeout(seconds: float, reason: str) -> None:
    """A client's timer may be late by half a second."""
    conversation = Conversation()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    conversation.at += seconds - 1
    assert [e.reason for e in conversation.close().events() if isinstance(e, Disconnected)] == [reason]


def poll(traffic: TrafficDemux, key: str, query: str, at: float, answer: str | None, body: str | None = None) -> None:
    traffic.on_request(key, POLL + query, at, initiator=PAGE, body=body)
    if answer is not None:
        traffic.on_response(key, at + 0.01, status=200, body=answer)


def polled(upto: int = 4) -> TrafficDemux:
    traffic = TrafficDemux(source="browser")
    steps: list[tuple[str, str, str | None]] = [
        ("", HANDSHAKE, None),
        ("&sid=E1", "ok", CONNECT),
        ("&sid=E1", '40{"sid":"S1"}\x1e42["status",{"a":1}]', None),
    ]
    for number, (query, answer, body) in enumerate(steps[:upto]):
        poll(traffic, f"r{number}", query, 100.0 + number, answer, body)
    return traffic


def test_long_polling_is_decoded_packet_by_packet() -> None:
    events = polled().events()
    assert type_names(events) == ["Connecting", "Connected", "Delivered"]
    assert connected(events).transport == "polling"


def test_an_upgrade_is_the_same_connection() -> None:
    traffic = polled()
    traffic.on_request("pending", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_websocket_created("w", WS + "&sid=E1", 105, initiator=PAGE)
    for at, line in enumerate((">2probe", "<3probe", ">5", '<42["status",{"a":2}]')):
        traffic.on_frame("w", 106 + at, line[1:], outgoing=line[0] == ">")
    traffic.on_response("pending", 107.5, status=200, body="6")
    traffic.on_closed("w", 120)
    events = traffic.events()
    assert type_names(events) == ["Connecting", "Connected", "Delivered", "Upgraded", "Delivered", "Disconnected"]
    assert len(traffic.sessions) == 1 and {
        e.sid for e in events if isinstance(e, ConnectionEvent) and not isinstance(e, Connecting)
    } == {"S1"}
    assert [e.transport for e in events if isinstance(e, Upgraded)] == ["websocket"]


def test_a_poll_that_the_page_aborted_ends_nothing() -> None:
    traffic = polled()
    traffic.on_request("aborted", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request_failed("aborted", 105, cancelled=True)
    assert type_names(traffic.events())[-1] == "Delivered"
    traffic.on_request("lost", POLL + "&sid=E1", 106, initiator=PAGE)
    traffic.on_request_failed("lost", 107, cancelled=False)
    assert type_names(traffic.events())[-1] == "Disconnected"


def test_an_attempt_that_the_client_left_is_not_refused() -> None:
    traffic = polled(upto=2)
    traffic.on_request("get", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request("bye", POLL + "&sid=E1", 105, initiator=PAGE, body="41")
    traffic.on_response("get", 105.1, status=400, body='{"code":1,"message":"Session ID unknown"}')
    assert type_names(traffic.events()) == ["Connecting"]


def test_a_failed_upgrade_keeps_the_polling_session() -> None:
    traffic = polled()
    traffic.on_websocket_created("w", WS + "&sid=E1", 105, initiator=PAGE)
    traffic.on_closed("w", 106, error="failed")
    assert type_names(traffic.events())[-1] == "Delivered"


def test_strict_mode_with_cleanup_is_only_an_attempt() -> None:
    events = Conversation().close().events()
    assert type_names(events) == ["Connecting"] and events[0].user is None


def test_other_requests_are_ignored() -> None:
    traffic = TrafficDemux(source="browser")
    assert not traffic.on_request("r", "http://localhost/api?EIOU=4", 1.0, initiator=PAGE)
    assert traffic.events() == []


def test_a_refusal_has_its_message_without_the_token() -> None:
    conversation = Conversation()("<" + HANDSHAKE, ">" + CONNECT, '<44{"message":"sesame-open is not valid"}').close()
    refused = [event for event in conversation.events() if isinstance(event, Refused)]
    assert [(e.reason, e.message, e.user) for e in refused] == [("refused", "hidden-1 is not valid", "user_123")]


UNKNOWN = '{"code":1,"message":"Session ID unknown"}'


def test_an_unknown_session_id_is_a_protocol_refusal() -> None:
    traffic = polled(upto=1)
    traffic.on_request("r", POLL + "&sid=E1", 104, initiator=PAGE, body=CONNECT)
    traffic.on_response("r", 105, status=400, body=UNKNOWN)
    refused = [(e.reason, e.message, e.user) for e in traffic.events() if isinstance(e, Refused)]
    assert refused == [("protocol", "Session ID unknown", "user_123")]


def test_an_error_on_a_connected_session_is_a_disconnect() -> None:
    traffic = polled()
    traffic.on_request("r", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_response("r", 105, status=400, body=UNKNOWN)
    assert type_names(traffic.events())[-2:] == ["Delivered", "Disconnected"]
    assert [e.reason for e in traffic.events() if isinstance(e, Disconnected)] == ["transport error"]


def test_an_unsupported_protocol_version_is_refused_by_name() -> None:
    events = Conversation(url=WS.replace("EIO=4", "EIO=2")).events()
    assert "Engine.IO 2" in str(next(e for e in events if isinstance(e, Refused)).message)


def test_invalid_packets_are_reported_and_decoding_continues() -> None:
    events = Conversation()("<" + HANDSHAKE, ">" + CONNECT, "<4!", "<x", '<40{"sid":"S1"}').events()
    assert type_names(events) == ["Connecting", "Unreadable", "Unreadable", "Connected"]
    assert all(event.user == "user_123" for event in events if isinstance(event, Unreadable))


def test_equal_payloads_with_attachments_have_equal_digests() -> None:
    binary = '<451-["file",{"_placeholder":true,"num":0}]'
    conversation = Conversation()(
        "<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', binary, b"<one", binary, b"<two", binary, b"<one"
    )
    first, second, third = (e.digest for e in conversation.events() if isinstance(e, Delivered))
    assert first == third != second


@pytest.mark.parametrize(("acknowledged", "digests"), [('{"sid":"S1","pid":"P1"}', 1), ('{"sid":"S1"}', 2)])
def test_copies_are_alike_without_the_offset_for_recovery(acknowledged: str, digests: int) -> None:
    frames = [f'<42/ops,["line",{{"n":1}},"1764525832000-{n}"]' for n in range(2)]
    events = Conversation()("<" + HANDSHAKE, ">40/ops,", "<40/ops," + acknowledged, *frames).events()
    assert len({event.digest for event in events if isinstance(event, Delivered)}) == digests


def test_two_namespaces_share_one_session() -> None:
    conversation = Conversation()(
        "<" + HANDSHAKE, ">" + CONNECT, ">40/chat,", '<40{"sid":"S1"}', '<40/chat,{"sid":"S2"}'
    ).close()
    events = conversation.events()
    both = [(e.namespace, e.sid, e.eio) for e in events if isinstance(e, Connected)]
    assert both == [("/", "S1", "E1"), ("/chat", "S2", "E1")]
    assert [(e.namespace, e.reason) for e in events if isinstance(e, Disconnected)] == [
        ("/", "transport close"),
        ("/chat", "transport close"),
    ]


def jwt(**claims: Any) -> str:
    return "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".s1g"


@pytest.mark.parametrize(
    ("rule", "url", "headers", "auth"),
    [
        ("auth.userId", "", {}, {"userId": "ann"}),
        ("auth.user.id", "", {}, {"user": {"id": "ann"}}),
        ("auth.token|jwt:sub", "", {}, {"token": jwt(sub="ann")}),
        ("query.token|jwt:id", "&token=" + jwt(id="ann"), {}, {}),
        ("query.uid", "&uid=ann", {}, {}),
        ("cookie.who", "", {"Cookie": "a=b; who=ann; session=abcdefgh"}, {}),
        ("header.X-User", "", {"x-user": "ann"}, {}),
        ("event:add user[0]", "", {}, {}),
        ("event:login[0].name", "", {}, {}),
    ],
)
def test_an_identity_rule_finds_the_user(rule: str, url: str, headers: dict[str, str], auth: dict[str, Any]) -> None:
    rule = rule.lower() if rule.startswith("header") else rule
    conversation = Conversation(rule, WS + url, headers)("<" + HANDSHAKE, ">40" + json.dumps(auth), '<40{"sid":"S1"}')
    conversation('>42["add user","ann"]', '>42["login",{"name":"ann"}]')
    events = conversation.events()
    assert connected(events).user == "ann", "events before the user was known have it too"
    assert "eyJ" not in repr(events)


def test_a_token_as_user_is_not_published() -> None:
    token = jwt(sub="ann")
    events = Conversation("auth.token")(
        "<" + HANDSHAKE, ">40" + json.dumps({"token": token}), '<40{"sid":"S1"}'
    ).events()
    assert str(connected(events).user).startswith("(token ") and token not in repr(events)


@pytest.mark.parametrize("rule", ["", "userId", "body.userId", "event:", "query.", "auth.token|jwt:"])
def test_an_invalid_identity_rule_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="is not an identity rule"):
        IdentityRule.parse(rule)


def test_a_changed_token_changes_the_fingerprint() -> None:
    conversation = Conversation(url=WS + "&token=first-secret&view=a")(
        "<" + HANDSHAKE, '>40{"userId":"u"}', '<40{"sid":"S1"}'
    )
    conversation.traffic.on_websocket_created("w", WS + "&token=second-secret&view=a", 200.0, initiator=PAGE)
    conversation("<" + HANDSHAKE.replace("E1", "E2"), '>40{"userId":"u"}', '<40{"sid":"S2"}', '>42["first-secret"]')
    first, second = (event for event in conversation.events() if isinstance(event, Connected))
    assert first.fingerprint != second.fingerprint
    assert "-secret" not in repr(conversation.events())
    assert [e.name for e in conversation.events() if isinstance(e, Emitted)] == ["hidden-1"]


def test_events_have_the_opener_of_their_connection() -> None:
    opener = CodeLocation("src/hooks/a.ts", 14, 20)
    events = Conversation()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}').traffic.events(
        lambda session: ConnectionOrigin(opener, (opener,), "a", script="http://localhost/app.js")
    )
    assert (connected(events).opener, connected(events).stack, connected(events).component) == (opener, (opener,), "a")
    assert isinstance(events[0], Connecting) and events[0].opener == opener


def test_a_closed_page_ends_its_connections() -> None:
    conversation = Conversation()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    conversation.traffic.on_target_closed("another", 200.0)
    conversation.traffic.on_target_closed("T1", 201.0)
    assert [e.at for e in conversation.events() if isinstance(e, Disconnected)] == [201.0]


def test_heartbeats_and_noops_are_not_unreadable() -> None:
    assert not [e for e in Conversation()("<" + HANDSHAKE, "<2", ">3", "<6").events() if isinstance(e, Unreadable)]


def test_requests_may_arrive_before_the_body_of_their_handshake() -> None:
    traffic = TrafficDemux(source="browser")
    traffic.on_request("shake", POLL, 100.0, initiator=PAGE)
    traffic.on_request("post", POLL + "&sid=E1", 101.0, initiator=PAGE, body=CONNECT)
    traffic.on_request("get", POLL + "&sid=E1", 101.5, initiator=PAGE)
    traffic.on_response("get", 102.0, status=200, body='40{"sid":"S1"}')
    traffic.on_response("shake", 100.5, status=200, body=HANDSHAKE)
    traffic.on_response("post", 102.5, status=200, body="ok")
    assert type_names(traffic.events()) == ["Connecting", "Connected"] and len(traffic.sessions) == 1


def test_a_session_without_an_observed_handshake_is_decoded_after_flush() -> None:
    traffic = TrafficDemux(source="browser")
    poll(traffic, "r", "&sid=E9", 100.0, '42["status",1]')
    assert not traffic.events()
    traffic.flush()
    assert type_names(traffic.events()) == ["Connecting", "Delivered"]


def test_a_disconnect_read_after_the_client_closed_is_the_reason() -> None:
    traffic = polled()
    traffic.on_request("get", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request("close", POLL + "&sid=E1", 105, initiator=PAGE, body="1")
    traffic.on_response("get", 105.1, status=200, body="41")
    traffic.on_response("close", 105.2, status=200, body="ok")
    assert [e.reason for e in traffic.events() if isinstance(e, Disconnected)] == ["io server disconnect"]


def test_a_client_that_closes_without_disconnect_closes_its_transport() -> None:
    traffic = polled()
    traffic.on_request("close", POLL + "&sid=E1", 105, initiator=PAGE, body="1")
    assert [(e.at, e.reason) for e in traffic.events() if isinstance(e, Disconnected)] == [(105, "transport close")]


def test_an_unknown_user_is_named_after_the_page() -> None:
    events = Conversation()("<" + HANDSHAKE, ">40", '<40{"sid":"S1"}').events()
    assert {event.user for event in events} == {"(user of tab 1)"}


def is_opening(*lines: str | bytes, closed: bool = False) -> bool:
    conversation = Conversation()(*lines)
    if closed:
        conversation.close()
    return conversation.traffic.sessions[0].opening


def test_a_connection_without_a_response_is_opening() -> None:
    assert is_opening() and is_opening("<" + HANDSHAKE, ">" + CONNECT)
    assert not is_opening("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    assert not is_opening("<" + HANDSHAKE, ">" + CONNECT, '<44{"message":"no"}')
    assert not is_opening("<" + HANDSHAKE), "StrictMode over polling: the client does not continue after the handshake"
    assert not is_opening(closed=True)


def test_an_acknowledgement_in_one_poll_with_its_disconnect_is_backdated() -> None:
    traffic = polled(upto=2)
    poll(traffic, "both", "&sid=E1", 109.0, '40{"sid":"S1"}\x1e41')
    events = traffic.events()
    assert [(type(e).__name__, e.at) for e in events][1:] == [("Connected", 101.0), ("Disconnected", 109.01)]
    traffic = polled()
    poll(traffic, "later", "&sid=E1", 109.0, "41")
    assert connected(traffic.events()).at == 102.01


WS_3 = "ws://localhost/socket.io/?EIO=3&transport=websocket"


def test_a_session_of_engine_io_3_has_connections_whose_ids_follow_from_the_session() -> None:
    conversation = Conversation("query.userId", f"{WS_3}&userId=bob")(
        "<" + HANDSHAKE,
        "<40",
        ">40/yard?bay=4,",
        "<40/yard,",
        ">2",
        "<3",
        '<42["moved",1]',
        '<42/yard,["moved",1]',
        ">41",
    )
    events = conversation.close().events()
    opened = [(e.sid, e.namespace, e.user) for e in events if isinstance(e, Connected)]
    assert opened == [("E1", "/", "bob"), ("/yard#E1", "/yard", "bob")]
    assert [(e.sid, e.name) for e in events if isinstance(e, Delivered)] == [("E1", "moved"), ("/yard#E1", "moved")]
    ends = [(e.sid, e.reason) for e in events if isinstance(e, Disconnected)]
    assert ends == [("E1", "io client disconnect"), ("/yard#E1", "transport close")]


def in_text(*packets: str) -> str:
    return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets)


def in_bytes(*packets: str | bytes) -> bytes:
    """Return a body as engine.io 3 writes it if a packet is binary."""
    parts = [(b"\x01", each) if isinstance(each, bytes) else (b"\x00", each.encode()) for each in packets]
    return b"".join(kind + bytes(map(int, str(len(part)))) + b"\xff" + part for kind, part in parts)


MOVED, FILE = '42["moved",{"a":"ü😀"}]', '451-["file",{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize(
    "body",
    [in_text(HANDSHAKE, "40", MOVED, FILE, "b4AQID"), in_bytes(HANDSHAKE, "40", MOVED, FILE, b"\x04\x01\x02\x03")],
    ids=["text", "binary"],
)
def test_a_long_polling_body_of_engine_io_3_is_split_by_its_lengths(body: str | bytes) -> None:
    traffic = TrafficDemux(source="browser")
    traffic.on_request("p", POLL.replace("EIO=4", "EIO=3"), 1.0, initiator=PAGE)
    traffic.on_response("p", 2.0, status=200, body=body)
    events = traffic.events()
    assert connected(events).sid == "E1"
    assert [e.name for e in events if isinstance(e, Delivered)] == ["moved", "file"]


@pytest.mark.parametrize(
    "body", ["9", "x:40", "5:40", "0:", "99999999999:4", b"\x00\xff4", b"\x00\x0a\xff4", b"\x01\x09\xff4"]
)
def test_a_malformed_long_polling_body_of_engine_io_3_is_unreadable(body: str | bytes) -> None:
    traffic = TrafficDemux(source="browser")
    traffic.on_request("p", POLL.replace("EIO=4", "EIO=3"), 1.0, initiator=PAGE)
    traffic.on_response("p", 2.0, status=200, body=body)
    assert type_names(traffic.events()) == ["Connecting", "Unreadable"]


def packed(text: str) -> bytes:
    """Return the base64 that socket.io-msgpack-parser 3 wrote, as a frame's bytes."""
    return base64.b64decode(text)


def test_packets_in_messagepack_are_read() -> None:
    sent = packed("g6R0eXBlAKNuc3ChL6RkYXRhgaV0b2tlbqF4")
    answered = msgspec.msgpack.encode({"type": 0, "nsp": "/", "data": {"sid": "S1"}})
    moved = packed("hKR0eXBlAqNuc3ChL6RkYXRhkqFhg6Fi1AAAoWTXAAAAAAAAAAAAoXXHAgABAqJpZNQAAA==")
    left = msgspec.msgpack.encode({"type": 1, "nsp": "/"})
    events = Conversation()("<" + HANDSHAKE, b">" + sent, b"<" + answered, b"<" + moved, b"<" + left).events()
    assert type_names(events) == ["Connecting", "Connected", "Delivered", "Disconnected"]


def test_a_binary_packet_of_another_parser_is_unreadable() -> None:
    events = Conversation()("<" + HANDSHAKE, b">\x93\x01", b"<\x00\x01").events()
    assert type_names(events) == ["Connecting", "Unreadable", "Unreadable"]


def test_headers_that_are_reported_before_their_request_name_the_user() -> None:
    traffic = TrafficDemux(IdentityRule.parse("cookie.user"), source="browser")
    traffic.on_headers("w", {"Cookie": "user=ann"})
    traffic.on_websocket_created("w", WS, 1.0, initiator=PAGE)
    traffic.on_frame("w", 2.0, HANDSHAKE, outgoing=False)
    traffic.on_frame("w", 3.0, '40{"sid":"S1"}', outgoing=False)
    assert connected(traffic.events()).user == "ann"
