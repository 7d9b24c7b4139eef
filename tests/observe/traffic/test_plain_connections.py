"""Connections of other protocols than Socket.IO, from the traffic of a page to the report."""

from itertools import count
from typing import Any

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, Connecting, Delivered, Disconnected, Event, PhaseEnded, Refused
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import BrowserReport
from wscheck.observe.traffic import IdentityRule, Initiator, TrafficDemux, session
from wscheck.run.page_report import evaluate_pages

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


class Page:
    """A page with WebSockets and streams; each step happens 10 ms after the one before."""

    def __init__(self, rule: str = "auth.userId", tab: str = "tab 1") -> None:
        self.traffic = TrafficDemux(IdentityRule.parse(rule), source="browser")
        self._at, self._keys = (1_000 + number / 100 for number in count()), map(str, count())
        self.tab = tab

    @property
    def page(self) -> Initiator:
        return Initiator(target_id=self.tab, page=self.tab, target="page http://h/")

    def websocket(self, url: str, *, accepted: bool = True, headers: dict[str, str] | None = None) -> str:
        key = next(self._keys)
        self.traffic.on_websocket_created(key, url, next(self._at), initiator=self.page, headers=headers)
        if accepted:
            self.traffic.on_accepted(key, next(self._at))
        return key

    def stream(self, url: str, http: str = "h2") -> str:
        key = next(self._keys)
        self.traffic.on_stream_requested(key, url, next(self._at), initiator=self.page)
        self.traffic.on_accepted(key, next(self._at), http=http)
        return key

    def frame(self, key: str, data: str | bytes, *, outgoing: bool = False) -> None:
        self.traffic.on_frame(key, next(self._at), data, outgoing=outgoing)

    def close(self, key: str, **how: Any) -> None:
        self.traffic.on_closed(key, next(self._at), **how)

    def events(self) -> list[Event]:
        return self.traffic.events()

    def report(self) -> BrowserReport:
        events = [*self.events(), PhaseEnded(at=2_000, source="browser")]
        return evaluate_pages(events, RuleOptions(), Bar(), target="page", notes=self.traffic.notes)


@pytest.mark.parametrize(
    ("query", "is_token"),
    [
        ("session_id", False),
        ("sessionId", False),
        ("viewerSessionId", False),
        ("editor-session-id", False),
        ("session_hash", False),
        ("session", True),
        ("session_token", True),
        ("access_token", True),
    ],
)
def test_a_session_id_of_each_connection_is_no_token(query: str, *, is_token: bool) -> None:
    page = Page()
    for value in ("c1c4e5b8-first", "77ad90aa-second"):
        page.websocket(f"ws://h/kernel/channels?{query}={value}")
    events = [event for event in page.events() if isinstance(event, Connected)]
    assert len({event.fingerprint for event in events}) == (2 if is_token else 1)
    assert "c1c4e5b8" not in repr(events)
    found = [each for each in page.report().findings if each.rule == "multiple-connections"]
    assert [each.cause is not None and each.cause.id == "token-refresh" for each in found] == [is_token]


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_plain_websocket_from_request_to_close() -> None:
    page = Page()
    key = page.websocket("ws://h/live?room=1")
    page.frame(key, '{"type":"join","userId":"ann"}', outgoing=True)
    page.frame(key, '{"type":"moved","x":1}')
    page.close(key)
    events = page.events()
    assert names(events) == ["Connecting", "Connected", "Emitted", "Delivered", "Disconnected"]
    assert {event.user for event in events} == {"ann"}
    one = next(event for event in events if isinstance(event, Connected))
    assert (one.sid, one.eio, one.protocol, one.transport) == ("websocket-1", "websocket-1", "websocket", "websocket")
    assert one.url is not None and one.url.startswith("http://h/live?room=~")


