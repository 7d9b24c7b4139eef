"""Tests of waiting: missing events are awaited together and only once, and slow servers get the time they need."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.run.verify.runs import describe_outcome, plan_run, results_from_recording
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import REPLIES, ReferenceBackend, serve_backend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract
from wscheck.model.events import Emitted
from wscheck.model.findings import Verdict
from wscheck.run.verify import run as verb
from wscheck.run.verify.inconclusive import OTHER_EVENTS
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer
from wscheck.scenarios.context import ScenarioContext

REQUESTS = [event.emit for event in DOCUMENTED_CONTRACT.events]


def within(seconds: float, *names: str) -> Contract:
    """Return the documented events, or those with these names, each with `seconds` to arrive."""
    events = [event for event in DOCUMENTED_CONTRACT.events if not names or event.name in names]
    return Contract(tuple(msgspec.structs.replace(event, within=seconds) for event in events))


async def run_at(
    backend: ReferenceBackend, contract: Contract, *scenarios: str, client: str = "unified", assumed: bool = True
) -> VerifyOutcome:
    async with serve_backend(backend) as url:
        verify_run = plan_run(*scenarios, url=url, verify__window="100ms", verify__client=client)
        assert isinstance(verify_run.servers, RemoteServer)
        verify_run.servers._settings = msgspec.structs.replace(
            verify_run.servers._settings, contract=contract, contract_is_assumed=assumed, grace_s=0.1
        )
        return await run_verify(verify_run)


async def ignore_event(*_: object) -> None:
    """Handle an event like a server that does not know it."""


def backend_without(*requests: str | None) -> ReferenceBackend:
    """Return a server that does not know these requests, or none by default."""
    backend = ReferenceBackend(ServerLogWriter(None))
    for name in requests or REPLIES:
        backend.sio.on(name, ignore_event)
    return backend


def slow_backend(delay: float) -> ReferenceBackend:
    """Return a server that handles one request at a time, each in `delay` seconds."""
    backend, turn = ReferenceBackend(ServerLogWriter(None)), asyncio.Lock()

    def delayed(answer: Any) -> Any:
        async def wait(*args: object) -> None:
            async with turn:
                await asyncio.sleep(delay)
                await answer(*args)

        return wait

    for name in REPLIES:
        backend.sio.on(name, delayed(backend._reply_handler(name)))
    return backend


async def test_a_server_that_handles_one_request_at_a_time_gets_enough_time() -> None:
    """The last event arrives 1.5 s after its request, because the server was busy with the others."""
    names = ("bot_status_update", "message_sync", "connection_update")
    outcome = await run_at(slow_backend(0.6), within(0.9, *names), "event-handling")
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)


async def test_missing_events_do_not_delay_others_and_are_all_reported() -> None:
    outcome = await run_at(backend_without(*REQUESTS[1:]), within(0.6), "event-handling", assumed=False)
    requested_at = [
        event.at or 0.0 for event in outcome.events if isinstance(event, Emitted) and event.name in REQUESTS
    ]
    messages = {finding.message for finding in outcome.report.findings if finding.rule == "event-missing"}
    assert messages == {f"{event.name} did not arrive within 0.6 s" for event in DOCUMENTED_CONTRACT.events[1:]}, (
        describe_outcome(outcome)
    )
    assert len(requested_at) == 4 and requested_at[-1] - requested_at[0] < 2 * 0.6
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.fixture
def no_answer_reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the `no_answer_reason` of each context that a run creates."""
    reasons: list[str] = []

    def recording_context(settings: Any, *, no_answer_reason: str, **more: Any) -> ScenarioContext:
        reasons.append(no_answer_reason)
        return ScenarioContext(settings, no_answer_reason=no_answer_reason, **more)

    monkeypatch.setattr(verb, "ScenarioContext", recording_context)
    return reasons


async def test_a_server_that_answered_nothing_is_not_awaited_again(
    no_answer_reasons: list[str],
) -> None:
    outcome = await run_at(backend_without(), within(0.3), "event-handling", "component-sharing")
    assert no_answer_reasons == ["", *[OTHER_EVENTS] * 3]
    assert {result.reason for result in outcome.report.scenarios} == {OTHER_EVENTS}, describe_outcome(outcome)
    assert outcome.report.verdict is Verdict.INCONCLUSIVE and not outcome.report.findings
    assert len([event for event in outcome.events if isinstance(event, Emitted)]) == 4 + 2
    assert results_from_recording(outcome) == outcome.report.scenarios


async def test_after_one_answer_the_others_are_awaited(no_answer_reasons: list[str]) -> None:
    await run_at(backend_without(*REQUESTS[1:]), within(0.3), "event-handling", "second-tab")
    assert no_answer_reasons == [""] * 4


async def test_a_client_that_could_not_send_requests_does_not_prove_silence(
    no_answer_reasons: list[str],
) -> None:
    """The wizard's connection replaced the dashboard's, which therefore sends no request."""
    await run_at(ReferenceBackend(ServerLogWriter(None)), within(0.2), "event-handling", client="per-component")
    assert no_answer_reasons == ["", ""]


def test_the_wait_is_short_if_the_server_is_known_not_to_answer() -> None:
    settings = plan_run(url="http://127.0.0.1:9").servers._settings
    (first, *_) = within(2.0).events
    assert ScenarioContext(settings).answer_timeout_s(first) == 2.0
    assert ScenarioContext(settings, no_answer_reason="it has other events").answer_timeout_s(first) < 0.5
