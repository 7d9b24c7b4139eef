"""Order of network events: events without a time must not seem later than they were."""

import asyncio
import time
from typing import Any

import pytest

from wscheck.detect.engine import Judge, RuleOptions
from wscheck.model.disconnect_reasons import PAGE_LEFT
from wscheck.model.events import Connected, Connecting, Disconnected, Event, NotEvaluated, Refused
from wscheck.model.findings import Bar, Verdict
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.browser.network import CLOSED_BY_PAGE, CORS, NetworkFeed
from wscheck.observe.browser.page_calls import PageCalls
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import Initiator, TrafficDemux
from wscheck.observe.traffic.redaction import UNKNOWN_USER
from wscheck.run.page_report import evaluate_pages

URL = "ws://h/socket.io/?EIO=4&transport=websocket"
PAGE = Initiator("target", "tab 1", "page http://h/")


class NetworkEvents:
    """Network events of one page; `at` is seconds since the epoch, and the browser clock is 1000 s behind."""

    def __init__(self, started: float) -> None:
        self.traffic = TrafficDemux(source="browser")
        self.openers = PageCalls(PageScripts(self.traffic.urls))
        devtools = DevToolsConnection("ws://unused", lambda *_: None)
        self.network = NetworkFeed(devtools, self.traffic, lambda _: None, self.openers)
        self.event("WillSendHandshakeRequest", "foreign", started, wallTime=started, request={})

    def event(self, what: str, key: str, at: float, **more: Any) -> None:
        """Feed an event as in the DevTools protocol: webSocketCreated has no time."""
        params = {"requestId": key, **({} if what == "Created" else {"timestamp": at - 1000.0}), **more}
        self.network.feed(f"Network.webSocket{what}", params, "session", PAGE)

    def connection(self, key: str, at: float) -> None:
        """Feed a connection that is acknowledged at `at`."""
        self.event("Created", key, at - 0.02, url=URL)
        frames = (f'0{{"sid":"E{key}","pingInterval":25000,"pingTimeout":20000}}', '40{"userId":"u"}', '40{"sid":"S"}')
        for text in (frames[0], frames[1], frames[2].replace("S", key)):
            sent = "Sent" if "userId" in text else "Received"
            self.event(f"Frame{sent}", key, at, response={"opcode": 1, "payloadData": text})


async def test_a_page_ends_before_the_next_one_starts_even_if_reported_late() -> None:
    started = time.time() - 5.0
    network_events = NetworkEvents(started)
    network_events.connection("a", started + 0.1)
    network_events.network.on_target_closed(PAGE.target_id)
    network_events.connection("b", started + 0.4)
    await network_events.network.drain()
    network_events.network.close()
    events = [event for event in network_events.traffic.events() if isinstance(event, Connected | Disconnected)]
    assert [(type(event), event.sid) for event in events] == [(Connected, "a"), (Disconnected, "a"), (Connected, "b")]


async def test_without_a_later_event_a_page_ends_when_it_is_reported() -> None:
    started = time.time() - 5.0
    network_events = NetworkEvents(started)
    network_events.connection("a", started + 0.1)
    network_events.network.on_target_closed(PAGE.target_id)
    await network_events.network.drain()
    network_events.network.close()
    ended = network_events.traffic.events()[-1]
    assert isinstance(ended, Disconnected) and ended.at is not None and ended.at > started + 4.0


async def test_connections_of_a_page_that_is_left_are_not_replaced() -> None:
    started = time.time() - 5.0
    network_events = NetworkEvents(started)
    for key in ("a", "b"):
        network_events.connection(key, started + 0.1)
    network_events.network.on_target_closed(PAGE.target_id)
    network_events.connection("c", started + 0.6)
    await network_events.network.drain()
    network_events.network.close()
    events = network_events.traffic.events()
    assert {event.reason for event in events if isinstance(event, Disconnected)} == {PAGE_LEFT}
    judge = Judge()
    for event in events:
        judge.feed(event)
    assert "connection-replaced" not in {finding.rule for finding in judge.finish()}


