"""Tests of copies of an event on one connection: those of different origins are no duplicates."""

import asyncio

import pytest

from tests.run.verify.runs import describe_outcome, results_from_recording
from tests.run.verify.test_waiting import run_at, within
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend
from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.model.findings import Verdict
from wscheck.scenarios import context


class Lounge(ReferenceBackend):
    """A server that tells everybody who is there: when somebody comes or leaves, and on request.

    times  how often it tells somebody who comes or asks
    """

    def __init__(self, times: int) -> None:
        super().__init__(ServerLogWriter(None))
        self._times = times
        self.sio.on("request_bot_status", self._asked)
        self.sio.on("connect", self._comes)

    async def _comes(self, sid: str, environ: dict[str, object], auth: object) -> None:
        await self._connect(sid, environ, auth)
        self.sio.start_background_task(self._tell, self._times, 0.02)

    async def _asked(self, sid: str, *_: object) -> None:
        await self._tell(self._times, 0.0)

    async def _disconnect(self, sid: str, reason: str) -> None:
        await super()._disconnect(sid, reason)
        self.sio.start_background_task(self._tell, 1, 0.1)  # when the client has connected again, or the next one

    async def _tell(self, times: int, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        for _ in range(times):
            await self.sio.emit("bot_status_update", {"lounge": "open"})


ASKED = within(1.0, "bot_status_update")
PUSHED = Contract((*within(1.0, "message_sync").events, ContractEvent(name="bot_status_update", required=False)))


@pytest.mark.parametrize(
    ("times", "contract", "scenario"),
    [
        (1, ASKED, "single-connection"),
        (1, ASKED, "reconnect"),
        (1, PUSHED, "event-handling"),
        (2, ASKED, "single-connection"),
        (2, ASKED, "reconnect"),
    ],
)
async def test_copies_are_duplicates_if_they_arrive_each_time(
    monkeypatch: pytest.MonkeyPatch, times: int, contract: Contract, scenario: str
) -> None:
    monkeypatch.setattr(context, "QUIET_S", 0.25)
    outcome = await run_at(Lounge(times), contract, scenario, assumed=False)
    (result,) = outcome.report.scenarios
    assert result.verdict is (Verdict.PASSED if times == 1 else Verdict.FAILED), describe_outcome(outcome)
    assert {finding.rule for finding in result.findings} == (set() if times == 1 else {"event-duplicated"})
    assert result.connections_opened == (2 if scenario == "reconnect" else 1), "the tries are no part of the scenario"
    assert results_from_recording(outcome) == outcome.report.scenarios
