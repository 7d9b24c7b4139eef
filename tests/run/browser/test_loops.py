"""`--loop` and `repeat` on a page with views of each kind: leaking, clean, and dangerous to visit."""

from collections.abc import Iterator

import pytest

from tests.needs import needs
from tests.node_backend import Backend, node_backend
from tests.pages import watched
from wscheck.config.browser_steps import BrowserStep
from wscheck.run.browser import loop

VIEWS = """<!doctype html><title>views</title><link rel="icon" href="data:,">
<script src="/socket.io/socket.io.js"></script>
<nav><a href="/leaks">leaks</a> <a href="/cleans">cleans</a> <a href="/handler">handler</a>
<a href="/account/deleteAll">erase</a> <a href="/a.html?x=1">Sign out</a></nav>
<button id="open">open</button><button id="close">close</button><p id="view"></p>
<script>
const options = {auth: {userId: "ann", token: "token-of-ann"}, transports: ["websocket"], forceNew: true};
const shared = io(options);
const openLeak = () => io(options);
const openClean = () => io(options);
const views = {
  "/leaks": () => { openLeak(); },
  "/cleans": () => { const socket = openClean(); return () => socket.disconnect(); },
  "/handler": () => { shared.on("order", () => {}); },
};
let leave = null;
const show = () => {
  if (leave) leave();
  leave = (views[location.pathname] || (() => null))() || null;
  document.querySelector("#view").textContent = location.pathname;
};
document.querySelector("nav").onclick = event => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  show();
};
onpopstate = show;
let socket;
document.querySelector("#open").onclick = () => { socket = openClean(); };
document.querySelector("#close").onclick = () => { socket.disconnect(); };
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    needs("chromium")
    folder = tmp_path_factory.mktemp("site")
    folder.joinpath("views.html").write_text(VIEWS)
    with node_backend("--static", str(folder), "--policy", "allow") as backend:
        yield backend


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the times that are for pages with timers; this page acts at once."""
    monkeypatch.setattr(loop, "FIRST_QUIET_S", loop.QUIET_S)
    monkeypatch.setattr(loop, "DELAYED_CLOSE_S", 0.2)
    monkeypatch.setattr(loop, "ACTION_QUIET_S", 0.1)
    monkeypatch.setattr(loop, "RECONNECT_TIMEOUT_S", 2.0)


async def test_each_view_is_visited_repeatedly_and_only_the_leaks_are_found(site: Backend) -> None:
    report = (await watched(f"{site.url}/views.html", seconds=0.3, loop=3)).report
    counted = {(each.place, each.what, each.opener.function if each.opener else ""): each for each in report.rounds}
    leaked = {key: each.counts for key, each in counted.items() if each.growth == "constant"}
    assert leaked == {("/leaks", "connections", "openLeak"): [0, 1, 2, 3], ("/handler", "handlers", ""): [0, 1, 2, 3]}
    assert {each.growth for each in counted.values()} == {"constant", "none"}
    assert {place for place, _, _ in counted} == {"/leaks", "/cleans", "/handler"}, "it never signs out or deletes"
    found = {finding.rule: finding for finding in report.findings}
    assert {"connection-leaked", "handler-leaked"} < found.keys() and "excessive-attempts" not in found
    assert "opened by openLeak" in found["connection-leaked"].message
    assert (cause := found["connection-leaked"].cause) is not None and "without-" in cause.id, "not two openers"
    actions = {each.action: (each.before, each.after) for each in report.actions}
    assert actions["reload"] == (1, 1)
    before, after = actions["duplicate the tab"]
    assert after == before + 1 and report.connections[-1].page == "tab 1", "the policy decides about a second tab"


async def test_steps_are_repeated_and_measured(site: Backend) -> None:
    def step(action: str, argument: str | int, *steps: BrowserStep) -> BrowserStep:
        return BrowserStep(action=action, argument=argument, location="toml:1", steps=steps)

    healthy = (step("click", "#open"), step("wait_for_connection", 2), step("press", "Tab"), step("hover", "#close"))
    rounds = step("repeat", 3, *healthy, step("click", "#close"))
    measured = step("measure", "token refresh", step("click", "#open"))
    report = (await watched(f"{site.url}/views.html", seconds=0.3, steps=(rounds, measured))).report
    assert [(each.place, each.counts) for each in report.rounds if each.what == "connections"] == [
        ("the steps at toml:1", [1, 1, 1, 1])
    ]
    assert [(each.action, each.before, each.after) for each in report.actions] == [("token refresh", 1, 2)]
    assert {finding.rule for finding in report.findings} == {"multiple-connections"}