def test_two_websockets_of_one_page_to_one_endpoint_are_a_fault() -> None:
    page = Page()
    page.websocket("ws://h/live?room=1")
    page.websocket("ws://h/live/?room=2")
    report = page.report()
    assert report.verdict is Verdict.FAILED
    assert [finding.rule for finding in report.findings] == ["multiple-connections"]
    assert [one.endpoint for one in report.connections] == ["http://h/live", "http://h/live/"]


@pytest.mark.parametrize(
    "kind",
    [
        ("ws://h/app", "ws://chat.example/widget", "ws://h:5173/?token=1", "http://h/stream"),
        ("ws://h/app", "ws://h/presence", "http://h/feed", "http://stats.example/live"),
        ("ws://h/socket.io/?EIO=4&transport=websocket", "ws://h/app", "http://h/events"),
        ("ws://h/graphql", "ws://h/cable", "ws://h/app/key"),
        ("http://h/events", "http://h/metrics", "ws://h/events2"),
        ("wss://a.example/ws", "wss://b.example/ws", "wss://c.example/ws"),
        ("ws://h/ws", "ws://h:8081/ws", "ws://h:8082/ws"),
        ("ws://h/rooms/1", "ws://h/rooms/2"),
        ("http://h/esbuild", "ws://h/app", "http://h/stream"),
        ("ws://h/_next/webpack-hmr", "ws://h/_next/webpack-hmr", "ws://h/app"),
    ],
)
def test_a_page_with_several_links_of_different_kinds_is_healthy(kind: tuple[str, ...]) -> None:
    page = Page()
    for url in kind:
        key = page.websocket(url) if url.startswith("ws") else page.stream(url)
        page.frame(key, '{"type":"hello"}' if url.startswith("ws") else 'data: {"type":"hello"}\n\n')
        if "EIO" in url:
            page.frame(key, '0{"sid":"E","pingInterval":25000,"pingTimeout":20000}')
            page.frame(key, '40{"sid":"S"}')
    report = page.report()
    assert report.findings == [] and report.verdict is Verdict.PASSED, report.reason


def test_a_stream_is_a_connection_with_its_events() -> None:
    page = Page()
    key = page.stream("http://h/stream", http="http/1.1")
    page.frame(key, "event: mov")
    page.frame(key, 'ed\ndata: {"x":1}\n\n')
    page.close(key, by_client=True)
    events = page.events()
    assert names(events) == ["Connecting", "Connected", "Delivered", "Disconnected"]
    opened, delivered, ended = events[1:]
    assert isinstance(opened, Connected) and (opened.transport, opened.http) == ("event-stream", "http/1.1")
    assert isinstance(delivered, Delivered) and delivered.name == "moved"
    assert isinstance(ended, Disconnected) and ended.reason == "io client disconnect"


def test_two_streams_of_one_page_to_one_endpoint_are_a_fault() -> None:
    page = Page()
    for _ in range(2):
        page.stream("http://h/stream")
    assert page.report().verdict is Verdict.FAILED


@pytest.mark.parametrize(("status", "reason"), [(403, "refused"), (404, "protocol")])
def test_a_refused_websocket_is_an_attempt(status: int, reason: str) -> None:
    page = Page()
    key = page.websocket("ws://h/live", accepted=False)
    page.traffic.on_refused(key, 1_001, status=status)
    events = page.events()
    assert names(events) == ["Connecting", "Refused"]
    assert isinstance(events[1], Refused) and (events[1].reason, events[1].message) == (reason, f"HTTP {status}")


def test_a_websocket_that_the_page_closes_at_once_is_only_an_attempt() -> None:
    page = Page()
    page.close(page.websocket("ws://h/live", accepted=False))
    assert names(page.events()) == ["Connecting"]


