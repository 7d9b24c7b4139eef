"""Configured steps in a real browser on real pages; a step that fails is named by its line."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import Ran, wscheck
from tests.frontend import built
from tests.needs import needs
from tests.node_backend import Backend, node_backend
from wscheck.config.browser_steps import BrowserStep
from wscheck.model.errors import CannotCheck
from wscheck.observe.browser import launched, run_steps

LOGIN = """<!doctype html><title>login</title><link rel="icon" href="data:,">
<input id="token"><button id="go">Log in</button><script>
const enter = token => { location.href = `fixed.html?user=user_1&token=${token}` };
document.querySelector("#go").onclick = () => enter(document.querySelector("#token").value);
if (localStorage.getItem("token") && document.cookie.includes("beta=on")) enter(localStorage.getItem("token"));
</script>"""


ENDLESS = """<!doctype html><title>endless</title><link rel="icon" href="data:,">
<script>document.write(`<img src="${location.search.slice(1)}">`)</script>"""


INPUTS = """<!doctype html><title>inputs</title><link rel="icon" href="data:,">
<select id="country"><option value="de">Germany</option><option value="fr">France</option></select>
<input type="file" id="photo" hidden><p id="menu">menu</p><input id="search">
<p id="far" style="margin-top: 5000px">far</p>
<script>const seen = [], on = (id, type, value) =>
  document.querySelector(id).addEventListener(type, event => seen.push(value(event)));
on("#country", "change", event => event.target.value);
on("#photo", "change", event => event.target.files[0].name);
on("#menu", "mouseenter", () => "menu");
on("#search", "keydown", event => (event.ctrlKey ? "Control+" : "") + event.key);
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Serve the built pages and a login page."""
    needs("chromium")
    folder, dist = tmp_path_factory.mktemp("site"), built("prod")
    for name in ("fixed.html", "fixed.js", "fixed.js.map", "broken.html", "broken.js", "broken.js.map"):
        shutil.copy(dist / name, folder / name)
    folder.joinpath("login.html").write_text(LOGIN)
    folder.joinpath("endless.html").write_text(ENDLESS)
    folder.joinpath("inputs.html").write_text(INPUTS)
    with node_backend("--static", str(folder)) as backend:
        yield backend


def run_with_steps(directory: Path, url: str, steps: str, *options: str, token: str = "") -> Ran:
    """Run `wscheck browser` with these steps; `token` is the variable BOT_TOKEN."""
    directory.joinpath("wscheck.toml").write_text(f"[browser]\nfor = '300ms'\n{steps}")
    return wscheck("browser", url, "--format", "json", *options, cwd=directory, BOT_TOKEN=token)


def test_every_kind_of_step_runs_in_order(site: Backend, tmp_path: Path) -> None:
    steps = """
