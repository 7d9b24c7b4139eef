"""Tests against a Node server: the documented fault on both transports, and from a recording.

test_secrets.py tests that a healthy server passes every scenario.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.node_backend import Backend, node_backend
from tests.run.verify.runs import describe_outcome, results_from_recording, run
from wscheck.backend import server
from wscheck.backend.demo_tokens import token_owner
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import serve_backend
from wscheck.model.findings import Verdict
from wscheck.report.recording import render
from wscheck.run.verify.run import VerifyOutcome, evaluate_recording
from wscheck.scenarios.context import NEUTRAL_COMPONENTS

LOOP = {"verify__client": "per-component", "verify__reconnect_on_kick": "100ms"}
PING = ("--ping-interval", "700", "--ping-timeout", "700")


@pytest.fixture
def node() -> Iterator[Backend]:
    with node_backend(*PING) as backend:
        yield backend


def verdicts(outcome: VerifyOutcome) -> dict[str, Verdict]:
    return {result.id: result.verdict for result in outcome.report.scenarios}


@pytest.mark.parametrize("transports", ["websocket", "polling,websocket"])
async def test_the_documented_fault_is_found_on_either_transport(node: Backend, transports: str) -> None:
    outcome = await run("single-connection", url=node.url, window="1500ms", target__transports=transports, **LOOP)
    rules = {f.rule: f for f in outcome.report.findings}
    assert outcome.report.verdict is Verdict.FAILED
    assert {"connection-replaced", "multiple-connections"} <= set(rules), describe_outcome(outcome)
    for rule in ("multiple-connections", "connection-replaced"):
        assert all(name in rules[rule].message for name in NEUTRAL_COMPONENTS), rules[rule].message
    loop = rules["connection-replaced"]
    assert loop.count >= 3 and loop.cause is not None and loop.cause.id in ("two-openers", "reconnect-on-kick")


@pytest.mark.parametrize("settings", [{}, LOOP], ids=["pass", "fail"])
async def test_a_recording_has_the_same_verdict_and_findings(
    node: Backend, tmp_path: Path, settings: dict[str, str]
) -> None:
    outcome = await run("single-connection", "second-tab", "race", url=node.url, **settings)
    file = tmp_path / "run.ndjson"
    file.write_bytes(render(outcome.report, outcome.events))
    again = evaluate_recording(file)
    assert verdicts(again) == verdicts(outcome)
    assert again.report.findings == outcome.report.findings
    assert again.events == outcome.events


async def test_scenarios_that_need_a_second_user_are_skipped_without_one(node: Backend) -> None:
    """Each is skipped with its reason, and the run is inconclusive."""
    no_second_user: dict[str, Any] = {"identity__second_user_id": None, "identity__second_token": None}
    outcome = await run("identity-binding", "isolation", url=node.url, **no_second_user)
    assert set(verdicts(outcome).values()) == {Verdict.SKIPPED}
    assert all("--second-user-id" in result.reason for result in outcome.report.scenarios)
    assert outcome.report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_polling_upgrade_is_skipped_with_one_transport(transport: str) -> None:
    with node_backend("--transports", transport) as backend:
        outcome = await run("single-connection", "polling-upgrade", url=backend.url, target__transports=transport)
    assert verdicts(outcome) == {"single-connection": Verdict.PASSED, "polling-upgrade": Verdict.SKIPPED}, (
        describe_outcome(outcome)
    )
    assert f"uses {transport} only" in outcome.report.scenarios[1].reason


async def test_after_the_token_has_expired_no_further_scenario_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server accepts the preflight and both phases of the first scenario."""
    calls = count(1)
    monkeypatch.setattr(server, "token_owner", lambda token: token_owner(token) if next(calls) <= 1 + 1 + 2 else None)
    async with serve_backend(server.ReferenceBackend(ServerLogWriter(None))) as url:
        outcome = await run("single-connection", "race", "auth-refused", url=url)
    single, race, refused = outcome.report.scenarios
    assert (single.verdict, race.verdict, refused.verdict) == (Verdict.PASSED, *[Verdict.INCONCLUSIVE] * 2), (
        describe_outcome(outcome)
    )
    assert "has the token expired" in race.reason
    assert refused.reason == "not tried: the server refused the user's own credentials during race"
    assert outcome.report.findings == [] and results_from_recording(outcome) == outcome.report.scenarios
