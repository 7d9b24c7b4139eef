"""What the browser tells of its traffic, put in order: what it gives no time for must not seem to come later."""

import time
from typing import Any

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, Connecting, Disconnected, Event, NotEvaluated, Refused
from wscheck.model.findings import Bar, Verdict
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.browser.network import CLOSED_BY_PAGE, CORS, NetworkFeed
from wscheck.observe.traffic import Initiator, TrafficDemux
from wscheck.observe.traffic.redaction import UNKNOWN_USER
from wscheck.run.page_report import report

URL = "ws://h/socket.io/?EIO=4&transport=websocket"
PAGE = Initiator("target", "tab 1", "page http://h/")


class Told:
    """A browser's events of one page. Its clock began long ago, and `at` are seconds since the epoch."""

    def __init__(self, began: float) -> None:
        self.traffic = TrafficDemux(source="browser")
        self.network = NetworkFeed(DevToolsConnection("ws://unused", lambda *_: None), self.traffic, lambda _: None)
        self.event("WillSendHandshakeRequest", "foreign", began, wallTime=began, request={})

    def event(self, what: str, key: str, at: float, **more: Any) -> None:
        """As the protocol has it: that a websocket was created is told without a time."""
        params = {"requestId": key, **({} if what == "Created" else {"timestamp": at - 1000.0}), **more}
        self.network.feed(f"Network.webSocket{what}", params, "session", PAGE)

    def connection(self, key: str, at: float) -> None:
        """A whole connection, acknowledged at `at`."""
        self.event("Created", key, at - 0.02, url=URL)
        frames = (f'0{{"sid":"E{key}","pingInterval":25000,"pingTimeout":20000}}', '40{"userId":"u"}', '40{"sid":"S"}')
        for text in (frames[0], frames[1], frames[2].replace("S", key)):
            sent = "Sent" if "userId" in text else "Received"
            self.event(f"Frame{sent}", key, at, response={"opcode": 1, "payloadData": text})


async def test_a_page_that_left_had_left_before_the_next_one_began_however_late_we_hear_of_it() -> None:
    began = time.time() - 5.0
    told = Told(began)
    told.connection("a", began + 0.1)
    told.network.on_target_closed(PAGE.target_id)
    told.connection("b", began + 0.4)
    await told.network.drain()
    told.network.close()
    heard = [event for event in told.traffic.events() if isinstance(event, Connected | Disconnected)]
    assert [(type(event), event.sid) for event in heard] == [(Connected, "a"), (Disconnected, "a"), (Connected, "b")]


async def test_where_nothing_comes_after_it_a_page_ends_when_we_hear_of_it() -> None:
    began = time.time() - 5.0
    told = Told(began)
    told.connection("a", began + 0.1)
    told.network.on_target_closed(PAGE.target_id)
    await told.network.drain()
    told.network.close()
    ended = told.traffic.events()[-1]
    assert isinstance(ended, Disconnected) and ended.at is not None and ended.at > began + 4.0


async def test_two_asked_for_together_were_asked_for_before_either_was_answered_however_late_we_hear() -> None:
    began = time.time() - 5.0
    told = Told(began)
    for key in ("a", "b"):
        told.event("Created", key, began, url=URL)
    told.connection("c", began + 0.1)
    await told.network.drain()
    told.network.close()
    late = [session.opened_at - began for session in told.traffic.sessions]
    assert late == pytest.approx([0.1] * 3, abs=0.001), "no later than what the browser told next"


WHOLE: dict[str, Any] = {"options": RuleOptions(), "bar": Bar(), "target": "http://h/"}
POLL = {"url": "http://h/socket.io/?EIO=4&transport=polling", "method": "GET", "headers": {}}


async def refusals(told: Told) -> list[tuple[str | None, str | None]]:
    await told.network.drain()
    told.network.close()
    return [(event.reason, event.message) for event in told.traffic.events() if isinstance(event, Refused)]


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        ({"errorText": "net::ERR_FAILED", "corsErrorStatus": {"corsError": "MissingAllowOriginHeader"}}, CORS),
        ({"errorText": "net::ERR_CONNECTION_REFUSED"}, "net::ERR_CONNECTION_REFUSED"),
    ],
    ids=["another origin", "nobody listens"],
)
async def test_why_a_poll_failed_is_told(failure: dict[str, Any], why: str) -> None:
    told = Told(time.time())
    asked = {"requestId": "p", "timestamp": 1.0, "request": POLL}
    told.network.feed("Network.requestWillBeSent", asked, "session", PAGE)
    told.network.feed("Network.loadingFailed", {"requestId": "p", "timestamp": 1.1, **failure}, "session", PAGE)
    assert await refusals(told) == [("unreachable", why)]


@pytest.mark.parametrize(
    ("message", "told_of"),
    [("net::ERR_CONNECTION_REFUSED", [("unreachable", "net::ERR_CONNECTION_REFUSED")]), (f"{CLOSED_BY_PAGE}.", [])],
    ids=["nobody listens", "the page itself closed it"],
)
async def test_why_a_websocket_broke_is_told(message: str, told_of: list[Any]) -> None:
    began = time.time()
    told = Told(began)
    told.event("Created", "w", began, url=URL)
    told.event("FrameError", "w", began + 0.1, errorMessage=message)
    told.event("Closed", "w", began + 0.1)
    assert await refusals(told) == told_of


@pytest.mark.parametrize(
    ("reason", "message", "why"),
    [
        ("unreachable", CORS, f"no connection was made: {CORS}"),
        ("refused", "no token", "no connection was made: no token, by the server: is the page logged in"),
    ],
)
def test_why_nothing_connected_is_told_while_another_attempt_is_under_way(reason: str, message: str, why: str) -> None:
    events: list[Event] = [
        Connecting(at=1.0, source="browser"),
        Refused(at=1.1, source="browser", reason=reason, message=message),
        NotEvaluated(at=2.0, source="browser", reason="a connection was still being opened"),
    ]
    told = report(events, **WHOLE)
    assert told.verdict is Verdict.INCONCLUSIVE and told.reason.startswith(why)


def test_a_page_that_does_not_name_its_user_is_told_how_to_look_for_it() -> None:
    told = report(
        [Connected(at=1.0, source="browser", user=UNKNOWN_USER.format("tab 1"), sid="s", page="tab 1")], **WHOLE
    )
    assert told.notes == [
        "Who is connected in tab 1 was not found: say where the traffic names the user, "
        "as in --identity 'auth.token|jwt:sub'."
    ]
