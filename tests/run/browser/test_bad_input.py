"""Pages and browsers that fail: each failure is reported with a next step, passes nothing and leaks no secret."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import wscheck
from tests.frontend import built
from tests.needs import needs
from tests.node_backend import Backend, node_backend
from wscheck.model.events import Connected
from wscheck.model.findings import Verdict
from wscheck.observe.browser import Browser, launched
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.traffic.inconclusive import NOTHING_SEEN
from wscheck.run.browser.run import BrowserPlan, run_browser

FORMATS = ("terminal", "json", "ndjson", "junit", "github", "sarif", "html")
SECRETS = ("token-of-", "cookie-secret-abcdef", "in-the-query-4711", "jwt-part")
ICON = '<!doctype html><link rel="icon" href="data:,">'
IMAGE = "<img><script>document.images[0].src = new URLSearchParams(location.search).get('image')</script>"
CLIENT = ICON + '<script src="/socket.io/socket.io.js"></script><script>%s</script>'
HUNDRED = CLIENT % (
    "let there = 0; const one = () => { if (++there == 100) document.body.innerHTML = '<p id=all>all</p>' };"
    'for (let n = 0; n < 100; n++) io({ forceNew: true, transports: ["websocket"],'
    ' auth: { userId: "hundred", token: "token-of-hundred" } }).on("connect", one)'
)
SECRETIVE = CLIENT % (
    'document.cookie = "session=cookie-secret-abcdef";'
    ' const socket = io({ query: { token: "in-the-query-4711", access: "eyJhbGciOi.eyJzdWIiOi.jwt-part" },'
    ' auth: { userId: "secretive", token: "token-of-secretive" } });'
    ' socket.on("connect", () => socket.emit("login", { password: "token-of-nobody" }))'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Serve defective pages with a backend that keeps every connection."""
    needs("chromium")
    folder, dist = tmp_path_factory.mktemp("site"), built("prod")
    bundle = (dist / "broken.js").read_text().rpartition("//# sourceMappingURL")[0]
    page = (dist / "broken.html").read_text()
    for name, end in (("unmapped", ""), ("mismapped", "//# sourceMappingURL=mismapped.js.map\n")):
        folder.joinpath(f"{name}.js").write_text(bundle + end)
        folder.joinpath(f"{name}.html").write_text(page.replace("broken.js", f"{name}.js"))
    folder.joinpath("mismapped.js.map").write_text('{"version": 3, "sources": ["a.ts"], "mappings": "!!!!"}')
    for name in ("fixed.html", "fixed.js", "fixed.js.map"):
        shutil.copy(dist / name, folder / name)
    for name in ("unmapped", "fixed"):
        folder.joinpath(f"endless-{name}.html").write_text(folder.joinpath(f"{name}.html").read_text() + IMAGE)
    folder.joinpath("quiet.html").write_text(f"{ICON}<script>alert(1); document.title = confirm(2)</script>")
    folder.joinpath("leaving.html").write_text(f"{ICON}<script>location.replace('quiet.html')</script>")
    folder.joinpath("hundred.html").write_text(HUNDRED)
    folder.joinpath("secretive.html").write_text(SECRETIVE)
    with node_backend("--static", str(folder), "--policy", "allow") as backend:
        frame = f"{backend.url.replace('127.0.0.1', 'localhost')}/fixed.html?user=framed&token=token-of-framed"
        folder.joinpath("framing.html").write_text(f'<!doctype html><iframe src="{frame}"></iframe>')
        yield backend


class DefectivePagesRun:
    """One run over many pages, because each browser takes seconds to start: its report and all output."""

    def __init__(self, site: Backend, folder: Path) -> None:
        pages = [f"{site.url}/{name}.html?token=token-of-nobody" for name in ("hundred", "framing", "secretive")]
        pages += [f"{site.url}/{name}.html?user={name}&token=token-of-{name}" for name in ("unmapped", "mismapped")]
        options = [part for name in FORMATS for part in ("--format", f"{name}={folder}/{name}")]
        folder.joinpath("wscheck.toml").write_text("[[browser.step]]\nwait_for = '#all'\nwithin = '30s'\n")
        self.ran = wscheck("browser", *pages, "--for", "1s", *options, cwd=folder)
        self.outputs = [self.ran.said, *((folder / name).read_text() for name in FORMATS)]
        self.report: dict[str, Any] = json.loads((folder / "json").read_text())

    def connections(self, user: str) -> list[dict[str, Any]]:
        return [each for each in self.report["connections"] if each["user"] == user]

    def findings(self, user: str) -> list[dict[str, Any]]:
        return [each for each in self.report["findings"] if each["user"] == user]


