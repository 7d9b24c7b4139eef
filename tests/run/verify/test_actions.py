"""[actions]: what the documented wizard emits reaches the server, and what the server then must not do is judged."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.run.verify.runs import planned, replayed, told
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract, ContractEvent
from wscheck.model.events import Emitted
from wscheck.model.findings import Verdict
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer

LOGOUT = "wa:logout"


async def shared(
    backend: ReferenceBackend,
    contract: Contract = DOCUMENTED_CONTRACT,
    disconnect: str | None = LOGOUT,
    trigger: str | None = None,
) -> VerifyOutcome:
    """component-sharing at this backend."""
    actions = {"actions__disconnect": disconnect, "actions__trigger": trigger}
    async with serve_backend(backend) as url:
        asked = planned("component-sharing", url=url, **actions)
        assert isinstance(asked.servers, RemoteServer)
        asked.servers._settings = msgspec.structs.replace(asked.servers._settings, contract=contract)
        return await run_verify(asked)


def hearing(name: str, does: Callable[[ReferenceBackend, str], Awaitable[None]]) -> ReferenceBackend:
    """A reference backend that does something when it is sent `name`."""
    backend = ReferenceBackend(ServerLogWriter(None))

    async def hear(sid: str, *data: object) -> None:
        await does(backend, sid)

    backend.sio.on(name, hear)
    return backend


def telling(event: str) -> ReferenceBackend:
    """A server that tells the user's connection of the end of WhatsApp's by `event`."""
    return hearing(LOGOUT, lambda backend, sid: backend.sio.emit(event, {"type": "whatsapp_disconnected"}, to=sid))


async def close(backend: ReferenceBackend, sid: str) -> None:
    await backend.sio.disconnect(sid)


async def nothing(backend: ReferenceBackend, sid: str) -> None:
    return None


def emitted(outcome: VerifyOutcome) -> list[str]:
    return [event.name for event in outcome.events if isinstance(event, Emitted)]


async def test_whatsapp_is_never_disconnected_unless_somebody_named_what_does_it() -> None:
    outcome = await shared(ReferenceBackend(ServerLogWriter(None)), disconnect=None)
    assert emitted(outcome) == ["trigger_whatsapp_connection", "request_bot_status"]


OWN = Contract((*DOCUMENTED_CONTRACT.events, ContractEvent(name="wa_gone", emit=LOGOUT)))


@pytest.mark.parametrize(("contract", "answer"), [(DOCUMENTED_CONTRACT, "whatsapp_connection_event"), (OWN, "wa_gone")])
async def test_the_wizard_disconnects_whatsapp_and_the_page_stays_connected(contract: Contract, answer: str) -> None:
    outcome = await shared(telling(answer), contract)
    assert outcome.report.verdict is Verdict.PASSED, told(outcome)
    assert emitted(outcome) == ["trigger_whatsapp_connection", "request_bot_status", LOGOUT]


@pytest.mark.parametrize(
    ("does", "rule"), [(close, "connection-missing"), (nothing, "event-missing")], ids=["closes", "says nothing"]
)
async def test_a_server_that_ends_the_pages_connection_with_whatsapps_or_says_nothing_fails(
    does: Callable[[ReferenceBackend, str], Awaitable[None]], rule: str
) -> None:
    quick = [msgspec.structs.replace(event, within=0.5) for event in DOCUMENTED_CONTRACT.events]
    outcome = await shared(hearing(LOGOUT, does), Contract(tuple(quick)))
    assert outcome.report.verdict is Verdict.FAILED
    assert rule in {finding.rule for finding in outcome.report.findings}, told(outcome)
    assert replayed(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(("does", "verdict"), [(nothing, Verdict.PASSED), (close, Verdict.FAILED)])
async def test_where_no_event_answers_the_connection_alone_is_judged(
    does: Callable[[ReferenceBackend, str], Awaitable[None]], verdict: Verdict
) -> None:
    own = Contract((ContractEvent(name="bot_status_update", emit="request_bot_status"),))
    outcome = await shared(hearing(LOGOUT, does), own)
    assert (outcome.report.verdict, emitted(outcome)[-1]) == (verdict, LOGOUT), told(outcome)


async def test_what_connects_whatsapp_carries_the_payload_of_the_contract() -> None:
    sent: list[Any] = []
    backend = ReferenceBackend(ServerLogWriter(None))

    async def connect(sid: str, data: object = None) -> None:
        sent.append(data)
        await backend.sio.emit("wa", {"userId": "user_123"}, to=sid)

    backend.sio.on("wa:login", connect)
    contract = Contract((ContractEvent(name="wa", emit="wa:login", payload={"botId": 7}),))
    outcome = await shared(backend, contract, disconnect=None, trigger="wa:login")
    assert outcome.report.verdict is Verdict.PASSED, told(outcome)
    assert sent == [{"botId": 7}]