@pytest.mark.parametrize(
    ("rule", "url", "headers", "sent"),
    [
        ("query.user", "ws://h/live?user=ann", {}, ""),
        ("cookie.user", "ws://h/live", {"Cookie": "a=1; user=ann"}, ""),
        ("header.x-user", "ws://h/live", {"X-User": "ann"}, ""),
        ("subprotocol.1|jwt:sub", "ws://h/live", {"Sec-WebSocket-Protocol": f"bearer, {TOKEN}"}, ""),
        ("auth.user.id", "ws://h/live", {}, '{"type":"hello","user":{"id":"ann"}}'),
        ("auth.token|jwt:sub", "ws://h/live", {}, f'{{"token":"{TOKEN}"}}'),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_the_user_is_named_by_a_rule(rule: str, url: str, headers: dict[str, str], sent: str, is_late: bool) -> None:
    page = Page(rule)
    key = page.websocket(url, headers=None if is_late else headers)
    if is_late:
        page.traffic.on_headers(key, headers)
    if sent:
        page.frame(key, sent, outgoing=True)
    page.frame(key, f'{{"type":"echo {TOKEN}"}}')
    report = page.report()
    assert [one.user for one in report.connections] == ["ann"]
    assert TOKEN not in str(report) and TOKEN not in str(page.events())


def test_a_subprotocol_with_a_long_name_is_no_secret() -> None:
    page = Page("subprotocol.1")
    page.websocket("ws://h/live", headers={"Sec-WebSocket-Protocol": "json, graphql-transport-ws"})
    assert page.report().connections[0].user == "graphql-transport-ws"


def test_hot_reload_is_left_out_and_listed() -> None:
    page = Page()
    for _ in range(2):
        page.websocket("ws://h:5173/?token=x", headers={"Sec-WebSocket-Protocol": "vite-hmr"})
    hot = page.websocket("ws://h/ws")
    page.frame(hot, '{"type":"hot"}')
    page.frame(hot, '{"type":"hash","data":"a"}')
    report = page.report()
    assert report.connections == [] and report.verdict is Verdict.INCONCLUSIVE
    assert report.notes == [
        "Left out, because they reload the page during development: Vite (http://h:5173/), webpack (http://h/ws)."
    ]


def test_two_tabs_with_values_of_their_own_need_no_user() -> None:
    page = Page()
    page.websocket("ws://h/push?session=a")
    page.tab = "tab 2"
    page.websocket("ws://h/push?session=b")
    assert page.report().verdict is Verdict.PASSED
    page.websocket("ws://h/push?session=a")
    assert page.report().verdict is not Verdict.PASSED


def test_attempts_of_a_plain_websocket_are_counted() -> None:
    page = Page()
    for _ in range(8):
        page.close(page.websocket("ws://h/live"))
    report = page.report()
    assert "excessive-attempts" in [finding.rule for finding in report.findings]
    assert sum(isinstance(event, Connecting) for event in page.events()) == 8


@pytest.mark.parametrize("by_client", [True, None])
def test_a_page_that_closes_a_connection_for_the_next_one_is_healthy(by_client: bool | None) -> None:
    """The closing handshake of the first connection often ends after the second one is open."""
    page = Page()
    for _ in range(2):
        first = page.websocket("ws://h/live")
        page.websocket("ws://h/live")
        page.close(first, by_client=by_client)
        page.traffic.on_target_closed("tab 1", next(page._at))
    assert page.report().findings == []


def test_a_server_that_closes_a_connection_for_the_next_one_is_seen() -> None:
    page = Page()
    first = page.websocket("ws://h/live")
    page.websocket("ws://h/live")
    page.close(first, by_client=False)
    assert [finding.rule for finding in page.report().findings] == ["multiple-connections", "connection-replaced"]


def test_the_events_of_a_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_RECEIVED", 3)
    page = Page()
    key = page.websocket("ws://h/prices?user=ann")
    for number in range(5):
        page.frame(key, f'{{"type":"price","n":{number}}}')
    page.close(key, by_client=True)
    assert names(page.events()) == ["Connecting", "Connected", *["Delivered"] * 3, "Disconnected"]
    assert page.traffic.notes == ["2 of the events from http://h/prices were not evaluated: there were too many."]
