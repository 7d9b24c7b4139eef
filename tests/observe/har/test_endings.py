"""End of a connection in a HAR file, which DevTools writes only indirectly."""

from pathlib import Path
from typing import Any

import pytest

from tests.observe.har.test_bad import entry, har
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Disconnected
from wscheck.model.findings import Bar, Verdict
from wscheck.observe.har import read_har_files
from wscheck.observe.traffic import TrafficSession
from wscheck.run.page_report import evaluate_pages

STARTED_AT = 1795449939.181
"""Start time of `entry`, in seconds since the epoch."""


def connection(lasted_ms: float, name: str = "1") -> dict[str, Any]:
    """A websocket whose last frame came 100 ms after it began, and which DevTools saw for `lasted_ms`."""
    shake = f'0{{"sid":"E{name}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}}'
    said = enumerate((shake, f'40{{"sid":"S{name}"}}'), 1)
    frames = [{"type": "receive", "time": STARTED_AT + 0.05 * n, "opcode": 1, "data": text} for n, text in said]
    url = "ws://localhost/socket.io/?EIO=4&transport=websocket"
    return entry(url, 101, time=lasted_ms, pageref="page_1", _webSocketMessages=frames)


def document(status: int, pageref: str, at: str) -> dict[str, Any]:
    when = f"2026-11-23T16:05:{at}Z"
    return entry("http://localhost/", status, startedDateTime=when, pageref=pageref, _resourceType="document")


def ends(path: Path) -> int:
    return sum(isinstance(event, Disconnected) for event in read_har_files([path]).events)


@pytest.mark.parametrize(("lasted_ms", "closed"), [(100.0, 0), (100.3, 0), (140.0, 1)])
def test_a_websocket_with_activity_after_its_last_frame_closed(tmp_path: Path, lasted_ms: float, closed: int) -> None:
    assert ends(har(tmp_path / "page.har", connection(lasted_ms))) == closed


@pytest.mark.parametrize(("rest", "verdict"), [([], Verdict.INCONCLUSIVE), (["42.000"], Verdict.FAILED)])
def test_two_idle_connections_are_found_if_the_recording_continues(
    tmp_path: Path, rest: list[str], verdict: Verdict
) -> None:
    """A later request shows that the recording continued."""
    entries = [connection(100.0, "1"), connection(100.0, "2"), *(document(204, "page_1", at) for at in rest)]
    path = har(tmp_path / "page.har", *entries)
    assert evaluate_pages(read_har_files([path]).events, RuleOptions(), Bar(), target="page").verdict is verdict


@pytest.mark.parametrize(("status", "left"), [(200, 1), (404, 1), (204, 0), (205, 0), (302, 0)])
def test_a_new_document_ends_the_connections_of_the_page(tmp_path: Path, status: int, left: int) -> None:
    pages = document(200, "page_1", "39.100"), document(status, "page_2", "41.000")
    assert ends(har(tmp_path / "page.har", pages[0], connection(100.0), pages[1])) == left


