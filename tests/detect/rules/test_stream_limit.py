"""stream-limit: streams of server-sent events keep the few connections that a browser opens to one host."""

import pytest

from wscheck.detect.engine import Judge
from wscheck.detect.rules.stream_limit import StreamLimit
from wscheck.model.events import Connected, Disconnected
from wscheck.model.findings import Finding, Severity


def stream(number: int, page: str = "tab 1", http: str = "http/1.1", host: str = "h:3000") -> Connected:
    return Connected(
        at=float(number),
        source="browser",
        user="ann",
        sid=f"event-stream-{number}",
        page=page,
        protocol="event-stream",
        transport="event-stream",
        url=f"http://{host}/stream-{number}",
        http=http,
    )


def found(*events: Connected | Disconnected) -> list[Finding]:
    judge = Judge(None, [StreamLimit])
    for event in events:
        judge.feed(event)
    return judge.finish(100.0)


def test_six_streams_use_up_all_connections() -> None:
    (finding,) = found(*(stream(number, f"tab {number}") for number in range(6)))
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("6 streams to h:3000 are open at once over HTTP/1.1")


def test_a_page_with_three_streams_leaves_room_for_few_tabs() -> None:
    (finding,) = found(*map(stream, range(3)))
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith("tab 1 has 3 streams to h:3000 at once over HTTP/1.1: few further tabs can load")


def test_four_pages_with_one_stream_each_are_near_the_limit() -> None:
    (finding,) = found(*(stream(number, f"tab {number}") for number in range(4)))
    assert finding.severity is Severity.WARNING and finding.message.startswith("4 tabs or frames have streams")


@pytest.mark.parametrize("http", ["h2", "h3", ""])
def test_streams_that_share_a_connection_have_no_limit(http: str) -> None:
    assert found(*(stream(number, http=http) for number in range(8))) == []


def test_streams_to_several_hosts_and_streams_that_follow_each_other_are_healthy() -> None:
    assert found(*(stream(number, host=f"h{number}") for number in range(6))) == []
    events: list[Connected | Disconnected] = []
    for number in range(6):
        events += [stream(number), Disconnected(at=number + 0.5, user="ann", sid=f"event-stream-{number}")]
    assert found(*events) == []


def test_websockets_have_a_limit_of_their_own() -> None:
    events = [
        Connected(at=float(number), user="ann", sid=str(number), transport="websocket", url="ws://h/", page="tab 1")
        for number in range(8)
    ]
    assert found(*events) == []