def test_defective_pages_are_reported(site: Backend, tmp_path: Path) -> None:
    watched = DefectivePagesRun(site, tmp_path)
    assert watched.ran.code == 1, watched.ran.said
    for name, reason in (("unmapped", "it has no source map"), ("mismapped", "its source map cannot be read")):
        check_positions_in_bundle_without_source_map(watched, f"{site.url}/{name}.js", name, reason)
    check_cross_origin_frame(watched)
    check_hundred_sockets_are_one_finding(watched, site.url)
    check_outputs_contain_no_secret(watched)


def check_positions_in_bundle_without_source_map(watched: DefectivePagesRun, url: str, name: str, reason: str) -> None:
    openers = [each["opener"] for each in watched.connections(name)]
    assert {opener["file"] for opener in openers} == {url}
    assert len({opener["column"] for opener in openers}) == 2
    assert {each["cause"]["id"] for each in watched.findings(name)} == {"two-openers"}
    assert any(f"{url} are those of the bundle: {reason}" in note for note in watched.report["notes"])


def check_cross_origin_frame(watched: DefectivePagesRun) -> None:
    (connection,) = watched.connections("framed")
    assert connection["target"]["type"] == "iframe"
    assert connection["target"]["url"].startswith("http://localhost:")
    assert connection["opener"]["file"] == "src/services/unifiedConnection.ts"


def check_hundred_sockets_are_one_finding(watched: DefectivePagesRun, url: str) -> None:
    assert len(watched.connections("hundred")) == 100
    (finding,) = [each for each in watched.findings("hundred") if each["rule"] == "multiple-connections"]
    at_once = re.search(r"holds (\d+) connections at once", finding["message"])
    assert at_once and int(at_once[1]) > 80  # the last ones are within the grace period
    assert {each["opener"]["file"] for each in watched.connections("hundred")} == {f"{url}/hundred.html"}


def check_outputs_contain_no_secret(watched: DefectivePagesRun) -> None:
    assert watched.connections("secretive"), "the page with secrets was not observed"
    for text in watched.outputs:
        assert not [secret for secret in SECRETS if secret in text]


def test_a_page_without_socket_io_is_inconclusive_and_noted(site: Backend) -> None:
    pages = [f"{site.url}/{name}.html" for name in ("quiet", "nowhere", "leaving")]
    ran = wscheck("browser", *pages, "--for", "500ms", "--format", "json")
    assert ran.code == 3, ran.said
    result = json.loads(ran.out)
    assert result["reason"] == f"{NOTHING_SEEN}: tab 2 got HTTP 404 for {pages[1]}"
    missing, redirected = result["notes"]
    assert missing == f"tab 2 got HTTP 404 for {pages[1]}."
    assert redirected.startswith(f"tab 3 was sent to {pages[2]} and shows {pages[0]}: is a login missing")


def test_a_page_that_does_not_load_exits_3(site: Backend) -> None:
    ran = wscheck("browser", "http://127.0.0.1:9/", "--for", "1s")
    assert ran.code == 3 and ran.out == "", ran.said
    assert "tab 1: the page did not load: net::ERR" in ran.err and "next:" in ran.err


