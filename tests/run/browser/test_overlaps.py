"""Servers that replace nothing: one that keeps every connection, where only the overlap itself shows that a page holds
two, and one that refuses the second."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.needs import needs
from tests.node_backend import EXAMPLE, Backend, node_backend
from tests.pages import served, watched, watched_until
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import AnyEvent, Connected, Disconnected, PhaseEnded
from wscheck.model.findings import Bar, Verdict
from wscheck.run.page_report import report

LIBRARY = EXAMPLE / "node_modules" / "socket.io-client" / "dist" / "socket.io.js"

PAGE = """<!doctype html><title>quiet</title><link rel="icon" href="data:,">
<script src="socket.io.js"></script>
<script>
const auth = { token: "token-of-user_1", userId: "user_1" };
const open = () => io({ auth, forceNew: true, transports: ["websocket"], reconnectionDelay: 100 });
const first = open();
SCRIPT
</script>"""

TWO = "first.once('connect', () => setTimeout(open, 200));"

# The first one's transport is lost; the server recovers it, under the same socket id.
LOST = """first.once('connect', () => {
  first.emit('request_bot_status');
  setTimeout(() => first.io.engine.close(), 200);
});"""
BACK = "first.io.on('reconnect', () => setTimeout(() => { if (first.recovered) NEXT }, 200));"
# Nobody answers there: that it is tried is what shows.
UNSEEN = "new WebTransport('https://127.0.0.1:9/socket.io/?EIO=4&transport=webtransport').ready.catch(() => 0);"
PAGES = {
    "webtransport": UNSEEN,
    "two": TWO,
    "recovered": LOST + BACK.replace("NEXT", "true"),
    "both": LOST + BACK.replace("NEXT", "open()"),
}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    needs("chromium")
    folder = tmp_path_factory.mktemp("quiet")
    with node_backend("--policy", "allow", "--recovery", "60000", "--static", str(folder)) as backend:
        shutil.copy(LIBRARY, folder)
        for name, script in PAGES.items():
            folder.joinpath(f"{name}.html").write_text(PAGE.replace("SCRIPT", script))
        yield backend


def ran(backend: Backend, page: str, record: Path) -> tuple[int, dict[str, object]]:
    """The exit code and the report of a run, of which `record` is kept."""
    formats = ("--format", "json", "--format", f"ndjson={record}")
    run = wscheck("browser", f"{backend.url}/{page}.html", "--for", "2s", *formats)
    return run.code, json.loads(run.out)


@pytest.mark.parametrize("page", ["two", "both"])
def test_two_connections_are_found_although_nothing_more_happens_on_them(
    backend: Backend, page: str, tmp_path: Path
) -> None:
    code, told = ran(backend, page, tmp_path / "run.ndjson")
    assert (code, told["verdict"]) == (1, "failed")
    assert str(told["reason"]).startswith("user_1: holds 2 connections, one opened by")
    again = wscheck("verify", "--from", str(tmp_path / "run.ndjson"), "--format", "json")
    assert (again.code, json.loads(again.out)["findings"][0]["rule"]) == (1, "multiple-connections")


def test_a_connection_that_the_server_recovered_is_one(backend: Backend, tmp_path: Path) -> None:
    record = tmp_path / "run.ndjson"
    code, told = ran(backend, "recovered", record)
    assert (code, told["verdict"], told["findings"]) == (0, "passed", [])
    events = [json.loads(line) for line in record.read_text().splitlines()]
    opened = [event for event in events if event.get("type") == "connected"]
    assert len(opened) == 2 and len({event["sid"] for event in opened}) == 1
    assert opened[0]["opener"] == opened[1]["opener"], "it belongs to whoever called io() first"


async def test_a_server_that_refuses_the_second_shows_who_asked_for_it() -> None:
    with served("prod", "--policy", "reject") as pages:
        urls = [f"{pages.url}/{page}.html?user={user}" for page, user in (("broken", "ann"), *2 * [("fixed", "bob")])]
        told = await watched_until(lambda told: "src/hooks" in told.reason and bool(told.notes), *urls)
    (found,) = told.findings
    assert (found.rule, found.user, found.cause and found.cause.id) == ("multiple-connections", "ann", "two-openers")
    assert "src/hooks/useBotWebSocket.ts" in found.message and "src/hooks/useWhatsAppConnection.ts" in found.message
    assert found.message.endswith("the server refused the second")
    assert told.reason.startswith("ann: asked for 2 connections, one opened by")
    assert told.reason.endswith("the server kept one and refused one (already connected)")
    assert any(note.endswith("was refused its connection: already connected.") for note in told.notes), (
        "bob's other tab"
    )


async def test_what_is_said_over_webtransport_is_not_seen_and_proves_nothing(backend: Backend) -> None:
    told = (await watched(f"{backend.url}/webtransport.html", seconds=1)).report
    assert (told.verdict, len(told.connections)) == (Verdict.INCONCLUSIVE, 1)
    assert told.reason.startswith("tab 1 connected over WebTransport, whose content a browser does not show")


async def test_two_tabs_on_a_server_that_keeps_both_are_no_race() -> None:
    with served("prod", "--policy", "allow") as pages:
        told = await watched_until(lambda told: bool(told.findings), *2 * [f"{pages.url}/fixed.html?user=ann"])
    (found,) = told.findings
    assert (found.rule, found.cause and found.cause.id) == ("multiple-connections", "several-tabs")


@pytest.mark.parametrize(
    ("until", "verdict"), [(0.1, Verdict.INCONCLUSIVE), (0.3, Verdict.FAILED)], ids=["too early", "long enough"]
)
def test_how_long_a_page_was_watched_decides(until: float, verdict: Verdict) -> None:
    events: list[AnyEvent] = [
        *(Connected(at=100.0, source="browser", user="A", sid=sid, page="tab 1") for sid in ("s1", "s2")),
        PhaseEnded(at=100.0 + until, source="browser"),
    ]
    told = report(events, RuleOptions(), Bar(), target="page")
    assert told.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert told.reason.startswith("the evidence ends while A holds 2 connections, too early to tell")


def test_what_ended_before_the_watch_did_is_no_doubt() -> None:
    events: list[AnyEvent] = [
        *(Connected(at=100.0, source="browser", user="A", sid=sid, page="tab 1") for sid in ("s1", "s2")),
        Disconnected(at=100.1, source="browser", user="A", sid="s2", reason="io client disconnect"),
        PhaseEnded(at=105.0, source="browser"),
    ]
    assert report(events, RuleOptions(), Bar(), target="page").verdict is Verdict.PASSED
