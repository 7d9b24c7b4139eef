"""Tests of `wscheck verify URL --page PAGE`: the documented scenarios on a page in a browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Ran, wscheck
from tests.frontend import built
from tests.needs import needs
from tests.node_backend import Backend, node_backend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.events import Connected, Delivered, Event, Expected, NotEvaluated
from wscheck.scenarios.context import ScenarioContext, ScenarioSettings
from wscheck.scenarios.event_handling import EventHandling
from wscheck.scenarios.real_page import record_page_expectations
from wscheck.scenarios.single_connection import SingleConnection

STEPS = """
[verify]
window = "400ms"
[[browser.step]]
wait_for = "[data-connected=true]"
[[browser.step]]
click = "#trigger"
[[browser.step]]
wait_for = "#qr:not(:empty)"
"""


WAITING = """
[verify]
window = "300ms"
[browser]
identity = "query.nobody"
[[browser.step]]
wait_for = "[data-connected=true]"
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Backend]:
    needs("chromium")
    with node_backend("--static", str(built("prod"))) as backend:
        yield backend


def verified(
    site: Backend, directory: Path, page: str, *options: str, steps: str = STEPS
) -> tuple[Ran, dict[str, Any]]:
    directory.joinpath("wscheck.toml").write_text(steps)
    address = f"{site.url}/{page}.html?user=page_user&token=token-of-page_user"
    log = ("--server-log", str(site.log), "--format", "json", "--format", f"ndjson={directory}/run.ndjson")
    ran = wscheck(
        "verify", site.url, "--page", address, *log, *options, cwd=directory, WSCHECK_TOKEN="token-of-user_123"
    )
    assert "token-of-page_user" not in ran.said + directory.joinpath("run.ndjson").read_text()
    return ran, json.loads(ran.out)


def test_the_fixed_page_passes_the_documented_scenarios(site: Backend, tmp_path: Path) -> None:
    names = ("single-connection", "event-handling", "component-sharing")
    by_token = STEPS.replace("[[browser", '[browser]\nidentity = "auth.token"\n[[browser', 1)
    options = [part for name in names for part in ("--scenario", name)]
    ran, told = verified(site, tmp_path, "fixed", *options, steps=by_token)
    assert ran.code == 0, ran.said
    recorded = [json.loads(line) for line in tmp_path.joinpath("run.ndjson").read_text().splitlines()]
    called = {each["user"] for each in recorded if each.get("source") == "browser" and each["type"] == "connected"}
    assert len(called) == 1 and called.pop().startswith("(token "), "one user, whichever scenario watched them"
    results = {each["id"]: each for each in told["scenarios"]}
    assert {name: each["verdict"] for name, each in results.items()} == dict.fromkeys(names, "passed")
    assert [each["connections_opened"] for each in results.values()] == [1, 1, 1]
    assert results["event-handling"]["events_received"]["whatsapp_connection_event"] >= 1
    assert all(each["control"]["verdict"] == "failed" for each in results.values())
    assert told["options"]["page"].startswith(f"{site.url}/fixed.html")


def test_the_broken_page_fails_with_both_openers_and_the_servers_log(site: Backend, tmp_path: Path) -> None:
    ran, told = verified(site, tmp_path, "broken", "--scenario", "single-connection", steps="")
    assert ran.code == 1, ran.said
    findings = {each["rule"]: each for each in told["findings"]}
    assert {"multiple-connections", "connection-replaced"} <= findings.keys()
    assert findings["connection-replaced"]["user"] == "page_user"
    assert findings["connection-replaced"]["cause"]["id"] == "two-openers"
    evidence = json.dumps(findings["connection-replaced"]["evidence"])
    assert "src/hooks/useBotWebSocket.ts" in evidence and "src/hooks/useWhatsAppConnection.ts" in evidence
    recorded = [json.loads(line) for line in tmp_path.joinpath("run.ndjson").read_text().splitlines()]
    assert "replaced" in {each.get("type") for each in recorded if each.get("source") == "server-log"}
    again = wscheck(
        "verify", "--from", tmp_path / "run.ndjson", "--format", "json", "--format", f"terminal={tmp_path}/told"
    )
    assert again.code == 1
    assert f"unified client and the page {site.url}/broken.html" in " ".join(
        tmp_path.joinpath("told").read_text().split()
    )
    assert {each["rule"] for each in json.loads(again.out)["findings"]} == findings.keys()


