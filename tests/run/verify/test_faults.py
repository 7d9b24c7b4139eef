"""Tests that every fault makes a scenario fail, on both backends (docs/reference-backend.md)."""

import msgspec
import pytest

from tests.node_backend import node_backend
from tests.run.verify.runs import describe_outcome, plan_run, results_from_recording, run, run_embedded
from wscheck.backend.faults import Fault, SecondConnectionPolicy
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.model.events import Emitted
from wscheck.model.findings import Severity, Verdict
from wscheck.observe.client import simulated_page
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer

# fault, scenario that fails, rule that reports it
FAULTS = [
    (Fault.CLOSE_TRANSPORT, "second-tab", "tab-displaced"),
    (Fault.EMIT_TWICE, "event-handling", "event-duplicated"),
    (Fault.DROP_EVENT, "event-handling", "event-missing"),
    (Fault.SLOW_LOOKUP, "race", "multiple-connections"),
    (Fault.TRUST_USER_ID, "identity-binding", "identity-unverified"),
    (Fault.LEAK_EVENTS, "isolation", "event-leaked"),
    (Fault.NEVER_REAP, "zombie", "zombie-held"),
    (Fault.ACCEPT_ANY_TOKEN, "auth-refused", "token-unchecked"),
    (Fault.LOG_NOTHING, "single-connection", "log-silent"),
]
PING = ("--ping-interval", "1000", "--ping-timeout", "1000")


def test_every_fault_is_tested() -> None:
    assert {fault for fault, _, _ in FAULTS} == set(Fault)


def assert_fails(outcome: VerifyOutcome, scenario: str, rule: str) -> None:
    result = outcome.report.scenarios[0]
    assert (result.id, result.verdict) == (scenario, Verdict.FAILED), describe_outcome(outcome)
    assert rule in {f.rule for f in result.findings if f.severity is Severity.ERROR}, describe_outcome(outcome)
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(("fault", "scenario", "rule"), FAULTS)
async def test_the_embedded_backend_fails(fault: Fault, scenario: str, rule: str) -> None:
    assert_fails(await run_embedded(scenario, faults=(fault,)), scenario, rule)


@pytest.mark.parametrize(("fault", "scenario", "rule"), FAULTS)
async def test_the_node_backend_fails(fault: Fault, scenario: str, rule: str) -> None:
    with node_backend("--fault", fault, *PING) as backend:
        verify_run = plan_run(scenario, url=backend.url, verify__server_log=[str(backend.log)])
        assert isinstance(verify_run.servers, RemoteServer)
        configured = msgspec.structs.replace(verify_run.servers._settings, contract_is_assumed=False)
        verify_run.servers._settings = configured
        outcome = await run_verify(verify_run)
    assert_fails(outcome, scenario, rule)


async def test_a_server_that_rejects_the_second_connection_passes() -> None:
    outcome = await run_embedded("single-connection", "race", policy=SecondConnectionPolicy.REJECT)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
    control = outcome.report.scenarios[0].control
    assert control is not None and "refused" in control.did


class PlaceKeeper(ReferenceBackend):
    """A server that refuses a second connection, and does not free the place of the `kept`-th connection that ended."""

    def __init__(self, kept: int) -> None:
        super().__init__(ServerLogWriter(None), policy=SecondConnectionPolicy.REJECT)
        self._kept, self._ended = kept, 0

    async def _disconnect(self, sid: str, reason: str) -> None:
        user = self._users.get(sid)
        await super()._disconnect(sid, reason)
        if user is not None:
            self._ended += 1
            self._sockets |= {user: sid} if self._ended == self._kept else {}


@pytest.mark.parametrize(
    ("kept", "verdict", "rules"),
    [(1, Verdict.INCONCLUSIVE, set()), (2, Verdict.FAILED, {"connection-missing"})],
    ids=["of the preflight", "of the lost connection"],
)
async def test_the_refusal_of_a_kept_place_is_told_and_attempts_of_wscheck_are_no_loop(
    monkeypatch: pytest.MonkeyPatch, kept: int, verdict: Verdict, rules: set[str]
) -> None:
    monkeypatch.setattr(simulated_page, "RETRY_S", 0.05)
    async with serve_backend(PlaceKeeper(kept)) as url:
        outcome = await run("reconnect", url=url, rules__max_attempts="2/10s")
    (result,) = outcome.report.scenarios
    assert result.verdict is verdict, describe_outcome(outcome)
    told = {finding.rule: finding.message for finding in result.findings}
    assert set(told) == rules and "already connected" in told.get("connection-missing", result.reason), told


async def test_race_is_inconclusive_without_a_policy_if_the_server_allows_several_connections() -> None:
    outcome = await run_embedded("single-connection", "race", policy=SecondConnectionPolicy.ALLOW)
    single, race = outcome.report.scenarios
    assert single.verdict is Verdict.PASSED and single.control is not None
    assert "kept them all" in single.control.did
    assert race.verdict is Verdict.INCONCLUSIVE and not race.findings, describe_outcome(outcome)
    assert "lets a user have several connections" in race.reason
    assert 'connections = "per-tab"' in race.reason and "[policy] in wscheck.toml" in race.reason
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(
    ("server", "connections", "second_tab", "race"),
    [
        (SecondConnectionPolicy.ALLOW, "per-user", Verdict.FAILED, Verdict.FAILED),
        (SecondConnectionPolicy.ALLOW, "per-tab", Verdict.PASSED, Verdict.PASSED),
        (SecondConnectionPolicy.ALLOW, 2, Verdict.PASSED, Verdict.FAILED),
        (SecondConnectionPolicy.ALLOW, 5, Verdict.PASSED, Verdict.PASSED),
        (SecondConnectionPolicy.REPLACE, "per-user", Verdict.PASSED, Verdict.PASSED),
        (SecondConnectionPolicy.REPLACE, "per-tab", Verdict.PASSED, Verdict.FAILED),
        (SecondConnectionPolicy.REJECT, 3, Verdict.PASSED, Verdict.PASSED),
    ],
)
async def test_the_policy_decides_about_several_tabs(
    server: SecondConnectionPolicy, connections: str | int, second_tab: Verdict, race: Verdict
) -> None:
    outcome = await run_embedded("second-tab", "race", policy=server, policy__connections=connections)
    assert [scenario.verdict for scenario in outcome.report.scenarios] == [second_tab, race], describe_outcome(outcome)
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(
    ("emit", "verdict"),
    [
        ("request_bot_status", Verdict.PASSED),
        ("trigger_whatsapp_connection", Verdict.PASSED),
        (None, Verdict.INCONCLUSIVE),
    ],
)
async def test_component_sharing_needs_only_one_event(emit: str | None, verdict: Verdict) -> None:
    """The event is requested once only, because a second one with the same payload would seem to be a duplicate."""
    name = "whatsapp_connection_event" if emit == "trigger_whatsapp_connection" else "bot_status_update"
    own = Contract((ContractEvent(name=name, emit=emit),))
    outcome = await run_embedded("component-sharing", contract=own)
    (sharing,) = outcome.report.scenarios
    assert sharing.verdict is verdict, describe_outcome(outcome)
    assert ("wscheck.toml" in sharing.reason) is (verdict is Verdict.INCONCLUSIVE)
    assert [e.name for e in outcome.events if isinstance(e, Emitted)] == ([emit] if emit else [])