[[browser.step]]
fill = "#token"
with_env = "BOT_TOKEN"
[[browser.step]]
click = "#go"
[[browser.step]]
wait_for_connection = true
[[browser.step]]
click = "#trigger"
[[browser.step]]
wait_for_event = "whatsapp_connection_event"
[[browser.step]]
wait_for = "#qr:not(:empty)"
[[browser.step]]
tab = "fixed.html?user=user_2&token=token-of-user_2"
[[browser.step]]
wait_for = "[data-connected=true]"
[[browser.step]]
tab = 1
[[browser.step]]
reload = true
[[browser.step]]
wait_for = "[data-connected=true]"
[[browser.step]]
goto = "login.html"
[[browser.step]]
back = true
[[browser.step]]
wait = "50ms"
[[browser.step]]
wait_for = "[data-connected=true]"
"""
    ran = run_with_steps(tmp_path, f"{site.url}/login.html", steps, token="token-of-user_1")
    assert ran.code == 0, ran.said
    result = json.loads(ran.out)
    assert [each["user"] for each in result["connections"]] == ["user_1", "user_2", "user_1", "user_1"]
    assert [each["page"] for each in result["connections"]] == ["tab 1", "tab 2", "tab 1", "tab 1"]
    assert [each["closed_at"] is None for each in result["connections"]] == [False, True, False, True]
    assert result["events"]["whatsapp_connection_event"]["received"] >= 1
    assert {page["url"].rpartition("/")[2].partition("?")[0] for page in result["pages"]} == {"fixed.html"}
    assert "token-of-user" not in ran.said


def test_a_storage_state_logs_the_page_in(site: Backend, tmp_path: Path) -> None:
    domain = site.url.removeprefix("http://").partition(":")[0]
    cookie = {"name": "beta", "value": "on", "domain": domain, "path": "/", "expires": -1, "httpOnly": False}
    cookie |= {"secure": False, "sameSite": "Lax"}
    stored = {"origin": site.url, "localStorage": [{"name": "token", "value": "token-of-user_1"}]}
    tmp_path.joinpath("auth.json").write_text(json.dumps({"cookies": [cookie], "origins": [stored]}))
    ran = run_with_steps(tmp_path, f"{site.url}/login.html", "", "--storage-state", "auth.json", "--for", "1s")
    assert ran.code == 0, ran.said
    assert [each["user"] for each in json.loads(ran.out)["connections"]] == ["user_1"]
    assert "token-of-user_1" not in ran.said


def test_a_failed_step_ends_the_run_with_its_line(site: Backend, tmp_path: Path) -> None:
    ran = run_with_steps(tmp_path, f"{site.url}/login.html", "[[browser.step]]\nclick = '#nowhere'\nwithin = '300ms'\n")
    assert ran.code == 3, ran.said
    assert 'wscheck.toml:3: click = "#nowhere": tab 1: nothing matches `#nowhere` within 0.3 s.' in ran.err


async def test_every_kind_of_failed_step_has_a_message(site: Backend) -> None:
    messages: dict[tuple[str, str | float], str] = {
        ("wait_for", "#go["): 'toml:1: wait_for = "#go[": That is not a CSS selector.',
        ("select", "#go"): 'toml:1: select = "#go": tab 1: `#go` has no such option.',
        ("goto", "http://127.0.0.1:9/"): 'toml:1: goto = "http://127.0.0.1:9/": tab 1: the page did not load: net::',
        ("tab", 7): "toml:1: tab = 7: There is no tab 7.",
        ("fill", "#nowhere"): 'toml:1: fill = "#nowhere": tab 1: nothing matches',
        ("upload", "#nowhere"): 'toml:1: upload = "#nowhere": tab 1: nothing matches',
        ("wait_for_connection", 1): "toml:1: wait_for_connection = 1: no connection was open within 0.2 s.",
    }
    async with launched() as browser:
        page = await browser.open(f"{site.url}/login.html")
        for (action, value), message in messages.items():
            with pytest.raises(CannotCheck) as raised:
                await run_steps(
                    browser, page, [BrowserStep(action=action, argument=value, location="toml:1", timeout_s=0.2)]
                )
            assert raised.value.problem.startswith(message)
            assert raised.value.next_step


async def test_inputs_reach_the_page_as_a_user_makes_them(site: Backend) -> None:
    inputs = [("select", "#country", "France"), ("select", "#country", "de"), ("upload", "#photo", __file__)]
    inputs += [("hover", "#menu", ""), ("click", "#search", ""), ("press", "a", ""), ("press", "Enter", "")]
    inputs += [("press", "Control+K", ""), ("scroll", "#far", "")]
    async with launched() as browser:
        page = await browser.open(f"{site.url}/inputs.html")
        steps = [
            BrowserStep(action=action, argument=value, typed=typed, location="") for action, value, typed in inputs
        ]
        await run_steps(browser, page, steps)
        assert await page.evaluate("seen") == ["fr", "de", Path(__file__).name, "menu", "a", "Enter", "Control+K"]
        assert await page.evaluate("document.querySelector('#search').value") == "a"
        assert await page.evaluate("scrollY") > 4000
        with pytest.raises(CannotCheck, match=r"no event `order` arrived within 0\.1 s"):
            waiting = BrowserStep(action="wait_for_event", argument="order", location="", timeout_s=0.1)
            await run_steps(browser, page, [waiting])


async def test_a_new_tab_loads_within_the_timeout_of_its_step(site: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and never answers
        host, port = silent.getsockname()
        endless = f"/endless.html?http://{host}:{port}/"
        async with launched() as browser:
            page = await browser.open(f"{site.url}/login.html")
            await run_steps(
                browser, page, [BrowserStep(action="tab", argument=endless, location="toml:1", timeout_s=0.3)]
            )
            (reason,) = browser.unobserved
    assert reason.startswith("tab 2 did not finish loading within 0.3 s")


def test_an_unknown_step_is_refused_before_the_browser_starts(tmp_path: Path) -> None:
    ran = run_with_steps(tmp_path, "http://127.0.0.1:9/", "[[browser.step]]\nclik = '#go'\n", "--browser", "/bin/false")
    assert ran.code == 2
    assert "wscheck.toml:3: there is no step `clik`" in ran.err and "Did you mean `click`" in ran.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("[]", "is not a storage state"),
        ('{"cookies": [', "is not a storage state"),
    ],
)
def test_an_invalid_storage_state_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        tmp_path.joinpath("auth.json").write_text(content)
    ran = wscheck("browser", "http://127.0.0.1:9/", "--storage-state", "auth.json", cwd=tmp_path)
    assert ran.code == 2 and message in ran.err, ran.said