def test_event_handling_is_inconclusive_on_a_page_that_requests_no_event(site: Backend, tmp_path: Path) -> None:
    """The page does not name its user. The log does, and still belongs to the page's connection."""
    ran, told = verified(site, tmp_path, "fixed", "--scenario", "event-handling", steps=WAITING)
    assert ran.code == 3, ran.said
    assert "add a [[browser.step]] that clicks what requests one" in told["reason"]
    assert told["findings"] == []


TABS = """
[verify]
window = "300ms"
[browser]
identity = "query.nobody"
[[browser.step]]
tab = "/fixed.html?user=another"
"""


def test_two_tabs_with_unknown_users_are_inconclusive_without_a_log(site: Backend, tmp_path: Path) -> None:
    """The server's log shows that they belong to different users."""
    address = f"{site.url}/fixed.html?user=page_user"
    page = (site.url, "--page", address, "--scenario", "single-connection", "--format", "json")
    tmp_path.joinpath("wscheck.toml").write_text(TABS)
    for log, code in ((), 3), (("--server-log", str(site.log)), 0):
        ran = wscheck("verify", *page, *log, cwd=tmp_path, WSCHECK_TOKEN="token-of-user_123")
        assert ran.code == code, ran.said
        assert ("tab 1 and tab 2 may belong to one user" in json.loads(ran.out)["reason"]) == (not log)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--page", "http://127.0.0.1:9/"), "--page was given without the server's URL"),
        (("http://127.0.0.1:9", "--page", "file"), "--page: this is not an http or https URL"),
        (("http://127.0.0.1:9", "--page", "http://127.0.0.1:9/", "--scenario", "zombie"), "none of them was chosen"),
    ],
)
def test_contradictory_options_are_refused(options: tuple[str, ...], said: str) -> None:
    ran = wscheck("verify", *options)
    assert ran.code == 2 and said in ran.err, ran.said


OBSERVED_UNTIL = 1_795_000_000.0


def recorded_expectations(scenario: str, connected_at: float, *received: str) -> list[Event]:
    """Return what is recorded for a page that connected at `connected_at` and received these events."""
    settings = ScenarioSettings(
        target=ServerTarget(url="http://h"), user=Credentials("ada"), second_user=None, contract=DOCUMENTED_CONTRACT
    )
    context = ScenarioContext(settings)
    opened = Connected(at=connected_at, source="browser", user="ada", sid="s", page="tab 1")
    deliveries = (
        Delivered(at=OBSERVED_UNTIL, source="browser", user="ada", sid="s", page="tab 1", name=name)
        for name in received
    )
    record_page_expectations([opened, *deliveries], scenario, context, OBSERVED_UNTIL)
    return context.events


@pytest.mark.parametrize(("after", "kind"), [(-0.1, Expected), (0.1, NotEvaluated)])
def test_a_page_that_connected_too_late_is_not_evaluated(after: float, kind: type[Event]) -> None:
    assert [type(event) for event in recorded_expectations(SingleConnection.id, OBSERVED_UNTIL + after)] == [kind]


@pytest.mark.parametrize("seconds", [0.3, 5.1])
def test_events_are_expected_only_if_the_page_was_connected_long_enough(seconds: float) -> None:
    """The time that the browser took before does not count."""
    first, *others = (event.name for event in DOCUMENTED_CONTRACT.events)
    told = recorded_expectations(EventHandling.id, OBSERVED_UNTIL - seconds, first)
    missed = {event.name for event in told if isinstance(event, Expected) and event.what == "delivered"}
    assert missed == (set(others) if seconds > 5.0 else set())


def test_no_single_event_is_expected_if_the_page_received_none() -> None:
    told = recorded_expectations(EventHandling.id, OBSERVED_UNTIL - 60)
    assert not [event for event in told if isinstance(event, Expected) and event.what == "delivered"]
    assert any(isinstance(event, NotEvaluated) for event in told)
