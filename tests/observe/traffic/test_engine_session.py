"""Conversations: requests and frames in, events out."""

import base64
import json
from typing import Any

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


class Talk:
    """One websocket, or one polling session, as a conversation: `<` received, `>` sent, a second apart."""

    def __init__(self, rule: str = "auth.userId", url: str = WS, headers: dict[str, str] | None = None) -> None:
        self.traffic, self.at = TrafficDemux(IdentityRule.parse(rule), source="browser"), 100.0
        self.traffic.on_websocket_created("w", url, self.at, initiator=PAGE, headers=headers)

    def __call__(self, *lines: str | bytes) -> "Talk":
        for line in lines:
            self.at += 1
            outgoing = line[:1] in (">", b">")
            self.traffic.on_frame("w", self.at, line[1:], outgoing=outgoing)
        return self

    def close(self) -> "Talk":
        self.traffic.on_websocket_closed("w", self.at + 1)
        return self

    def told(self) -> list[Event]:
        return self.traffic.events()


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def connected(events: list[Event]) -> Connected:
    return next(event for event in events if isinstance(event, Connected))


def test_a_websocket_session_from_handshake_to_close() -> None:
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', '>42["ask",1]', '<42["status",{"a":1}]').close()
    events = talk.told()
    assert kinds(events) == ["Connecting", "Connected", "Emitted", "Delivered", "Disconnected"]
    assert {event.user for event in events} == {"user_123"}
    one = connected(events)
    assert (one.sid, one.eio, one.namespace, one.transport, one.page) == ("S1", "E1", "/", "websocket", "tab 1")
    assert one.fingerprint and one.target == "page http://localhost/"
    assert [event.reason for event in events if isinstance(event, Disconnected)] == ["transport close"]
    assert "sesame" not in repr(events) and "pw@" not in repr(events)


@pytest.mark.parametrize(("line", "reason"), [("<41", "io server disconnect"), (">41", "io client disconnect")])
def test_who_disconnected_and_only_once(line: str, reason: str) -> None:
    events = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', line).close().told()
    assert [event.reason for event in events if isinstance(event, Disconnected)] == [reason]


@pytest.mark.parametrize(("seconds", "reason"), [(44.6, "ping timeout"), (44.4, "transport close")])
def test_silence_before_the_end_is_a_ping_timeout(seconds: float, reason: str) -> None:
    """A client's timer may be late by half a second, and the end that it makes is told a little early."""
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    talk.at += seconds - 1
    assert [e.reason for e in talk.close().told() if isinstance(e, Disconnected)] == [reason]


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


def test_long_polling_is_read_packet_by_packet() -> None:
    events = polled().events()
    assert kinds(events) == ["Connecting", "Connected", "Delivered"]
    assert connected(events).transport == "polling"