@pytest.mark.parametrize(
    ("page", "verdict", "reason"),
    [
        ("unmapped", Verdict.FAILED, "holds 2 connections"),
        ("fixed", Verdict.INCONCLUSIVE, "tab 1 did not finish loading"),
    ],
)
async def test_a_page_that_never_finishes_loading_is_evaluated(
    site: Backend, page: str, verdict: Verdict, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wscheck.observe.browser.page.LOAD_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and never answers
        host, port = silent.getsockname()
        url = f"{site.url}/endless-{page}.html?user=patient&token=token-of-patient&image=http://{host}:{port}/"
        report = (await run_browser(BrowserPlan(urls=(url,), for_s=1.0))).report
    assert report.verdict is verdict and reason in report.reason
    assert {one.user for one in report.connections} == {"patient"}


DRIVE = """
import asyncio, itertools, os, signal, sys, aiohttp

async def main(what, url, cdp):
    async with aiohttp.ClientSession() as http, http.ws_connect(cdp) as socket:
        numbers = itertools.count(1)

        async def call(method, session=None, **params):
            number = next(numbers)
            whose = {"sessionId": session} if session else {}
            await socket.send_json({"id": number, "method": method, "params": params, **whose})
            while what != method and (answer := await socket.receive_json()).get("id") != number:
                pass
            return {} if what == method else answer["result"]

        target = (await call("Target.createTarget", url=url))["targetId"]
        session = (await call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        connected = "document.querySelectorAll('[data-connected=true]').length > 0"
        while not (await call("Runtime.evaluate", session, expression=connected))["result"].get("value"):
            await asyncio.sleep(0.05)
        processes = (await call("SystemInfo.getProcessInfo"))["processInfo"]
        if what == "Page.crash":
            await call("Page.crash", session)
            await asyncio.sleep(0.5)
        else:
            os.kill(next(each["id"] for each in processes if each["type"] == "browser"), signal.SIGKILL)
            await asyncio.sleep(30)

asyncio.run(main(*sys.argv[1:], os.environ["WSCHECK_CDP_URL"]))
"""


@pytest.mark.parametrize(
    ("what", "reason"),
    [("Page.crash", "crashed during the check"), ("kill", "the browser ended before the end of the check")],
)
def test_a_crash_or_an_early_end_is_inconclusive(site: Backend, tmp_path: Path, what: str, reason: str) -> None:
    script = tmp_path / "drive.py"
    script.write_text(DRIVE)
    url = f"{site.url}/fixed.html?user=user_1&token=token-of-user_1"
    ran = wscheck("browser", "--format", "json", "--", sys.executable, script, what, url)
    assert ran.code == 3, ran.said
    report = json.loads(ran.out)
    assert report["verdict"] == "inconclusive" and reason in report["reason"]


async def open_connected(browser: Browser, url: str) -> BrowserTab:
    """Open `url`, and wait until its connection is acknowledged."""
    page = await browser.open(url)
    async with asyncio.timeout(30):
        while not any(session.sids for session in browser.traffic.sessions):
            await asyncio.sleep(0.02)
    return page


async def test_events_before_the_browser_was_killed_are_reported(site: Backend) -> None:
    async with launched() as browser:
        await open_connected(browser, f"{site.url}/fixed.html?user=user_1&token=token-of-user_1")
        processes = (await browser._devtools.call("SystemInfo.getProcessInfo"))["processInfo"]
        os.kill(next(each["id"] for each in processes if each["type"] == "browser"), signal.SIGKILL)
        await browser.wait_until_ended()
        observation = await browser.observation()
    assert [event.user for event in observation.events if isinstance(event, Connected)] == ["user_1"]


async def test_an_endless_script_does_not_block_the_report(site: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wscheck.observe.browser.handlers.BUSY_TIMEOUT_S", 0.5)
    async with launched() as browser:
        page = await open_connected(browser, f"{site.url}/fixed.html?user=user_1&token=token-of-user_1")
        browser._devtools.send("Runtime.evaluate", {"expression": "for (;;);"}, page.session)
        async with asyncio.timeout(10):
            observation = await browser.observation()
    assert [event.user for event in observation.events if isinstance(event, Connected)] == ["user_1"]
    assert observation.notes == ["tab 1 did not answer for 0.5 s: its script is busy or never ends."]


FLOOD = """globalThis.turns = 0; (function flood() {
  for (let n = 0; n < 100; n++) console.log(new Error(n));
  turns++; setTimeout(flood);
})()"""


async def test_a_flooded_console_does_not_delay_the_report(site: Backend) -> None:
    async with launched() as browser:
        page = await open_connected(browser, f"{site.url}/fixed.html?user=user_1&token=token-of-user_1")
        await page.evaluate(FLOOD)
        observation = await browser.observation()
        turns = {await page.evaluate("turns") for _ in range(20)}
    assert len(turns) == 1, "scripts of the page ran between the last commands"
    assert [event.user for event in observation.events if isinstance(event, Connected)] == ["user_1"]


def test_a_browser_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    ran = wscheck("browser", "http://127.0.0.1:9/", "--browser", tmp_path / "none")
    assert ran.code == 2 and "is not a program" in ran.err, ran.said


def test_a_program_that_is_not_a_browser_is_reported(tmp_path: Path) -> None:
    ran = wscheck("browser", "http://127.0.0.1:9/", "--browser", "/bin/false")
    assert ran.code == 3 and "/bin/false did not start" in ran.err, ran.said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "There is nothing to watch"),
        (("localhost:3000",), 2, "is not the address of a page"),
        (("http://127.0.0.1:9/", "--cdp", "http://127.0.0.1:9"), 3, "No browser answers at http://127.0.0.1:9"),
        (("http://127.0.0.1:9/", "--cdp", "http://127.0.0.1:9", "--browser", "/bin/true"), 2, "Give one of the two"),
        (("http://127.0.0.1:9/", "--identity", "user"), 2, "is not an identity rule"),
        (("http://127.0.0.1:9/", "--for", "soon"), 2, "is not a duration"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple[str, ...], code: int, message: str) -> None:
    ran = wscheck("browser", *arguments)
    assert (ran.code, message in ran.err) == (code, True), ran.said


@pytest.mark.parametrize("address", ["http://me:hush-hush@127.0.0.1:9", "ws://127.0.0.1:9?token=hush-hush"])
def test_credentials_in_the_cdp_url_are_redacted(address: str) -> None:
    ran = wscheck("browser", "--cdp", address)
    assert ran.code == 3 and "answer" in ran.err and "127.0.0.1:9" in ran.err, ran.said
    assert "hush-hush" not in ran.said
