"""`wscheck verify` on raw WebSockets and server-sent events: each fault is found, and a healthy server passes."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.plain_servers import (
    ANY_TOKEN,
    BEATS,
    BOTH,
    DEAF,
    FORGETS,
    LATE_REFUSAL,
    LEAKS,
    LOGIN,
    ONLY_ONE,
    PINGS,
    SLOW,
    TICKS,
    TWICE,
    TWO,
    plain_server,
)
from tests.run.verify.runs import describe_outcome, plan_run, results_from_recording
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.model.errors import CannotCheck, UsageError
from wscheck.model.findings import Severity, Verdict
from wscheck.observe.client import plain_connections
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer
from wscheck.scenarios import context

WEBSOCKET, STREAM = "ws://{}/chat", "http://{}/events"
TOKENS = {"identity.token": "token-of-mira", "identity.second_token": "token-of-jon"}
USERS = {"identity.user_id": "mira", "identity.second_user_id": "jon", **TOKENS}
QUERY = {"identity.token_in": "query.token"}


async def verify(
    url: str, *scenarios: str, contract: bool = True, connect: ConnectOptions | None = None, **settings: Any
) -> VerifyOutcome:
    """Run `scenarios` with a contract of one message, which the client requests."""
    flags = {**USERS, **QUERY, **{name.replace("__", "."): value for name, value in settings.items()}}
    given_flags = {"window": "200ms"} | {name.replace(".", "__"): value for name, value in flags.items()}
    run = plan_run(*scenarios, url=url, **given_flags)
    assert isinstance(run.servers, RemoteServer)
    given = run.servers._settings
    if contract:
        emit = "POST /status" if url.endswith("/events") else "status"
        events = (ContractEvent(name="status", emit=emit, within=1.0),)
        given = msgspec.structs.replace(given, contract=Contract(events), contract_is_assumed=False)
    if connect is not None:
        target = msgspec.structs.replace(given.target, connect=connect, token_in="", user_in="")
        given = msgspec.structs.replace(given, target=target)
    run.servers._settings = given
    return await run_verify(run)


APPLYING = (
    *("single-connection", "event-handling", "component-sharing", "strict-remount", "reconnect", "second-tab"),
    *("race", "auth-refused", "isolation"),
)

FAULTS = [
    (WEBSOCKET, FORGETS, "second-tab", "event-missing"),
    (STREAM, FORGETS, "second-tab", "event-missing"),
    (WEBSOCKET, ANY_TOKEN, "auth-refused", "token-unchecked"),
    (STREAM, ANY_TOKEN, "auth-refused", "token-unchecked"),
    (WEBSOCKET, LEAKS, "isolation", "event-leaked"),
    (STREAM, LEAKS, "isolation", "event-leaked"),
    (WEBSOCKET, BOTH, "second-tab", "connection-missing"),
    (WEBSOCKET, DEAF, "zombie", "zombie-held"),
]


async def verified(url: str, scenario: str, *faults: str, **settings: Any) -> VerifyOutcome:
    """Run one scenario on a server of its own."""
    async with plain_server(*faults) as (address, _):
        return await verify(url.format(address), scenario, **settings)


async def test_a_healthy_server_passes_every_scenario_that_applies() -> None:
    cases = [(url, name) for url in (WEBSOCKET, STREAM) for name in APPLYING] + [(WEBSOCKET, "zombie", PINGS)]
    for case, outcome in zip(cases, await asyncio.gather(*(verified(*case) for case in cases)), strict=True):
        assert outcome.report.verdict is Verdict.PASSED, (case, describe_outcome(outcome))
        assert results_from_recording(outcome) == outcome.report.scenarios


async def test_scenarios_that_do_not_apply_are_skipped_with_the_reason() -> None:
    cases = [(url, name) for url in (WEBSOCKET, STREAM) for name in ("polling-upgrade", "identity-binding")]
    cases += [(STREAM, "zombie")]
    for case, outcome in zip(cases, await asyncio.gather(*(verified(*case) for case in cases)), strict=True):
        [result] = outcome.report.scenarios
        assert result.verdict is Verdict.SKIPPED and result.reason, (case, describe_outcome(outcome))


async def test_each_fault_of_a_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_connections, "LATE_REFUSAL_S", 0.1)
    outcomes = await asyncio.gather(*(verified(url, scenario, fault) for url, fault, scenario, _ in FAULTS))
    for (url, fault, _, rule), outcome in zip(FAULTS, outcomes, strict=True):
        errors = {finding.rule for finding in outcome.report.findings if finding.severity is Severity.ERROR}
        assert outcome.report.verdict is Verdict.FAILED and errors == {rule}, (url, fault, describe_outcome(outcome))


async def test_a_server_that_ends_the_other_connections_late_wins_the_race() -> None:
    outcome = await verified(WEBSOCKET, "race", SLOW)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
    [finding] = outcome.report.findings
    assert (finding.rule, finding.severity, finding.cause) == ("multiple-connections", Severity.WARNING, None)
    assert results_from_recording(outcome) == outcome.report.scenarios


@pytest.mark.parametrize(
    ("policy", "expected"), [({}, Verdict.INCONCLUSIVE), ({"policy__connections": 2}, Verdict.PASSED)]
)
async def test_a_limit_of_two_connections_is_not_a_race(policy: dict[str, Any], expected: Verdict) -> None:
    outcome = await verified(WEBSOCKET, "race", TWO, **policy)
    [race] = outcome.report.scenarios
    assert (race.verdict, race.findings) == (expected, []), describe_outcome(outcome)
    assert expected is Verdict.PASSED or "keeps 2 of 5 simultaneous connections" in race.reason
    assert results_from_recording(outcome) == outcome.report.scenarios


async def test_a_server_that_refuses_a_second_stream_is_not_refused_by_the_first_contact() -> None:
    outcome = await verified(STREAM, "single-connection", ONLY_ONE)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)


async def test_two_components_that_each_connect_are_found() -> None:
    faulty = {"verify__client": "per-component", "verify__reconnect_on_kick": "50ms"}
    for outcome in await asyncio.gather(*(verified(url, "single-connection", **faulty) for url in (WEBSOCKET, STREAM))):
        assert {"multiple-connections", "excessive-attempts"} <= {finding.rule for finding in outcome.report.findings}


async def test_without_a_contract_nothing_is_said_about_messages() -> None:
    async with plain_server() as (address, _):
        names = ("single-connection", "event-handling", "isolation")
        outcome = await verify(WEBSOCKET.format(address), *names, contract=False)
    verdicts = {result.id: result.verdict for result in outcome.report.scenarios}
    assert verdicts["single-connection"] is Verdict.PASSED, describe_outcome(outcome)
    assert verdicts["event-handling"] is verdicts["isolation"] is Verdict.SKIPPED


async def test_an_event_that_the_server_sends_unrequested_shows_whether_handlers_run_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "QUIET_S", 0.1)
    of_both: list[tuple[str, ...]] = [(TICKS,), (TICKS, TWICE)]
    cases = [(WEBSOCKET, faults) for faults in [*of_both, (), (BEATS,)]] + [(STREAM, faults) for faults in of_both]
    done = await asyncio.gather(
        *(verified(url, "reconnect", *faults, contract=False, window="1s") for url, faults in cases)
    )
    for (url, faults), outcome in zip(cases, done, strict=True):
        expected = {(TICKS,): Verdict.PASSED, (TICKS, TWICE): Verdict.FAILED}.get(faults, Verdict.INCONCLUSIVE)
        assert outcome.report.verdict is expected, (url, faults, describe_outcome(outcome))
        errors = {finding.rule for finding in outcome.report.findings if finding.severity is Severity.ERROR}
        assert errors == ({"event-duplicated"} if expected is Verdict.FAILED else set())


async def test_a_refusal_by_close_code_is_a_refusal() -> None:
    async with plain_server(LATE_REFUSAL) as (address, _):
        outcome = await verify(WEBSOCKET.format(address), "auth-refused")
        assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
        assert not outcome.report.scenarios[0].connections_opened  # and no event of the contract was requested on one
        with pytest.raises(CannotCheck, match=r"accepted the connection of mira and ended it at once: close code 4401"):
            await verify(WEBSOCKET.format(address), identity__token="wrong")


async def test_a_login_in_the_first_message_is_performed() -> None:
    login = ConnectStep(emit="login", payload={"token": "{token}"}, wait_for="welcome")
    async with plain_server(LOGIN) as (address, _):
        outcome = await verify(WEBSOCKET.format(address), "auth-refused", connect=ConnectOptions(steps=(login,)))
        assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)


@pytest.mark.parametrize(("patience_s", "verdict"), [(1.0, Verdict.SKIPPED), (0.1, Verdict.INCONCLUSIVE)])
async def test_a_server_that_sends_no_pings_does_not_pass(
    patience_s: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wscheck.scenarios.zombie.PATIENT_S", patience_s)
    async with plain_server() as (address, _):
        outcome = await verify(WEBSOCKET.format(address), "zombie", target__timeout="500ms")
    assert outcome.report.scenarios[0].verdict is verdict, describe_outcome(outcome)


async def test_the_protocol_is_recognised() -> None:
    async with plain_server() as (address, _):
        outcome = await verify(STREAM.format(address), "single-connection")
        assert outcome.report.verdict is Verdict.PASSED
        outcome = await verify(f"ws://{address}", "single-connection", contract=False)
        assert outcome.report.verdict is Verdict.PASSED and outcome.report.target == f"ws://{address}"
        with pytest.raises(UsageError, match="the address of the server has a path, /nothing"):
            await verify(f"http://{address}/nothing")
        with pytest.raises(CannotCheck, match="does not open a WebSocket: it answers HTTP 404"):
            await verify(f"ws://{address}/nothing")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"identity__token_in": "auth.token"}, "nothing that the client sends contains it"),
        ({"connect__auth": {"a": "b"}}, "only Socket.IO sends an `auth` object"),
        ({"verify__server_log": ["server.log"]}, "`verify.server_log` was given"),
        ({"identity__token": None, "identity__second_token": None}, "nothing that the client sends distinguishes"),
    ],
)
async def test_what_the_protocol_cannot_carry_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        await verify("ws://127.0.0.1:9/chat", **settings)


async def test_a_step_with_an_acknowledgement_is_refused() -> None:
    login = ConnectStep(emit="login", payload={"token": "{token}"}, ack=True)
    with pytest.raises(UsageError, match=r"only Socket\.IO acknowledges events"):
        await verify("ws://127.0.0.1:9/chat", connect=ConnectOptions(steps=(login,)))
