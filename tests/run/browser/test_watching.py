"""`wscheck browser` on real pages: openers in every build and over every transport, and pages that must pass."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli import COMMAND, environment, wscheck
from tests.node_backend import EXAMPLE, Backend
from tests.pages import findings_of, served, watched, watched_until
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import AnyEvent, CodeLocation, Connected, Delivered, HandlersRegistered
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import BrowserReport
from wscheck.observe.browser import attached, launch
from wscheck.run.browser.run import pending_reason
from wscheck.run.page_report import evaluate_pages

TRANSPORTS = {"websocket": "websocket", "upgrade": "polling,websocket", "polling": "polling"}
ROOT = Path(__file__).parents[3]
HOOKS = ("src/hooks/useBotWebSocket.ts", "src/hooks/useWhatsAppConnection.ts")


@pytest.fixture(scope="module", params=["dev", "prod"])
def pages(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with served(request.param) as backend:
        yield backend


@pytest.fixture(scope="module")
def prod() -> Iterator[Backend]:
    with served("prod") as backend:
        yield backend


def line_of_io(file: str) -> int:
    """Return the line of the source file that calls io()."""
    text = Path(EXAMPLE, file).read_text().splitlines()
    return next(number for number, line in enumerate(text, start=1) if "= io(" in line)


def openers(report: BrowserReport, user: str) -> set[str]:
    return {f"{one.opener.file}:{one.opener.line}" for one in report.connections if one.user == user and one.opener}


async def test_both_hooks_are_named_by_line_in_every_build_over_every_transport(pages: Backend) -> None:
    urls = [f"{pages.url}/broken.html?user={name}&transports={value}" for name, value in TRANSPORTS.items()]
    report = (await watched(*urls, seconds=3)).report
    assert report.verdict is Verdict.FAILED and not report.notes
    for user in TRANSPORTS:
        assert openers(report, user) == {f"{file}:{line_of_io(file)}" for file in HOOKS}, user
        found = {finding.rule: finding for finding in findings_of(user, report.findings)}
        assert {"multiple-connections", "connection-replaced"} <= found.keys(), user
        for finding in found.values():
            assert finding.cause is not None and finding.cause.id == "two-openers", user
            assert finding.cause.fix
    ends = {one.user: one.transport for one in report.connections if one.closed_at is None}
    assert ends == {"websocket": "websocket", "upgrade": "websocket", "polling": "polling"}


async def test_the_fixed_page_passes_in_every_kind_of_target(pages: Backend) -> None:
    framed = quote(f"{pages.url.replace('127.0.0.1', 'localhost')}/fixed.html?user=framed", safe="")
    queries = ["fixed.html?user=plain", "fixed.html?user=strict&strict=1", f"framed.html?frame={framed}"]
    queries += ["framed.html?user=within"]
    queries += ["worker.html?kind=dedicated&user=worker", "worker.html?kind=shared&user=shared"]
    report = (await watched(*(f"{pages.url}/{query}" for query in queries), seconds=3)).report
    assert (report.verdict, report.findings) == (Verdict.PASSED, [])
    connections = {one.user: one for one in report.connections}
    assert (
        connections.keys() == {"plain", "strict", "framed", "within", "worker", "shared"}
        and len(report.connections) == 6
    )
    assert [connections[user].target.type for user in connections if user != "framed"].count("page") == 2
    assert (connections["worker"].target.type, connections["worker"].page) == ("worker", "tab 5")
    assert connections["shared"].target.type == "shared_worker"
    assert (connections["framed"].target.type, connections["framed"].page) == ("iframe", "tab 3"), (
        "of another site, and of this tab"
    )
    assert (connections["within"].target.type, connections["within"].page) == ("iframe", "tab 4"), "of this site"
    assert all(one.opener is not None and one.opener.file.startswith("src/services/") for one in connections.values())


async def test_callers_of_shared_code_are_distinguished(pages: Backend) -> None:
    report = (await watched(f"{pages.url}/shared-function.html", seconds=2)).report
    assert {f"{one.diverges_at.file}:{one.diverges_at.line}" for one in report.connections if one.diverges_at} == {
        "src/pages/shared-function.tsx:10",
        "src/pages/shared-function.tsx:18",
    }
    assert openers(report, "user_123") == {"src/services/openSocket.ts:7"}
    assert "shared-function.tsx:10" in report.reason and "shared-function.tsx:18" in report.reason


async def test_a_loop_of_replacements_is_summarized_in_one_sentence(prod: Backend) -> None:
    report = await watched_until(
        lambda result: any(found.rule == "connection-replaced" and found.count > 3 for found in result.findings),
        f"{prod.url}/broken.html?retry=200",
    )
    replaced = next(finding for finding in report.findings if finding.rule == "connection-replaced")
    assert replaced.count > 3 and replaced.rate is not None
    assert openers(report, "user_123") == {f"{file}:{line_of_io(file)}" for file in HOOKS}, (
        "the openers of reconnections too"
    )
    assert re.match(r"user_123: opened \d+ connections, by ", report.reason)
    for name, file in (("useBotWebSocket", HOOKS[0]), ("useWhatsAppConnection", HOOKS[1])):
        assert f"{name} ({file}:{line_of_io(file)}:" in report.reason
    assert f"the server replaced one by another {replaced.count} times" in report.reason


async def test_handlers_are_counted_and_located(prod: Backend) -> None:
    report = await watched_until(
        lambda result: [one.count for one in result.handlers] == [3] and result.events["message_sync"].received == 3,
        f"{prod.url}/handler-without-off.html",
    )
    assert [(one.event, one.count) for one in report.handlers] == [("message_sync", 3)]
    assert {(place.file, place.line) for place in report.handlers[0].locations} == {
        ("src/pages/handler-without-off.tsx", 13)
    }
    synced = report.events["message_sync"]
    assert synced.received == 3 and synced.handled is not None
    assert synced.handled >= synced.received, "handlers are counted at each poll; a busy machine polls less often"


def test_handled_counts_the_handlers_at_the_time_of_each_event() -> None:
    place = CodeLocation("chat.tsx", 13)
    events: list[AnyEvent] = [Connected(at=0.0, sid="s", user="A", page="tab-1")]
    for at in (1.0, 2.0, 3.0):
        events.append(HandlersRegistered(at=at, sid="s", user="A", name="message_sync", handlers=(place,) * int(at)))
        events.append(Delivered(at=at + 0.5, sid="s", user="A", name="message_sync"))
    received = evaluate_pages(events, RuleOptions(), Bar(), target="page").events["message_sync"]
    assert (received.received, received.handled) == (3, 1 + 2 + 3)


def test_no_output_of_the_command_contains_a_secret(prod: Backend, tmp_path: Path) -> None:
    url = f"{prod.url}/broken.html?token=token-of-user_123&user=user_123"
    outputs = [f"--format={kind}={tmp_path / kind}" for kind in ("ndjson", "html", "sarif", "junit", "github")]
    ran = wscheck("browser", url, "--for", "2s", "--source-root=examples/bot-dashboard/", "--format=json", *outputs)
    assert ran.code == 1, ran.said
    result = json.loads(ran.out)
    assert result["schema"] == "wscheck.browser/1" and len(result["connections"]) == 2
    assert "token=hidden-" in result["target"]
    annotated = re.findall(r"^::error file=([^,]+)", (tmp_path / "github").read_text(), re.MULTILINE)
    assert annotated and all((ROOT / file).is_file() for file in annotated), "from the repository's root"
    for text in (ran.said, *(path.read_text() for path in tmp_path.iterdir())):
        assert "token-of-" not in text


def test_a_page_without_traffic_is_inconclusive(prod: Backend) -> None:
    ran = wscheck("browser", f"{prod.url}/counters", "--for", "300ms")
    assert ran.code == 3 and "no real-time connection was seen" in ran.said


DRIVER = """
import json, os, sys, urllib.request
port = os.environ["WSCHECK_CDP_URL"].partition("//")[2].partition("/")[0]
import time
counted = lambda: json.load(urllib.request.urlopen(sys.argv[2]))["replaced"]
before = counted()
urllib.request.urlopen(urllib.request.Request(f"http://{port}/json/new?{sys.argv[1]}", method="PUT")).read()
while counted() == before: time.sleep(0.05)
time.sleep(0.5)
"""


async def test_a_browser_driven_by_a_command_has_the_same_result(prod: Backend, tmp_path: Path) -> None:
    url = f"{prod.url}/broken.html?user=driven"
    alone = await watched_until(lambda result: len(result.findings) >= 2, url)
    tmp_path.joinpath("drive.py").write_text(DRIVER)
    drive = (sys.executable, str(tmp_path / "drive.py"), url, f"{prod.url}/counters")
    async with launch.running_browser(launch.find_browser()) as address:
        port = address.partition("//")[2].partition("/")[0]
        beside = await watched(cdp=f"http://{port}", command=drive)
        assert await launch.devtools_url(f"http://{port}") == address, "an attached browser keeps running"
    assert _main_results(beside.report) == _main_results(alone)


async def test_tabs_opened_in_an_attached_browser_are_closed(prod: Backend) -> None:
    """A tab that stayed would keep a connection of the user, which the next run would replace."""
    async with launch.running_browser(launch.find_browser()) as address:
        await watched(f"{prod.url}/fixed.html?user=again", cdp=address, seconds=0.1)
        tabs: list[str] = []
        async with asyncio.timeout(20):
            while tabs != ["tab 1", "tab 2"]:  # the first tab of the browser, and a new one
                async with attached(address) as browser:
                    await browser.new_tab()
                    tabs = list(browser.tabs)


async def test_a_tab_open_before_is_noted_until_it_is_reloaded(prod: Backend) -> None:
    async with launch.running_browser(launch.find_browser()) as address, attached(address) as there:
        page = await there.open(f"{prod.url}/fixed.html?user=before")
        async with attached(address) as browser:
            (note,) = (await browser.observation()).notes
            assert "was open before the check" in note and f"reload {prod.url}/fixed.html" in note
            await page.reload()
            async with asyncio.timeout(20):
                while (await browser.observation(final=False)).notes:
                    await asyncio.sleep(0.05)


def _main_results(report: BrowserReport) -> Any:
    found = {(f.rule, f.user, f.cause.id if f.cause else None) for f in report.findings}
    return report.verdict, found, openers(report, "driven")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_report_and_without_remains(prod: Backend, sent: signal.Signals) -> None:
    with tempfile.TemporaryDirectory() as home:
        command = [*COMMAND, "browser", f"{prod.url}/broken.html", "--for", "60s", "--format", "json"]
        before = prod.counters()["replaced"]
        process = subprocess.Popen(command, cwd=home, env=environment(Path(home)), stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while prod.counters()["replaced"] == before and time.monotonic() < deadline:
            time.sleep(0.05)
        browser = _chromium(process.pid)
        profile = _profile(browser)
        assert profile.is_dir()
        os.kill(process.pid, sent)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    result = json.loads(out)
    assert result["interrupted"] and result["connections"]
    assert not profile.exists() and not Path("/proc", str(browser)).exists()


def test_the_browser_dies_with_a_killed_run(prod: Backend) -> None:
    with tempfile.TemporaryDirectory() as home:
        before = prod.counters()["connects"]
        command = [*COMMAND, "browser", f"{prod.url}/fixed.html", "--for", "60s"]
        process = subprocess.Popen(command, cwd=home, env=environment(Path(home)))
        deadline = time.monotonic() + 30
        while prod.counters()["connects"] == before and time.monotonic() < deadline:
            time.sleep(0.05)
        browser = _chromium(process.pid)
        profile = _profile(browser)
        process.kill()
        process.wait()
        while Path("/proc", str(browser)).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert browser and not Path("/proc", str(browser)).exists()
    shutil.rmtree(profile, ignore_errors=True)


async def test_a_killed_browser_is_inconclusive(prod: Backend) -> None:
    before = prod.counters()["connects"]

    async def kill() -> None:
        while (await asyncio.to_thread(prod.counters))["connects"] == before:
            await asyncio.sleep(0.05)
        os.kill(_chromium(os.getpid()), signal.SIGKILL)

    killing = asyncio.create_task(kill())
    report = (await watched(f"{prod.url}/fixed.html", seconds=30)).report
    await killing
    assert report.verdict is Verdict.INCONCLUSIVE and "the browser ended before" in report.reason


def _profile(browser: int) -> Path:
    """Return the profile folder of a browser process."""
    command_line = Path("/proc", str(browser), "cmdline").read_text()
    return Path(command_line.partition("--user-data-dir=")[2].partition("\0")[0])


def _chromium(parent: int) -> int:
    """Return the id of the browser process that `parent` started, 0 if there is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command_line = Path(stat.parent, "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "--remote-debugging-port" in command_line:
            return int(stat.parent.name)
    return 0


def test_a_connection_that_the_server_never_accepted_is_named() -> None:
    assert pending_reason([("http://h/feed", 0.4)]).startswith(
        "a connection was still being opened when the check ended"
    )
    assert pending_reason([("http://h/a", 1.0), ("http://h/b", 2.0)]).startswith("2 connections were still")
    reason = pending_reason([("http://h/a", 1.0), ("http://h/b", 9.2)])
    assert "not accepted the connection to http://h/b after 9 s, and 1 more" in reason