def test_each_connection_of_many_documents_ends_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each document ends the connections of all earlier ones, which has ended nearly all of them before."""
    asked = []
    end = TrafficSession.end

    def record(session: TrafficSession, *arguments: Any) -> None:
        asked.append(arguments)
        end(session, *arguments)

    monkeypatch.setattr(TrafficSession, "end", record)
    entries = [document(200, f"page_{n}", "39.100") for n in range(30)]
    entries += [connection(100.0, str(n)) | {"pageref": f"page_{n}"} for n in range(30)]
    entries += [document(200, f"page_{n}", f"{n + 10}.000") for n in range(30, 50)]
    assert ends(har(tmp_path / "page.har", *entries)) == 30
    assert len(asked) == 30


def test_a_document_in_a_frame_is_not_a_page(tmp_path: Path) -> None:
    shown = [document(200, "page_1", f"39.{n}00") | {"_frameref": frame} for n, frame in enumerate(["main", "frame"])]
    shown[1]["request"] = {**shown[1]["request"], "url": "http://localhost/frame"}
    pages = read_har_files([har(tmp_path / "page.har", *shown, connection(100.0), creator="Playwright")]).pages
    assert [page.url for page in pages] == ["http://localhost/"]


def plain_socket(seconds: list[float], url: str = "ws://localhost/feed?room=1") -> dict[str, Any]:
    """A websocket without an own protocol that received a message at each of the `seconds` after `STARTED_AT`."""
    frames = [
        {"type": "receive", "time": STARTED_AT + each, "opcode": 1, "data": f'{{"n":{each}}}'} for each in seconds
    ]
    when = f"2026-11-23T16:05:{39.181 + seconds[0]:06.3f}Z"
    return entry(url, 101, startedDateTime=when, time=-1, pageref="page_1", _webSocketMessages=frames)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        pytest.param([0, 1], [2, 5], Verdict.INCONCLUSIVE, id="silent since"),
        pytest.param([0, 2.1], [2, 5], Verdict.INCONCLUSIVE, id="silent after the next one opened"),
        pytest.param([0, 4], [2, 5], Verdict.FAILED, id="a message beside the next one"),
    ],
)
def test_a_plain_websocket_by_playwright_is_open_until_its_last_message(
    tmp_path: Path, first: list[float], second: list[float], verdict: Verdict
) -> None:
    sockets = plain_socket(first), plain_socket(second, "ws://localhost/feed?room=2")
    path = har(tmp_path / "page.har", *sockets, document(204, "page_1", "59.000"), creator="Playwright")
    report = evaluate_pages(read_har_files([path]).events, RuleOptions(), Bar(), target="page")
    assert report.verdict is verdict
    assert ("it does not show when a connection ended" in report.reason) is (verdict is Verdict.INCONCLUSIVE)


def test_one_plain_websocket_by_playwright_passes(tmp_path: Path) -> None:
    sockets = plain_socket([0, 1]), plain_socket([2, 5], "ws://localhost/other")
    path = har(tmp_path / "page.har", *sockets, document(204, "page_1", "59.000"), creator="Playwright")
    report = evaluate_pages(read_har_files([path]).events, RuleOptions(), Bar(), target="page")
    assert report.verdict is Verdict.PASSED, report.reason


@pytest.mark.parametrize(
    ("failures", "urls", "rest", "verdict"),
    [
        pytest.param(("net::ERR_ABORTED", None), "/feed /feed", True, Verdict.INCONCLUSIVE, id="first ended some time"),
        pytest.param((None, "net::ERR_ABORTED"), "/feed /feed?a=1", True, Verdict.INCONCLUSIVE, id="second ended"),
        pytest.param((None, None), "/feed /feed", True, Verdict.FAILED, id="both open at the end"),
        pytest.param((None, None), "/feed /feed", False, Verdict.INCONCLUSIVE, id="both open, nothing later"),
        pytest.param(("net::ERR_ABORTED", None), "/feed /news", True, Verdict.PASSED, id="two endpoints"),
        pytest.param(("net::ERR_ABORTED", None), "/feed /feed", None, Verdict.INCONCLUSIVE, id="two documents"),
    ],
)
def test_a_stream_by_playwright_has_an_end_without_a_time(
    tmp_path: Path, failures: tuple[str | None, str | None], urls: str, rest: bool | None, verdict: Verdict
) -> None:
    streams = [
        entry(
            f"http://localhost{url}",
            startedDateTime=f"2026-11-23T16:05:{at}Z",
            pageref="page_1",
            _resourceType="eventsource",
            response={"status": 200, "content": {}, "_failureText": failure},
        )
        for url, at, failure in zip(urls.split(), ("40.000", "45.000"), failures, strict=True)
    ]
    documents = [document(200, "page_1", "39.000")]
    documents += [document(200, "page_1", "43.000")] if rest is None else []
    later = [] if rest is False else [document(204, "page_1", "59.000")]
    path = har(tmp_path / "page.har", *documents, *streams, *later, creator="Playwright")
    report = evaluate_pages(read_har_files([path]).events, RuleOptions(), Bar(), target="page")
    assert report.verdict is verdict, report.reason
    if verdict is Verdict.INCONCLUSIVE:
        assert ("it does not show when a connection ended" in report.reason) is any(failures)
