"""Tests of `wscheck verify` with the embedded backend: it passes, and the documented fault fails."""

import json
from typing import Any

import aiohttp
import pytest

from tests.cli import Ran, wscheck
from tests.run.verify.runs import plan_run
from wscheck.scenarios import SCENARIOS

FAULT = ("--client", "per-component")
LOOP = (*FAULT, "--reconnect-on-kick", "300ms")


def report_of(*options: str) -> tuple[Ran, dict[str, Any]]:
    ran = wscheck("verify", "--format", "json", *options)
    return ran, json.loads(ran.out)


@pytest.fixture(scope="module")
def healthy() -> tuple[Ran, dict[str, Any]]:
    return report_of()


def test_every_scenario_passes_by_default(healthy: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = healthy
    assert ran.code == 0, ran.said
    assert [s["id"] for s in report["scenarios"]] == list(SCENARIOS)
    assert {s["id"]: s["verdict"] for s in report["scenarios"]} == dict.fromkeys(SCENARIOS, "passed")
    assert report["schema"] == "wscheck.verify/1" and report["verdict"] == "passed"


def test_every_control_shows_that_its_scenario_can_fail(healthy: tuple[Ran, dict[str, Any]]) -> None:
    for scenario in healthy[1]["scenarios"]:
        control, name = scenario["control"], scenario["id"]
        assert control["verdict"] == "failed" and control["findings"], name
        if name == "auth-refused":
            assert control["findings"] == ["excessive-attempts"] and "refused 8" in control["did"]
        else:
            assert control["connections_opened"] == 2, name
            assert {"multiple-connections", "connection-replaced"} & set(control["findings"]), name


def test_the_effect_of_the_policy_on_a_second_tab_is_a_warning(healthy: tuple[Ran, dict[str, Any]]) -> None:
    tab = next(s for s in healthy[1]["scenarios"] if s["id"] == "second-tab")
    assert [(f["rule"], f["severity"]) for f in tab["findings"]] == [("tab-displaced", "warning")]


def test_the_documented_events_arrive_once_on_one_connection(healthy: tuple[Ran, dict[str, Any]]) -> None:
    handling = next(s for s in healthy[1]["scenarios"] if s["id"] == "event-handling")
    assert (handling["connections_opened"], handling["connections_peak"], handling["replacements"]) == (1, 1, 0)
    assert handling["events_received"] == {
        "bot_status_update": 1,
        "whatsapp_connection_event": 2,  # the QR code, then the connection
        "message_sync": 1,
        "connection_update": 1,
    }


def test_a_connection_per_component_fails_with_components_cause_and_fix() -> None:
    ran, report = report_of(*FAULT, "--scenario", "single-connection", "--scenario", "component-sharing")
    assert ran.code == 1, ran.said
    rules = {f["rule"]: f for f in report["findings"]}
    assert {"multiple-connections", "connection-replaced"} <= set(rules)
    for rule in ("multiple-connections", "connection-replaced"):
        assert "Dashboard" in rules[rule]["message"] and "BotCreationWizard" in rules[rule]["message"]
        assert rules[rule]["cause"]["id"] == "two-openers"
        assert "share it" in rules[rule]["cause"]["fix"]
        assert rules[rule]["user"] == "user_123" and rules[rule]["evidence"]


def test_a_reconnecting_loop_is_one_finding_that_grows_with_its_rate() -> None:
    ran, report = report_of(*LOOP, "--scenario", "single-connection")
    assert ran.code == 1, ran.said
    replaced = [f for f in report["findings"] if f["rule"] == "connection-replaced"]
    assert len(replaced) == 1
    assert (
        replaced[0]["count"] >= 4 and 2.0 < replaced[0]["rate"] < 3.6
    )  # a reconnect every 300 ms, plus the time to connect
    assert replaced[0]["cause"]["id"] == "two-openers"
    (attempts,) = [f for f in report["findings"] if f["rule"] == "excessive-attempts"]
    assert attempts["cause"]["id"] == "reconnect-on-kick"


def test_narrate_prints_the_documented_lines() -> None:
    ran = wscheck("verify", "--scenario", "component-sharing", "--window", "200ms", "--narrate", "--format", "json")
    lines = ran.err.splitlines()
    assert lines[0] == "🔍 Creating unified WebSocket connection"
    assert lines[1] == "✅ Unified WebSocket connected successfully"
    assert lines[2] == "🚀 Triggering WhatsApp connection via unified WebSocket"
    assert lines[3].startswith("📱 WhatsApp connection event received")
    assert "whatsapp_connected" in ran.err


@pytest.mark.parametrize(("scenario", "timeout_ms"), [("zombie", 1_000), ("isolation", 10_000), ("race", 10_000)])
async def test_only_a_silent_client_gets_a_short_ping_timeout(scenario: str, timeout_ms: int) -> None:
    """On a busy machine, the ping timeout would otherwise end connections whose client is not silent."""
    async with plan_run(scenario).servers.for_scenario(scenario) as (settings, _), aiohttp.ClientSession() as session:
        url = f"{settings.target.url}/socket.io/?EIO=4&transport=polling"
        async with session.get(url) as response:
            handshake = json.loads((await response.text())[1:])
    assert handshake["pingTimeout"] == timeout_ms