async def test_websockets_opened_together_are_opened_before_the_first_response() -> None:
    started = time.time() - 5.0
    network_events = NetworkEvents(started)
    for key in ("a", "b"):
        network_events.event("Created", key, started, url=URL)
    network_events.connection("c", started + 0.1)
    await network_events.network.drain()
    network_events.network.close()
    late = [session.opened_at - started for session in network_events.traffic.sessions]
    assert late == pytest.approx([0.1] * 3, abs=0.001), "no later than the next timed event"


WHOLE: dict[str, Any] = {"options": RuleOptions(), "bar": Bar(), "target": "http://h/"}
POLL = {"url": "http://h/socket.io/?EIO=4&transport=polling", "method": "GET", "headers": {}}


async def refusals(network_events: NetworkEvents) -> list[tuple[str | None, str | None]]:
    await network_events.network.drain()
    network_events.network.close()
    return [(event.reason, event.message) for event in network_events.traffic.events() if isinstance(event, Refused)]


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        ({"errorText": "net::ERR_FAILED", "corsErrorStatus": {"corsError": "MissingAllowOriginHeader"}}, CORS),
        ({"errorText": "net::ERR_CONNECTION_REFUSED"}, "net::ERR_CONNECTION_REFUSED"),
    ],
    ids=["another origin", "nobody listens"],
)
async def test_a_failed_poll_has_its_reason(failure: dict[str, Any], why: str) -> None:
    network_events = NetworkEvents(time.time())
    asked = {"requestId": "p", "timestamp": 1.0, "request": POLL}
    network_events.network.feed("Network.requestWillBeSent", asked, "session", PAGE)
    network_events.network.feed(
        "Network.loadingFailed", {"requestId": "p", "timestamp": 1.1, **failure}, "session", PAGE
    )
    assert await refusals(network_events) == [("unreachable", why)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [("net::ERR_CONNECTION_REFUSED", [("unreachable", "net::ERR_CONNECTION_REFUSED")]), (f"{CLOSED_BY_PAGE}.", [])],
    ids=["nobody listens", "the page itself closed it"],
)
async def test_a_failed_websocket_has_its_reason(message: str, expected: list[Any]) -> None:
    started = time.time()
    network_events = NetworkEvents(started)
    network_events.event("Created", "w", started, url=URL)
    network_events.event("FrameError", "w", started + 0.1, errorMessage=message)
    network_events.event("Closed", "w", started + 0.1)
    assert await refusals(network_events) == expected


@pytest.mark.parametrize(
    ("reason", "message", "why"),
    [
        ("unreachable", CORS, f"no connection was made: {CORS}"),
        ("refused", "no token", "no connection was made: no token, by the server: is the page logged in"),
    ],
)
def test_a_refusal_is_the_reason_while_another_attempt_is_pending(reason: str, message: str, why: str) -> None:
    events: list[Event] = [
        Connecting(at=1.0, source="browser"),
        Refused(at=1.1, source="browser", reason=reason, message=message),
        NotEvaluated(at=2.0, source="browser", reason="a connection was still being opened"),
    ]
    network_events = evaluate_pages(events, **WHOLE)
    assert network_events.verdict is Verdict.INCONCLUSIVE and network_events.reason.startswith(why)


def test_an_unknown_user_has_a_note_about_identity_rules() -> None:
    network_events = evaluate_pages(
        [Connected(at=1.0, source="browser", user=UNKNOWN_USER.format("tab 1"), sid="s", page="tab 1")], **WHOLE
    )
    assert network_events.notes == [
        "The user of tab 1 is unknown: say where the traffic names the user, as in --identity 'auth.token|jwt:sub'."
    ]


async def test_the_wait_for_events_ends_although_a_page_feeds_further_ones() -> None:
    network_events, loop = NetworkEvents(time.time()), asyncio.get_running_loop()

    def feed_next() -> None:
        answered = loop.create_future()
        loop.call_soon(answered.set_result, None)
        network_events.network._enqueue(feed_next, answered)

    feed_next()
    try:
        async with asyncio.timeout(20):
            await network_events.network.drain()
    finally:
        network_events.network.close()