def test_an_upgrade_is_the_same_connection() -> None:
    traffic = polled()
    traffic.on_request("pending", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_websocket_created("w", WS + "&sid=E1", 105, initiator=PAGE)
    for at, line in enumerate((">2probe", "<3probe", ">5", '<42["status",{"a":2}]')):
        traffic.on_frame("w", 106 + at, line[1:], outgoing=line[0] == ">")
    traffic.on_response("pending", 107.5, status=200, body="6")
    traffic.on_websocket_closed("w", 120)
    events = traffic.events()
    assert kinds(events) == ["Connecting", "Connected", "Delivered", "Upgraded", "Delivered", "Disconnected"]
    assert len(traffic.sessions) == 1 and {
        e.sid for e in events if isinstance(e, ConnectionEvent) and not isinstance(e, Connecting)
    } == {"S1"}
    assert [e.transport for e in events if isinstance(e, Upgraded)] == ["websocket"]


def test_a_poll_that_the_page_gave_up_ends_nothing() -> None:
    traffic = polled()
    traffic.on_request("given up", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request_failed("given up", 105, cancelled=True)
    assert kinds(traffic.events())[-1] == "Delivered"
    traffic.on_request("lost", POLL + "&sid=E1", 106, initiator=PAGE)
    traffic.on_request_failed("lost", 107, cancelled=False)
    assert kinds(traffic.events())[-1] == "Disconnected"


def test_what_a_client_left_before_it_was_answered_was_not_refused() -> None:
    traffic = polled(upto=2)
    traffic.on_request("get", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request("bye", POLL + "&sid=E1", 105, initiator=PAGE, body="41")
    traffic.on_response("get", 105.1, status=400, body='{"code":1,"message":"Session ID unknown"}')
    assert kinds(traffic.events()) == ["Connecting"]


def test_an_upgrade_that_fails_leaves_the_polling_session() -> None:
    traffic = polled()
    traffic.on_websocket_created("w", WS + "&sid=E1", 105, initiator=PAGE)
    traffic.on_websocket_closed("w", 106, error="failed")
    assert kinds(traffic.events())[-1] == "Delivered"


def test_strict_mode_with_cleanup_is_an_attempt_that_nobody_made() -> None:
    events = Talk().close().told()
    assert kinds(events) == ["Connecting"] and events[0].user is None


def test_another_websocket_is_no_connection() -> None:
    traffic = TrafficDemux(source="browser")
    assert not traffic.on_websocket_created("w", "ws://localhost/hot", 1.0, initiator=PAGE)
    assert not traffic.on_request("r", "http://localhost/api?EIOU=4", 1.0, initiator=PAGE)
    traffic.on_frame("w", 2.0, "0{}", outgoing=False)
    assert traffic.events() == []


def test_a_refusal_says_why_without_the_token() -> None:
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<44{"message":"sesame-open is not valid"}').close()
    refused = [event for event in talk.told() if isinstance(event, Refused)]
    assert [(e.reason, e.message, e.user) for e in refused] == [("refused", "(hidden) is not valid", "user_123")]


UNKNOWN = '{"code":1,"message":"Session ID unknown"}'


def test_an_unknown_session_id_is_named() -> None:
    traffic = polled(upto=1)
    traffic.on_request("r", POLL + "&sid=E1", 104, initiator=PAGE, body=CONNECT)
    traffic.on_response("r", 105, status=400, body=UNKNOWN)
    refused = [(e.reason, e.message, e.user) for e in traffic.events() if isinstance(e, Refused)]
    assert refused == [("protocol", "Session ID unknown", "user_123")]


def test_a_session_that_is_lost_once_it_stood_is_an_end_and_no_refusal() -> None:
    traffic = polled()
    traffic.on_request("r", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_response("r", 105, status=400, body=UNKNOWN)
    assert kinds(traffic.events())[-2:] == ["Delivered", "Disconnected"]
    assert [e.reason for e in traffic.events() if isinstance(e, Disconnected)] == ["transport error"]


def test_an_old_client_is_named() -> None:
    events = Talk(url=WS.replace("EIO=4", "EIO=3")).told()
    assert "Engine.IO 3" in str(next(e for e in events if isinstance(e, Refused)).message)


def test_garbage_is_told_and_does_not_end_the_reading() -> None:
    events = Talk()("<" + HANDSHAKE, ">" + CONNECT, "<4!", "<x", '<40{"sid":"S1"}').told()
    assert kinds(events) == ["Connecting", "Unreadable", "Unreadable", "Connected"]
    assert all(event.user == "user_123" for event in events if isinstance(event, Unreadable))


def test_equal_payloads_have_equal_digests_also_with_attachments() -> None:
    binary = '<451-["file",{"_placeholder":true,"num":0}]'
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}', binary, b"<one", binary, b"<two", binary, b"<one")
    first, second, third = (e.digest for e in talk.told() if isinstance(e, Delivered))
    assert first == third != second


def test_two_namespaces_share_one_session() -> None:
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, ">40/chat,", '<40{"sid":"S1"}', '<40/chat,{"sid":"S2"}').close()
    events = talk.told()
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
def test_who_it_is(rule: str, url: str, headers: dict[str, str], auth: dict[str, Any]) -> None:
    rule = rule.lower() if rule.startswith("header") else rule
    talk = Talk(rule, WS + url, headers)("<" + HANDSHAKE, ">40" + json.dumps(auth), '<40{"sid":"S1"}')
    talk('>42["add user","ann"]', '>42["login",{"name":"ann"}]')
    events = talk.told()
    assert connected(events).user == "ann", "also what came before it was known"
    assert "eyJ" not in repr(events)


def test_a_rule_that_points_at_a_whole_token_does_not_publish_it() -> None:
    token = jwt(sub="ann")
    events = Talk("auth.token")("<" + HANDSHAKE, ">40" + json.dumps({"token": token}), '<40{"sid":"S1"}').told()
    assert str(connected(events).user).startswith("(token ") and token not in repr(events)


@pytest.mark.parametrize("rule", ["", "userId", "body.userId", "event:", "query.", "auth.token|jwt:"])
def test_a_rule_that_says_nothing_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="does not say where"):
        IdentityRule.parse(rule)


def test_a_changed_token_shows_and_a_token_never() -> None:
    talk = Talk(url=WS + "&token=first-secret&view=a")("<" + HANDSHAKE, '>40{"userId":"u"}', '<40{"sid":"S1"}')
    talk.traffic.on_websocket_created("w", WS + "&token=second-secret&view=a", 200.0, initiator=PAGE)
    talk("<" + HANDSHAKE.replace("E1", "E2"), '>40{"userId":"u"}', '<40{"sid":"S2"}', '>42["first-secret"]')
    first, second = (event for event in talk.told() if isinstance(event, Connected))
    assert first.fingerprint != second.fingerprint
    assert "-secret" not in repr(talk.told())
    assert [e.name for e in talk.told() if isinstance(e, Emitted)] == ["(hidden)"]


def test_the_opener_comes_with_what_it_opened() -> None:
    opener = CodeLocation("src/hooks/a.ts", 14, 20)
    events = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}').traffic.events(
        lambda session: ConnectionOrigin(opener, (opener,), "a", script="http://localhost/app.js")
    )
    assert (connected(events).opener, connected(events).stack, connected(events).component) == (opener, (opener,), "a")
    assert isinstance(events[0], Connecting) and events[0].opener == opener


