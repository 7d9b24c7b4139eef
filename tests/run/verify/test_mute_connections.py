"""Tests of connections that are open and carry nothing: a scenario must not pass because they stay open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from engineio.async_socket import AsyncSocket

from tests.run.verify.runs import describe_outcome
from tests.run.verify.test_waiting import run_at
from wscheck.backend.faults import SecondConnectionPolicy
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract
from wscheck.model.findings import Verdict
from wscheck.run.verify.run import VerifyOutcome

REQUESTABLE = Contract((msgspec.structs.replace(DOCUMENTED_CONTRACT.events[0], within=0.3),))
OPTIONAL = Contract((msgspec.structs.replace(REQUESTABLE.events[0], required=False),))
PUSHED = Contract((msgspec.structs.replace(REQUESTABLE.events[0], emit=None),))

Send = Callable[..., Awaitable[None]]


def backend(ping_s: float = 1) -> ReferenceBackend:
    return ReferenceBackend(ServerLogWriter(None), ping_interval_s=ping_s, ping_timeout_s=1)


def verdict(outcome: VerifyOutcome) -> tuple[Verdict, set[str]]:
    (result,) = outcome.report.scenarios
    return result.verdict, {finding.rule for finding in result.findings}


def after_upgrade(original: Send) -> Send:
    """Return a method that does nothing on a websocket that a polling session was upgraded to."""

    async def method(socket: Any, *arguments: Any) -> None:
        if not (socket.upgraded and socket.connected):
            await original(socket, *arguments)

    return method


@pytest.fixture(params=["send", "receive"], ids=["mute", "deaf"])
def lost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose what the server sends, or what it receives, after each upgrade to websocket."""
    monkeypatch.setattr(AsyncSocket, request.param, after_upgrade(getattr(AsyncSocket, request.param)))


@pytest.mark.usefixtures("lost")
async def test_an_upgraded_connection_that_answers_nothing_fails() -> None:
    outcome = await run_at(backend(), REQUESTABLE, "polling-upgrade", assumed=False)
    assert verdict(outcome) == (Verdict.FAILED, {"event-missing"}), describe_outcome(outcome)
    assert "arrives without the upgrade" in outcome.report.scenarios[0].reason
    assert outcome.report.scenarios[0].connections_opened == 1


@pytest.mark.usefixtures("lost")
async def test_a_greeting_before_the_upgrade_does_not_excuse_the_missing_answer() -> None:
    server = backend()
    connect = server.sio.handlers["/"]["connect"]

    async def greet(sid: str, *arguments: Any) -> None:
        await connect(sid, *arguments)
        await server.sio.emit("ahoy", {"berth": 7}, to=sid)

    server.sio.on("connect", greet)
    outcome = await run_at(server, REQUESTABLE, "polling-upgrade", assumed=False)
    assert verdict(outcome) == (Verdict.FAILED, {"event-missing"}), describe_outcome(outcome)


@pytest.mark.usefixtures("lost")
async def test_an_upgraded_connection_without_a_contract_needs_two_pings() -> None:
    """The server ends the connection, because its ping or the answer is lost."""
    outcome = await run_at(backend(), PUSHED, "polling-upgrade", assumed=False)
    assert verdict(outcome) == (Verdict.FAILED, {"connection-missing"}), describe_outcome(outcome)


@pytest.mark.parametrize(
    ("contract", "ping_s", "expected"),
    [(PUSHED, 1, Verdict.PASSED), (OPTIONAL, 25, Verdict.PASSED), (PUSHED, 25, Verdict.INCONCLUSIVE)],
    ids=["pings", "an optional answer", "nothing in time"],
)
async def test_traffic_after_an_upgrade_is_shown_without_a_required_event(
    contract: Contract, ping_s: float, expected: Verdict
) -> None:
    outcome = await run_at(backend(ping_s), contract, "polling-upgrade", assumed=False)
    (result,) = outcome.report.scenarios
    assert result.verdict is expected, describe_outcome(outcome)
    assert ("--timeout 51s" in result.reason) is (expected is Verdict.INCONCLUSIVE), result.reason


@pytest.mark.parametrize("answers_again", [True, False], ids=["mute", "unknown request"])
async def test_a_connection_after_a_lost_one_must_be_served(answers_again: bool) -> None:
    """A server that greets, and answers no connection at all, may expect a login."""
    server, connected = backend(), list[str]()
    connect, answer = (server.sio.handlers["/"][name] for name in ("connect", "request_bot_status"))

    async def greet(sid: str, *arguments: Any) -> None:
        await connect(sid, *arguments)
        connected.append(sid)
        await server.sio.emit("ahoy", {"berth": 7}, to=sid)

    async def answer_unless_reconnected(sid: str, *arguments: Any) -> None:
        if answers_again and sid != connected[2]:  # the preflight's, the first, and the one after the loss
            await answer(sid, *arguments)

    server.sio.on("connect", greet)
    server.sio.on("request_bot_status", answer_unless_reconnected)
    outcome = await run_at(server, REQUESTABLE, "reconnect", assumed=False)
    expected = (Verdict.FAILED, {"event-missing"}) if answers_again else (Verdict.INCONCLUSIVE, set())
    assert verdict(outcome) == expected, describe_outcome(outcome)


class OneSocketPerUser(ReferenceBackend):
    """A server that sends an answer to the socket that it stores for the user."""

    def __init__(self, policy: SecondConnectionPolicy) -> None:
        super().__init__(ServerLogWriter(None), policy=policy)
        self.sio.on("request_bot_status", self._answer_stored_socket)

    async def _answer_stored_socket(self, sid: str, *_: object) -> None:
        if self._sockets.get(self._users[sid]) == sid:
            await self.sio.emit("bot_status_update", {"userId": self._users[sid]}, to=sid)


class ForgetfulServer(OneSocketPerUser):
    """The same server, which forgets the user's newer socket when the one that it replaced ends."""

    async def _disconnect(self, sid: str, reason: str) -> None:
        user = self._users.get(sid)
        await super()._disconnect(sid, reason)
        if user is not None:
            self._sockets.pop(user, None)


@pytest.mark.parametrize(
    ("server", "policy", "tab"),
    [
        (OneSocketPerUser, SecondConnectionPolicy.ALLOW, "tab-1"),
        (ForgetfulServer, SecondConnectionPolicy.REPLACE, "tab-2"),
        (OneSocketPerUser, SecondConnectionPolicy.REPLACE, None),
    ],
    ids=["the older tab", "the newer tab", "neither"],
)
async def test_a_tab_that_stays_open_must_be_served(
    server: type[OneSocketPerUser], policy: SecondConnectionPolicy, tab: str | None
) -> None:
    outcome = await run_at(server(policy), REQUESTABLE, "second-tab", assumed=False)
    told = [finding.message for finding in outcome.report.findings if finding.rule == "event-missing"]
    assert told == ([f"bot_status_update did not arrive within 0.3 s on {tab}"] if tab else []), told


async def test_a_connection_that_ends_before_a_ping_shows_nothing_about_silent_clients() -> None:
    server = backend()

    async def send_off(sid: str, *_: object) -> None:
        await asyncio.sleep(0.2)
        await server.sio.disconnect(sid)

    connect = server.sio.handlers["/"]["connect"]

    async def connect_for_a_moment(sid: str, *arguments: Any) -> None:
        await connect(sid, *arguments)
        server.sio.start_background_task(send_off, sid)

    server.sio.on("connect", connect_for_a_moment)
    outcome = await run_at(server, REQUESTABLE, "zombie", assumed=False)
    assert "without a ping" in outcome.report.scenarios[0].reason, describe_outcome(outcome)
