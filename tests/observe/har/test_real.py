"""HAR files of real browsers: stored ones, and one that DevTools saves during the test."""

from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.devtools import saved_har
from tests.frontend import built
from tests.node_backend import node_backend
from wscheck.detect.rules import RuleOptions
from wscheck.model.events import Connected, Disconnected, Upgraded
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import BrowserReport
from wscheck.observe.har import read_har_files
from wscheck.run.page_report import evaluate_pages

DATA = Path(__file__).parents[2] / "data" / "har"
DEVTOOLS, PLAYWRIGHT, FIXED = (
    DATA / f"{name}.har" for name in ("devtools-broken", "playwright-broken", "playwright-fixed")
)


def evaluate(*paths: Path) -> BrowserReport:
    contents = read_har_files(paths)
    return evaluate_pages(contents.events, RuleOptions(), Bar(), target="a HAR", pages=contents.pages)


def test_devtools_har_names_user_sids_and_both_openers_without_a_source_map() -> None:
    result = evaluate(DEVTOOLS)
    assert result.verdict is Verdict.FAILED
    assert {finding.rule for finding in result.findings} == {"multiple-connections", "connection-replaced"}
    assert {finding.cause.id for finding in result.findings if finding.cause} == {"two-openers"}
    first, second = result.connections
    assert (first.user, first.sid, first.reason) == ("user_1", "KtOu5lvIDxxnwhHSAAAU", "io server disconnect")
    assert (second.user, second.sid, second.closed_at) == ("user_1", "wq_uUs7oblfsVkeLAAAV", None)
    bundle = "http://127.0.0.1:18377/broken.js"
    assert [str(each.opener) for each in result.connections] == [f"{bundle}:9:80906", f"{bundle}:9:81251"]


def test_playwright_har_counts_an_upgrade_once_and_notes_its_limits() -> None:
    contents = read_har_files([PLAYWRIGHT])
    assert len([event for event in contents.events if isinstance(event, Connected)]) == 2
    assert {event.transport for event in contents.events if isinstance(event, Upgraded)} == {"websocket"}
    (ended,) = [event for event in contents.events if isinstance(event, Disconnected)]
    assert ended.reason == "io server disconnect"
    assert "contains neither the code that opened a connection" in contents.notes[0]
    assert evaluate(PLAYWRIGHT).verdict is Verdict.FAILED


def test_times_of_both_writers_are_seconds() -> None:
    for path, second in ((DEVTOOLS, 1795449939), (PLAYWRIGHT, 1795449828)):
        times = [event.at for event in read_har_files([path]).events]
        assert all(at is not None and second <= at < second + 2 for at in times), path


def test_a_page_that_shares_its_connection_passes() -> None:
    result = evaluate(FIXED)
    assert (result.verdict, len(result.connections)) == (Verdict.PASSED, 1)
    assert [page.title for page in result.pages] == ["fixed"]


def test_files_of_two_tabs_are_one_application() -> None:
    result = evaluate(FIXED, DEVTOOLS)
    assert {each.page for each in result.connections} == {"tab 1", "tab 2"}


async def test_a_har_of_devtools_has_lines_from_the_source_maps(tmp_path: Path) -> None:
    dist, path = built("prod"), tmp_path / "page.har"
    with node_backend("--static", str(dist)) as backend:
        url = f"{backend.url}/broken.html?user=user_7&token=token-of-user_7"
        await saved_har(url, path, seen="^5$", cookie="cookie-secret")
    ran = wscheck("har", path, "--source-maps", dist, "--source-root", "web")
    assert ran.code == 1, ran.said
    assert "web/src/hooks/useBotWebSocket.ts:12" in ran.out
    assert "web/src/hooks/useWhatsAppConnection.ts:13" in ran.out
    assert "two components each open a connection" in ran.out
    assert "token-of-user_7" not in ran.said and "cookie-secret" not in ran.said


def test_exit_codes_of_the_command(tmp_path: Path) -> None:
    assert wscheck("har", FIXED).code == 0
    ran = wscheck("har", DEVTOOLS, "--source-maps", tmp_path / "nowhere")
    assert ran.code == 2 and "is no directory" in ran.err
    ran = wscheck("har", FIXED, "--identity", "cookie")
    assert ran.code == 2 and "Write auth.userId" in ran.err


@pytest.mark.parametrize("path", [DEVTOOLS, PLAYWRIGHT])
def test_another_identity_rule_is_another_user(path: Path) -> None:
    from wscheck.observe.traffic import IdentityRule

    users = {event.user for event in read_har_files([path], IdentityRule.parse("cookie.session")).events}
    assert "cookie-secret-abcdef" not in users
    assert users and all(user is None or user.startswith("(token ") for user in users)


def test_limits_of_the_file_are_in_the_report() -> None:
    result = " ".join(wscheck("har", DEVTOOLS).out.split())
    assert "! Positions in http://127.0.0.1:18377/broken.js are those of the bundle" in result
    assert "--source-maps DIR" in result
    assert "contains neither the code that opened a connection" in " ".join(wscheck("har", FIXED).out.split())