def test_a_page_that_leaves_takes_its_connections_along() -> None:
    talk = Talk()("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    talk.traffic.on_target_closed("another", 200.0)
    talk.traffic.on_target_closed("T1", 201.0)
    assert [e.at for e in talk.told() if isinstance(e, Disconnected)] == [201.0]


def test_what_was_never_acknowledged_is_no_unreadable() -> None:
    assert not [e for e in Talk()("<" + HANDSHAKE, "<2", ">3", "<6").told() if isinstance(e, Unreadable)]


def test_what_follows_a_handshake_may_be_told_before_the_handshake_is_read() -> None:
    traffic = TrafficDemux(source="browser")
    traffic.on_request("shake", POLL, 100.0, initiator=PAGE)
    traffic.on_request("post", POLL + "&sid=E1", 101.0, initiator=PAGE, body=CONNECT)
    traffic.on_request("get", POLL + "&sid=E1", 101.5, initiator=PAGE)
    traffic.on_response("get", 102.0, status=200, body='40{"sid":"S1"}')
    traffic.on_response("shake", 100.5, status=200, body=HANDSHAKE)
    traffic.on_response("post", 102.5, status=200, body="ok")
    assert kinds(traffic.events()) == ["Connecting", "Connected"] and len(traffic.sessions) == 1


def test_a_session_that_began_before_anybody_watched_is_seen_from_here_on() -> None:
    traffic = TrafficDemux(source="browser")
    poll(traffic, "r", "&sid=E9", 100.0, '42["status",1]')
    assert not traffic.events()
    traffic.flush()
    assert kinds(traffic.events()) == ["Connecting", "Delivered"]


def test_a_kick_that_is_read_after_the_client_acted_on_it_is_still_the_reason() -> None:
    traffic = polled()
    traffic.on_request("get", POLL + "&sid=E1", 104, initiator=PAGE)
    traffic.on_request("close", POLL + "&sid=E1", 105, initiator=PAGE, body="1")
    traffic.on_response("get", 105.1, status=200, body="41")
    traffic.on_response("close", 105.2, status=200, body="ok")
    assert [e.reason for e in traffic.events() if isinstance(e, Disconnected)] == ["io server disconnect"]


def test_a_client_that_closes_without_a_word_closes_its_transport() -> None:
    traffic = polled()
    traffic.on_request("close", POLL + "&sid=E1", 105, initiator=PAGE, body="1")
    assert [(e.at, e.reason) for e in traffic.events() if isinstance(e, Disconnected)] == [(105, "transport close")]


def test_a_connection_of_nobody_belongs_to_its_page() -> None:
    events = Talk()("<" + HANDSHAKE, ">40", '<40{"sid":"S1"}').told()
    assert {event.user for event in events} == {"(user of tab 1)"}


def under_way(*lines: str | bytes, closed: bool = False) -> bool:
    talk = Talk()(*lines)
    if closed:
        talk.close()
    return talk.traffic.sessions[0].opening


def test_what_is_still_being_opened() -> None:
    assert under_way() and under_way("<" + HANDSHAKE, ">" + CONNECT)
    assert not under_way("<" + HANDSHAKE, ">" + CONNECT, '<40{"sid":"S1"}')
    assert not under_way("<" + HANDSHAKE, ">" + CONNECT, '<44{"message":"no"}')
    assert not under_way("<" + HANDSHAKE), "StrictMode over polling: a handshake that nobody went on with"
    assert not under_way(closed=True)


def test_an_acknowledgement_that_comes_together_with_the_kick_is_older_than_it() -> None:
    traffic = polled(upto=2)
    poll(traffic, "both", "&sid=E1", 109.0, '40{"sid":"S1"}\x1e41')
    events = traffic.events()
    assert [(type(e).__name__, e.at) for e in events][1:] == [("Connected", 101.0), ("Disconnected", 109.01)]
    traffic = polled()
    poll(traffic, "later", "&sid=E1", 109.0, "41")
    assert connected(traffic.events()).at == 102.01
