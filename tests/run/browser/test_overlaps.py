"""Servers that do not replace connections: one that keeps all of them, and one that refuses a second connection."""

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
from wscheck.run.page_report import evaluate_pages

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

# The first connection loses its transport; the server recovers it with the same sid.
LOST = """first.once('connect', () => {
  first.emit('request_bot_status');
  setTimeout(() => first.io.engine.close(), 200);
});"""
BACK = "first.io.on('reconnect', () => setTimeout(() => { if (first.recovered) NEXT }, 200));"
# No server answers; the browser reports the attempt.
WEBTRANSPORT = "new WebTransport('https://127.0.0.1:9/socket.io/?EIO=4&transport=webtransport').ready.catch(() => 0);"
PAGES = {
    "webtransport": WEBTRANSPORT,
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


def run_page(backend: Backend, page: str, record: Path) -> tuple[int, dict[str, object]]:
    """Return the exit code and the report of a run, and write its recording to `record`."""
    formats = ("--format", "json", "--format", f"ndjson={record}")
    run = wscheck("browser", f"{backend.url}/{page}.html", "--for", "2s", *formats)
    return run.code, json.loads(run.out)


@pytest.mark.parametrize("page", ["two", "both"])
def test_two_idle_connections_are_found(backend: Backend, page: str, tmp_path: Path) -> None:
    code, result = run_page(backend, page, tmp_path / "run.ndjson")
    assert (code, result["verdict"]) == (1, "failed")
    assert str(result["reason"]).startswith("user_1: holds 2 connections at once, one opened by")
    again = wscheck("verify", "--from", str(tmp_path / "run.ndjson"), "--format", "json")
    assert (again.code, json.loads(again.out)["findings"][0]["rule"]) == (1, "multiple-connections")


def test_a_recovered_connection_counts_once(backend: Backend, tmp_path: Path) -> None:
    record = tmp_path / "run.ndjson"
    code, result = run_page(backend, "recovered", record)
    assert (code, result["verdict"], result["findings"]) == (0, "passed", [])
    events = [json.loads(line) for line in record.read_text().splitlines()]
    opened = [event for event in events if event.get("type") == "connected"]
    assert len(opened) == 2 and len({event["sid"] for event in opened}) == 1
    assert opened[0]["opener"] == opened[1]["opener"], "the opener is the first call of io()"


async def test_a_refused_second_connection_is_found_with_its_opener() -> None:
    with served("prod", "--policy", "reject") as pages:
        urls = [f"{pages.url}/{page}.html?user={user}" for page, user in (("broken", "ann"), *2 * [("fixed", "bob")])]
        result = await watched_until(lambda report: "src/hooks" in report.reason and bool(report.notes), *urls)
    (found,) = result.findings
    assert (found.rule, found.user, found.cause and found.cause.id) == ("multiple-connections", "ann", "two-openers")
    assert "src/hooks/useBotWebSocket.ts" in found.message and "src/hooks/useWhatsAppConnection.ts" in found.message
    assert found.message.endswith("the server refused the second")
    assert result.reason.startswith("ann: requested 2 connections, one by")
    assert result.reason.endswith("the server kept one and refused one (already connected)")
    assert any(note.endswith("was refused its connection: already connected.") for note in result.notes), (
        "bob's other tab"
    )


async def test_webtransport_is_inconclusive(backend: Backend) -> None:
    result = (await watched(f"{backend.url}/webtransport.html", seconds=1)).report
    assert (result.verdict, len(result.connections)) == (Verdict.INCONCLUSIVE, 1)
    assert result.reason.startswith("tab 1 connected over WebTransport, whose content a browser does not show")


async def test_two_tabs_on_a_server_that_keeps_both_have_the_cause_several_tabs() -> None:
    with served("prod", "--policy", "allow") as pages:
        result = await watched_until(lambda report: bool(report.findings), *2 * [f"{pages.url}/fixed.html?user=ann"])
    (found,) = result.findings
    assert (found.rule, found.cause and found.cause.id) == ("multiple-connections", "several-tabs")


@pytest.mark.parametrize(
    ("until", "verdict"), [(0.1, Verdict.INCONCLUSIVE), (0.3, Verdict.FAILED)], ids=["too early", "long enough"]
)
def test_an_overlap_shorter_than_the_grace_is_inconclusive(until: float, verdict: Verdict) -> None:
    events: list[AnyEvent] = [
        *(Connected(at=100.0, source="browser", user="A", sid=sid, page="tab 1") for sid in ("s1", "s2")),
        PhaseEnded(at=100.0 + until, source="browser"),
    ]
    result = evaluate_pages(events, RuleOptions(), Bar(), target="page")
    assert result.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert result.reason.startswith("the evidence ends while A holds 2 connections, too early to decide")


def test_an_overlap_that_ended_passes() -> None:
    events: list[AnyEvent] = [
        *(Connected(at=100.0, source="browser", user="A", sid=sid, page="tab 1") for sid in ("s1", "s2")),
        Disconnected(at=100.1, source="browser", user="A", sid="s2", reason="io client disconnect"),
        PhaseEnded(at=105.0, source="browser"),
    ]
    assert evaluate_pages(events, RuleOptions(), Bar(), target="page").verdict is Verdict.PASSED
