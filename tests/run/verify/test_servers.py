"""The documented fault on a real Node server, on both ways to reach it, and from a recording. That a healthy one passes
every scenario, test_secrets.py shows in the run whose every output it searches."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.node_backend import Backend, node_backend
from tests.run.verify.runs import replayed, run, told
from wscheck.backend import server
from wscheck.backend.demo_tokens import token_owner
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import serve_backend
from wscheck.model.findings import Verdict
from wscheck.report.recording import render
from wscheck.run.verify.run import VerifyOutcome, evaluate_recording

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
    assert {"connection-replaced", "multiple-connections"} <= set(rules), told(outcome)
    for rule in ("multiple-connections", "connection-replaced"):
        assert all(name in rules[rule].message for name in ("Dashboard", "BotCreationWizard")), rules[rule].message
    loop = rules["connection-replaced"]
    assert loop.count >= 3 and loop.cause is not None and loop.cause.id in ("two-openers", "reconnect-on-kick")


@pytest.mark.parametrize("settings", [{}, LOOP], ids=["pass", "fail"])
async def test_a_recording_comes_to_the_same_verdict_and_findings(
    node: Backend, tmp_path: Path, settings: dict[str, str]
) -> None:
    outcome = await run("single-connection", "second-tab", "race", url=node.url, **settings)
    file = tmp_path / "run.ndjson"
    file.write_bytes(render(outcome.report, outcome.events))
    again = evaluate_recording(file)
    assert verdicts(again) == verdicts(outcome)
    assert again.report.findings == outcome.report.findings
    assert again.events == outcome.events


async def test_a_user_can_check_only_what_their_credentials_allow(node: Backend) -> None:
    """Without a second user the scenarios that need one are skipped, each with its reason, and nothing is claimed."""
    nobody = {"identity__second_user_id": None, "identity__second_token": None}
    outcome = await run("identity-binding", "isolation", url=node.url, **nobody)
    assert set(verdicts(outcome).values()) == {Verdict.SKIPPED}
    assert all("--second-user-id" in result.reason for result in outcome.report.scenarios)
    assert outcome.report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_with_one_transport_there_is_no_upgrade_to_judge(transport: str) -> None:
    with node_backend("--transports", transport) as backend:
        outcome = await run("single-connection", "polling-upgrade", url=backend.url, target__transports=transport)
    assert verdicts(outcome) == {"single-connection": Verdict.PASSED, "polling-upgrade": Verdict.SKIPPED}, told(outcome)
    assert f"uses {transport} only" in outcome.report.scenarios[1].reason


async def test_once_the_token_has_expired_nothing_more_is_tried_and_no_refusal_is_praised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The preflight and the first scenario are let in, with both of its phases."""
    asked = count(1)
    monkeypatch.setattr(server, "token_owner", lambda token: token_owner(token) if next(asked) <= 1 + 1 + 2 else None)
    async with serve_backend(server.ReferenceBackend(ServerLogWriter(None))) as url:
        outcome = await run("single-connection", "race", "auth-refused", url=url)
    single, race, refused = outcome.report.scenarios
    assert (single.verdict, race.verdict, refused.verdict) == (Verdict.PASSED, *[Verdict.INCONCLUSIVE] * 2), told(
        outcome
    )
    assert "has the token expired?" in race.reason
    assert refused.reason == "not tried: the server refused the user's own credentials during race"
    assert outcome.report.findings == [] and replayed(outcome) == outcome.report.scenarios
