"""From the configuration to a run: every setting reaches what it is for, and what contradicts itself is refused."""

from pathlib import Path
from typing import Any

import pytest

from wscheck.config.loading import load_config
from wscheck.config.settings import NEXT_PUBLIC_VARIABLE
from wscheck.model.errors import UsageError
from wscheck.model.findings import Severity
from wscheck.model.secrets import Secret
from wscheck.run.browser.run import BrowserPlan, plan_browser_run
from wscheck.run.verify.plan import plan_verify_run
from wscheck.run.verify.run import VerifyRun
from wscheck.run.verify.targets import EmbeddedServers, RemoteServer
from wscheck.scenarios import SCENARIOS

URL = {"target.url": "http://127.0.0.1:9"}


def planned(flags: dict[str, Any], *chosen: str, tmp_path: Path) -> VerifyRun:
    return plan_verify_run(load_config(flags, directory=tmp_path, environ={}), chosen)


def test_without_a_url_the_embedded_backend_is_checked_with_every_scenario(tmp_path: Path) -> None:
    run = planned({}, tmp_path=tmp_path)
    assert isinstance(run.servers, EmbeddedServers)
    assert run.scenarios == list(SCENARIOS)


@pytest.mark.parametrize("variable", ["WSCHECK_URL", NEXT_PUBLIC_VARIABLE])
def test_an_empty_address_is_no_wish_for_the_embedded_backend(tmp_path: Path, variable: str) -> None:
    with pytest.raises(UsageError, match=f"{variable} \\(empty\\): the URL of the server is empty"):
        plan_verify_run(load_config({}, directory=tmp_path, environ={variable: ""}), ())
    named = plan_verify_run(load_config(URL, directory=tmp_path, environ={variable: ""}), ())
    assert isinstance(named.servers, RemoteServer)


def test_chosen_scenarios_are_run_in_the_order_of_the_registry(tmp_path: Path) -> None:
    assert planned({}, "zombie", "event-handling", "zombie", tmp_path=tmp_path).scenarios == [
        "event-handling",
        "zombie",
    ]


def test_every_setting_reaches_what_it_is_for(tmp_path: Path) -> None:
    flags = URL | {
        "target.namespace": "/chat",
        "target.path": "/ws",
        "target.transports": "websocket",
        "target.timeout": "7s",
        "target.insecure": True,
        "identity.user_id": "A",
        "identity.second_user_id": "B",
        "identity.token": "t-a",
        "identity.second_token": "t-b",
        "identity.user_in": "query.u",
        "identity.token_in": "cookie.t",
        "verify.client": "per-component",
        "verify.reconnect_on_kick": "300ms",
        "verify.window": "3s",
        "verify.fail_on": "note",
        "verify.strict": True,
        "actions.trigger": "go",
        "actions.disconnect": "stop",
        "rules.grace": "1s",
        "rules.max_attempts": "9/4s",
    }
    run = planned(flags, tmp_path=tmp_path)
    assert isinstance(run.servers, RemoteServer)
    settings = run.servers._settings
    target = settings.target
    assert (target.url, target.namespace, target.path, target.transports) == (
        URL["target.url"],
        "/chat",
        "/ws",
        ("websocket",),
    )
    assert (target.timeout_s, target.insecure, target.user_in, target.token_in) == (7.0, True, "query.u", "cookie.t")
    assert (settings.user.user, settings.user.token) == ("A", Secret("t-a"))
    assert settings.second_user is not None
    assert (settings.second_user.user, settings.second_user.token) == ("B", Secret("t-b"))
    assert (settings.client, settings.reconnect_delay_s, settings.window_s, settings.grace_s) == (
        "per-component",
        0.3,
        3.0,
        1.0,
    )
    assert (settings.trigger_event, settings.disconnect_event) == ("go", "stop")
    assert (run.bar.fail_on, run.bar.strict) == (Severity.NOTE, True)
    assert (run.options.grace_s, run.options.max_attempts, run.options.attempts_window_s) == (1.0, 9, 4.0)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"verify.server_log": ["server.log"]}, "`verify.server_log` was given without a URL"),
        (URL | {"identity.second_token": "t"}, "a second token but no second user"),
        (URL | {"identity.second_user_id": "user_123"}, "`identity.second_user_id` is the first user"),
        ({"verify.reconnect_on_kick": "300ms"}, "`verify.reconnect_on_kick` was given for the unified client"),
        (
            {"target.url": "http://host/admin/", "target.protocol": "socket.io"},
            "`target.url`: the address of the server has a path, /admin",
        ),
        ({"target.protocol": "sse"}, "`target.protocol` was given without a URL"),
        ({"target.url": "localhost:3000"}, "'localhost:3000' is not a URL: write http://localhost:3000"),
        ({"target.url": "ftp://host"}, "write http://localhost:8000"),
        (
            {"identity.token": "t"},
            "`identity.token` was given without a URL: the embedded backend has tokens of its own",
        ),
        ({"target.timeout": "0s"}, "`target.timeout`: the time for a connection must be greater than 0"),
    ],
)
def test_what_contradicts_itself_is_refused(flags: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=problem):
        planned(flags, tmp_path=tmp_path)


PAGE = "http://127.0.0.1:9/"


def browser_plan(flags: dict[str, Any], tmp_path: Path, *urls: str, command: tuple[str, ...] = ()) -> BrowserPlan:
    return plan_browser_run(load_config(flags, directory=tmp_path, environ={}), urls, (), command)


def test_a_loop_follows_the_links_of_a_page(tmp_path: Path) -> None:
    plan = browser_plan({"browser.loop": "7", "browser.loop_links": "3"}, tmp_path, PAGE)
    assert (plan.loop, plan.loop_links) == (7, 3)
    assert browser_plan({}, tmp_path, PAGE).loop == 0
    with pytest.raises(UsageError, match="2 rounds tell no leak"):
        browser_plan({"browser.loop": "2"}, tmp_path, PAGE)


def test_a_loop_without_a_page_of_its_own_is_refused_as_a_flag_and_ignored_in_the_file(tmp_path: Path) -> None:
    for urls, command in (((), ()), ((PAGE,), ("npx", "playwright"))):
        with pytest.raises(UsageError, match=r"`browser.loop` follows the links of a page"):
            browser_plan({"browser.loop": "7"}, tmp_path, *urls, command=command)
    tmp_path.joinpath("wscheck.toml").write_text("[browser]\nloop = 7\n")
    assert browser_plan({}, tmp_path, PAGE, command=("npx", "playwright")).loop == 0
    assert browser_plan({}, tmp_path, PAGE).loop == 7
