"""Tests of [actions]: the wizard emits the configured events, and the server must keep the page connected."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.run.verify.runs import describe_outcome, plan_run, results_from_recording
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract, ContractEvent
from wscheck.model.events import Emitted
from wscheck.model.findings import Verdict
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer

LOGOUT = "wa:logout"


async def run_component_sharing(
    backend: ReferenceBackend,
    contract: Contract = DOCUMENTED_CONTRACT,
    disconnect: str | None = LOGOUT,
    trigger: str | None = None,
) -> VerifyOutcome:
    """Run component-sharing against this backend."""
    actions: dict[str, Any] = {"actions__disconnect": disconnect, "actions__trigger": trigger}
    async with serve_backend(backend) as url:
        verify_run = plan_run("component-sharing", url=url, **actions)
        assert isinstance(verify_run.servers, RemoteServer)
        verify_run.servers._settings = msgspec.structs.replace(
            verify_run.servers._settings, contract=contract, contract_is_assumed=False
        )
        return await run_verify(verify_run)


def backend_with_handler(name: str, handle: Callable[[ReferenceBackend, str], Awaitable[None]]) -> ReferenceBackend:
    """Return a reference backend that calls `handle` for the event `name`."""
    backend = ReferenceBackend(ServerLogWriter(None))

    async def handler(sid: str, *data: object) -> None:
        await handle(backend, sid)

    backend.sio.on(name, handler)
    return backend


def backend_that_reports_logout(event: str) -> ReferenceBackend:
    """Return a backend that reports the end of the WhatsApp connection with `event`."""
    return backend_with_handler(
        LOGOUT, lambda backend, sid: backend.sio.emit(event, {"type": "whatsapp_disconnected"}, to=sid)
    )


async def disconnect_client(backend: ReferenceBackend, sid: str) -> None:
    await backend.sio.disconnect(sid)


async def do_nothing(backend: ReferenceBackend, sid: str) -> None:
    return None


def emitted(outcome: VerifyOutcome) -> list[str]:
    return [event.name for event in outcome.events if isinstance(event, Emitted)]


async def test_whatsapp_is_disconnected_only_if_the_event_is_configured() -> None:
    outcome = await run_component_sharing(ReferenceBackend(ServerLogWriter(None)), disconnect=None)
    assert emitted(outcome) == ["trigger_whatsapp_connection", "request_bot_status"]


OWN_CONTRACT = Contract((*DOCUMENTED_CONTRACT.events, ContractEvent(name="wa_gone", emit=LOGOUT)))


@pytest.mark.parametrize(
    ("contract", "answer"), [(DOCUMENTED_CONTRACT, "whatsapp_connection_event"), (OWN_CONTRACT, "wa_gone")]
)
async def test_the_wizard_disconnects_whatsapp_and_the_page_stays_connected(contract: Contract, answer: str) -> None:
    outcome = await run_component_sharing(backend_that_reports_logout(answer), contract)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
    assert emitted(outcome) == ["trigger_whatsapp_connection", "request_bot_status", LOGOUT]


@pytest.mark.parametrize(
    ("handle", "rule"),
    [(disconnect_client, "connection-missing"), (do_nothing, "event-missing")],
    ids=["disconnects", "does nothing"],
)
async def test_a_server_that_disconnects_the_page_or_does_not_reply_fails(
    handle: Callable[[ReferenceBackend, str], Awaitable[None]], rule: str
) -> None:
    quick = [msgspec.structs.replace(event, within=0.5) for event in DOCUMENTED_CONTRACT.events]
    outcome = await run_component_sharing(backend_with_handler(LOGOUT, handle), Contract(tuple(quick)))
    assert outcome.report.verdict is Verdict.FAILED
    assert rule in {finding.rule for finding in outcome.report.findings}, describe_outcome(outcome)
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(("handle", "verdict"), [(do_nothing, Verdict.PASSED), (disconnect_client, Verdict.FAILED)])
async def test_without_a_reply_event_only_the_connection_is_evaluated(
    handle: Callable[[ReferenceBackend, str], Awaitable[None]], verdict: Verdict
) -> None:
    own = Contract((ContractEvent(name="bot_status_update", emit="request_bot_status"),))
    outcome = await run_component_sharing(backend_with_handler(LOGOUT, handle), own)
    assert (outcome.report.verdict, emitted(outcome)[-1]) == (verdict, LOGOUT), describe_outcome(outcome)


async def test_the_trigger_carries_the_payload_of_the_contract() -> None:
    sent: list[Any] = []
    backend = ReferenceBackend(ServerLogWriter(None))

    async def connect(sid: str, data: object = None) -> None:
        sent.append(data)
        await backend.sio.emit("wa", {"userId": "user_123"}, to=sid)

    backend.sio.on("wa:login", connect)
    contract = Contract((ContractEvent(name="wa", emit="wa:login", payload={"botId": 7}),))
    outcome = await run_component_sharing(backend, contract, disconnect=None, trigger="wa:login")
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
    assert sent == [{"botId": 7}]
