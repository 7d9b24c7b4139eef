"""How long a run waits for what does not come: side by side, and once for all, but never too short for what is slow."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.run.verify.runs import planned, replayed, told
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import REPLIES, ReferenceBackend, serve_backend
from wscheck.config import event_contract as contracts
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract
from wscheck.model.events import Emitted
from wscheck.model.findings import Verdict
from wscheck.run.verify import run as verb
from wscheck.run.verify.inconclusive import OTHER_EVENTS
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer
from wscheck.scenarios.context import ScenarioContext

ASKED = [event.emit for event in DOCUMENTED_CONTRACT.events]


def within(seconds: float, *names: str) -> Contract:
    """The documented events, or those of these names, each with so much time."""
    events = [event for event in DOCUMENTED_CONTRACT.events if not names or event.name in names]
    return Contract(tuple(msgspec.structs.replace(event, within=seconds) for event in events))


async def judged(
    backend: ReferenceBackend, contract: Contract, *scenarios: str, client: str = "unified"
) -> VerifyOutcome:
    async with serve_backend(backend) as url:
        asked = planned(*scenarios, url=url, verify__window="100ms", verify__client=client)
        assert isinstance(asked.servers, RemoteServer)
        asked.servers._settings = msgspec.structs.replace(asked.servers._settings, contract=contract, grace_s=0.1)
        return await run_verify(asked)


async def ignores(*_: object) -> None:
    """What a server does that has no such event."""


def without(*asked: str | None) -> ReferenceBackend:
    """A server that does not know these."""
    backend = ReferenceBackend(ServerLogWriter(None))
    for name in asked or REPLIES:
        backend.sio.on(name, ignores)
    return backend


def slow(delay: float) -> ReferenceBackend:
    """A server that does one thing at a time, each in `delay` seconds."""
    backend, turn = ReferenceBackend(ServerLogWriter(None)), asyncio.Lock()

    def patiently(answer: Any) -> Any:
        async def wait(*args: object) -> None:
            async with turn:
                await asyncio.sleep(delay)
                await answer(*args)

        return wait

    for name in REPLIES:
        backend.sio.on(name, patiently(backend._reply_handler(name)))
    return backend


async def test_a_server_that_does_one_thing_at_a_time_has_the_time_it_needs() -> None:
    """The last event comes 1.5 s after it was asked for, which was while the server was busy with the others."""
    names = ("bot_status_update", "message_sync", "connection_update")
    outcome = await judged(slow(0.6), within(0.9, *names), "event-handling")
    assert outcome.report.verdict is Verdict.PASSED, told(outcome)


async def test_events_that_do_not_come_hold_up_no_other_and_are_all_missed() -> None:
    outcome = await judged(without(*ASKED[1:]), within(0.6), "event-handling")
    asked = [event.at for event in outcome.events if isinstance(event, Emitted) and event.name in ASKED]
    messages = {finding.message for finding in outcome.report.findings if finding.rule == "event-missing"}
    assert messages == {f"{event.name} did not arrive within 0.6 s" for event in DOCUMENTED_CONTRACT.events[1:]}, told(
        outcome
    )
    assert len(asked) == 4 and asked[-1] - asked[0] < 2 * 0.6
    assert replayed(outcome) == outcome.report.scenarios


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why nothing would answer, of each stage that a run sets up."""
    made: list[str] = []

    def spied(settings: Any, *, no_answer_reason: str, **more: Any) -> ScenarioContext:
        made.append(no_answer_reason)
        return ScenarioContext(settings, no_answer_reason=no_answer_reason, **more)

    monkeypatch.setattr(verb, "ScenarioContext", spied)
    return made


async def test_what_answered_nothing_is_asked_again_and_waited_for_no_more(
    stages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "DOCUMENTED_CONTRACT", within(0.3))
    outcome = await judged(without(), within(0.3), "event-handling", "component-sharing")
    assert stages == ["", *[OTHER_EVENTS] * 3]
    assert {result.reason for result in outcome.report.scenarios} == {OTHER_EVENTS}, told(outcome)
    assert outcome.report.verdict is Verdict.INCONCLUSIVE and not outcome.report.findings
    assert len([event for event in outcome.events if isinstance(event, Emitted)]) == 4 + 2
    assert replayed(outcome) == outcome.report.scenarios


async def test_one_answer_is_enough_to_wait_for_the_others(stages: list[str]) -> None:
    await judged(without(*ASKED[1:]), within(0.3), "event-handling", "second-tab")
    assert stages == [""] * 4


async def test_a_client_that_could_not_ask_shows_no_silence(stages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard's connection was replaced by the wizard's, and asks for nothing."""
    monkeypatch.setattr(contracts, "DOCUMENTED_CONTRACT", within(0.2))
    await judged(ReferenceBackend(ServerLogWriter(None)), within(0.2), "event-handling", client="per-component")
    assert stages == ["", ""]


def test_where_nothing_answers_a_moment_is_enough() -> None:
    settings = planned(url="http://127.0.0.1:9").servers._settings
    (first, *_) = within(2.0).events
    assert ScenarioContext(settings).answer_timeout_s(first) == 2.0
    assert ScenarioContext(settings, no_answer_reason="it has other events").answer_timeout_s(first) < 0.5
