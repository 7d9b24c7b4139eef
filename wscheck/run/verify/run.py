"""Run of the scenarios against a server, and its report.

Each scenario has two phases: the subject (the client under test) and the control (a run of the fault of docs/origin.md,
which shows that the scenario can fail).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from wscheck.config.settings import redact_url
from wscheck.detect.allowed_findings import allow_notes
from wscheck.detect.engine import RuleOptions
from wscheck.detect.rules.event_duplicated import EventDuplicated
from wscheck.detect.rules.log_silent import unlogged
from wscheck.model.allow_list import AllowList
from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.model.events import (
    SOURCE_CLIENT,
    SOURCE_HEARTBEAT,
    SOURCE_SCENARIO,
    SOURCE_SERVER_LOG,
    AnyEvent,
    Connected,
    Disconnected,
    Event,
    PhaseEnded,
    PhaseStarted,
    ProcessStalled,
    Refused,
    Replaced,
    SourceStarted,
    Unreadable,
)
from wscheck.model.findings import Bar, Severity
from wscheck.model.gaps import INTERRUPTED, Gap
from wscheck.model.policy import Connections
from wscheck.model.report import Scope, VerifyReport, suggested_options
from wscheck.observe.client.cancellation import cancel_all
from wscheck.observe.client.console_messages import ConsoleLog, discard_line
from wscheck.observe.logs.server_log import ServerLog
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.recording import load_recording
from wscheck.run.verify.inconclusive import (
    OTHER_EVENTS,
    READ_ERROR,
    UNKNOWN_WORDING,
    credentials_refused,
    sent_no_documented_event,
)
from wscheck.run.verify.scoring import all_allowed, all_findings, evaluate_observed, score_run, score_scenarios
from wscheck.run.verify.targets import EmbeddedServers, RemoteServer
from wscheck.scenarios import DOCUMENTED_SCENARIOS, SCENARIOS, Scenario
from wscheck.scenarios.context import ScenarioContext, ScenarioSettings
from wscheck.scenarios.event_handling import EventHandling
from wscheck.scenarios.real_page import RealPage

SCHEMA = "wscheck.verify/1"

HEARTBEAT_INTERVAL_S = 0.05
STALL_THRESHOLD_S = 0.25

_LOGGED_EVENT_TYPES = {"connected": Connected, "replaced": Replaced, "disconnected": Disconnected}

MAX_LOG_DELAY_S = 1.0
"""Seconds by which a log may lag behind the server."""


class ReportProgress(Protocol):
    """Callback for the progress of a run: the scenario that starts or ends, and how many of all are done."""

    def __call__(self, scenario: str, done: int, total: int, /) -> None: ...


class VerifyOutcome(msgspec.Struct):
    """Report of a run, and the events that it is based on."""

    report: VerifyReport
    events: list[AnyEvent]


class VerifyRun(msgspec.Struct):
    """Plan of a run.

    servers    server or servers that the scenarios run against
    scenarios  ids of the scenarios, in the order of the run
    client     "unified" (one connection for all components) or "per-component"
    options    options of the rules
    bar        criteria by which the run fails
    console    function that is called with each console line of the simulated client
    page       page that replaces the simulated client in single-connection, event-handling and component-sharing
    """

    servers: EmbeddedServers | RemoteServer
    scenarios: Sequence[str]
    client: str
    options: RuleOptions
    bar: Bar
    console: ConsoleLog = discard_line
    page: RealPage | None = None

    def subject(self, scenario: Scenario) -> Callable[[ScenarioContext], Any]:
        """Return the function that runs `scenario` on the client under test or on the page."""
        if self.page is None or type(scenario) not in DOCUMENTED_SCENARIOS:
            return scenario.run
        return partial(self.page.run, scenario.id)


async def run_verify(run: VerifyRun, progress: ReportProgress = lambda scenario, done, total: None) -> VerifyOutcome:
    """Run the scenarios, evaluate their events and return the report.

    A cancelled run (Ctrl-C) returns a partial report that is marked as interrupted.

    Raises:
        CannotCheck: The server is unreachable, or refuses the credentials.
    """
    started_at, recorded, interrupted = time.time(), _RecordedPhases(), False
    redactor = run.servers.redactor
    try:
        with redactor.redact_errors():
            async with run.servers.prepared():
                await _run_all(run, recorded, progress)
    except asyncio.CancelledError:
        interrupted = True
    events = recorded.events(run.scenarios)
    gaps = [INTERRUPTED] if interrupted else []
    report = _report(events, run.options, run.bar, gaps, target=run.servers.display_name, client=run.client)
    report.started_at, report.duration_s = started_at, round(time.time() - started_at, 3)
    if run.page is not None:
        report.options["page"] = redact_url(run.page.url)
    report.scope = _scope(report)
    report.interrupted = interrupted
    return redactor.redact_data(VerifyOutcome(report, events))


def evaluate_recording(
    path: Path, bar: Bar | None = None, allow: AllowList | None = None, connections: Connections | None = None
) -> VerifyOutcome:
    """Evaluate a recording with the options of the run that made it.

    `bar` contains the criteria that fail a run (--fail-on, --strict); None takes them from the recording too.
    `allow` contains the findings that do not count.
    `connections` is the policy (--connections); None takes it from the recording too.

    Raises:
        BadEvidence: The file is not a recording, or is damaged.
    """
    header, events = load_recording(path)
    options = msgspec.convert(
        {k: v for k, v in header.options.items() if k in RuleOptions.__struct_fields__}, RuleOptions
    )
    if connections is not None:
        options = msgspec.structs.replace(options, connections=connections)
    recorded = Bar(Severity(header.options.get("fail_on", "error")), bool(header.options.get("strict", False)))
    applied = msgspec.structs.replace(bar or recorded, allow=allow or AllowList())
    gaps = [INTERRUPTED] if header.interrupted else []
    report = _report(events, options, applied, gaps, target=header.target, client=header.client)
    if (page := header.options.get("page")) is not None:
        report.options["page"] = page
    report.scope = _scope(report)
    if not report.scenarios:
        report.scope = Scope(checked="the events of the recording", not_checked="anything that happened later")
        findings, decision = evaluate_observed(events, options, applied, gaps)
        report.verdict, report.reason, report.gaps = decision.verdict, decision.reason, list(decision.gaps)
        report.findings, report.allowed = list(decision.findings), list(decision.allowed)
        report.allow_notes = allow_notes(findings, applied.allow)
    report.started_at = header.started_at
    times = [event.at for event in events if event.at is not None]
    report.duration_s = round(max(times) - min(times), 3) if times else 0.0
    report.interrupted = header.interrupted
    return VerifyOutcome(report, events)


def _report(
    events: Sequence[AnyEvent], options: RuleOptions, bar: Bar, gaps: Sequence[Gap], *, target: str, client: str
) -> VerifyReport:
    results = score_scenarios(events, options, bar)
    decision = score_run(results, bar, gaps)
    findings, allowed = all_findings(results), all_allowed(results)
    return VerifyReport(
        schema=SCHEMA,
        target=target,
        client=client,
        verdict=decision.verdict,
        reason=decision.reason,
        gaps=list(decision.gaps),
        options=options.to_dict(bar),
        scenarios=results,
        findings=findings,
        allowed=allowed,
        allow_notes=allow_notes([*findings, *allowed], bar.allow),
    )


def _scope(report: VerifyReport) -> Scope:
    """Return the scope of a run of scenarios: the server and the client, and how many of the scenarios were chosen."""
    embedded = report.target == EmbeddedServers.display_name
    server = f"the {report.target}" if embedded else "the server"
    page = report.options.get("page")
    client = "the page and wscheck's own client" if page else "wscheck's own client"
    chosen, known = len(report.scenarios), len(SCENARIOS)
    part = f" ({chosen} of {known} scenarios)" if chosen < known else ""
    if embedded:
        rest, command = "your server and your frontend", "wscheck verify URL"
    else:
        rest, command = "your other pages" if page else "your frontend", "wscheck browser URL"
    return Scope(checked=f"{server}, with {client}{part}", not_checked=rest, closes_with=command)


class _RecordedPhases:
    """Recorded phases of each scenario. An interrupted run is reported from the phases recorded until then."""

    def __init__(self) -> None:
        self._contexts: dict[str, list[ScenarioContext]] = {}

    def add(self, scenario: str, context: ScenarioContext) -> None:
        self._contexts.setdefault(scenario, []).append(context)

    def events(self, scenarios: Sequence[str]) -> list[Any]:
        """Return all events, in the order of `scenarios` and of their phases."""
        return [event for name in scenarios for context in self._contexts.get(name, ()) for event in context.events]


async def _run_all(run: VerifyRun, recorded: _RecordedPhases, progress: ReportProgress) -> None:
    """Run the scenarios, as many at once as the servers allow.

    If the server stops answering, the remaining scenarios are recorded as not tried.
    """
    slots, done, lost_reason, no_answer_reason = asyncio.Semaphore(run.servers.max_parallel), 0, "", ""

    async def run_scenario(name: str) -> None:
        nonlocal done, lost_reason, no_answer_reason
        async with slots, run.servers.for_scenario(name) as (settings, logs):
            scenario = SCENARIOS[name]
            progress(name, done, len(run.scenarios))
            skip_reason = scenario.skip_reason(settings)
            for phase_name, act in (("subject", run.subject(scenario)), ("control", scenario.run_control)):
                if (lost_reason or skip_reason) and phase_name == "control":
                    break
                context = ScenarioContext(settings, console=run.console, no_answer_reason=no_answer_reason)
                recorded.add(name, context)
                phase = _PhaseRun(scenario, phase_name, context, logs)
                if lost_reason:
                    _record_untried(phase, f"not tried: {lost_reason}")
                elif skip_reason:
                    _record_untried(phase, skip_reason, skipped=True)
                else:
                    lost_reason = await _run_phase(phase, act, run.servers)
                    no_answer_reason = no_answer_reason or _no_answer_reason(phase)
            done += 1
            progress(name, done, len(run.scenarios))

    tasks = [asyncio.ensure_future(run_scenario(name)) for name in run.scenarios]
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in finished:
            task.result()
    finally:
        await cancel_all(tasks)


class _PhaseRun(msgspec.Struct):
    """One phase ("subject" or "control") of a scenario, and the server logs to read during it."""

    scenario: Scenario
    name: str
    context: ScenarioContext
    logs: list[ServerLog]


def _record_untried(phase: _PhaseRun, reason: str, *, skipped: bool = False) -> None:
    """Record that a phase was not run, because the scenario does not apply (`skipped`) or the server is gone.

    Without an answering server, each connection would only fail after its timeout, and a scenario that expects a
    refusal would even seem to pass.
    """
    fields: dict[str, Any] = {"source": SOURCE_SCENARIO, "scenario": phase.scenario.id, "phase": phase.name}
    phase.context.record(PhaseStarted(at=time.time(), **fields))
    (phase.context.skip if skipped else phase.context.mark_not_evaluated)(reason)
    phase.context.record(PhaseEnded(at=time.time(), **fields))


def _no_answer_reason(phase: _PhaseRun) -> str:
    """Return the reason why later phases need not wait for answers to their requests, "" if there is none.

    If event-handling has requested every event of docs/origin.md and received none, the server does not know these
    requests.
    """
    if phase.scenario.id != EventHandling.id or not sent_no_documented_event(phase.context.events):
        return ""
    requests = [event.emit for event in phase.context.contract.events if event.emit is not None]
    return OTHER_EVENTS if all(map(phase.context.has_emitted, requests)) else ""


async def _run_phase(
    phase: _PhaseRun, act: Callable[[ScenarioContext], Any], servers: EmbeddedServers | RemoteServer
) -> str:
    """Run one phase while reading the server logs, and close its connections.

    Return the reason why no further phase can be tried, "" if there is none.
    """
    context, settings, lost_reason = phase.context, phase.context.settings, ""
    context.record(PhaseStarted(at=time.time(), source=SOURCE_SCENARIO, scenario=phase.scenario.id, phase=phase.name))
    for log in phase.logs:
        context.record(SourceStarted(at=time.time(), source=SOURCE_SERVER_LOG, path=log.name))
        log.start_phase(context.record)
    try:
        async with monitor_event_loop(context.record):
            try:
                async with asyncio.timeout(_phase_timeout_s(settings)):
                    await act(context)
                    await context.observe_loop()
                    if phase.name == "subject" and EventDuplicated in phase.scenario.rules:
                        await context.try_copies_again()
            except TimeoutError:
                context.mark_not_evaluated(f"the scenario did not end within {_phase_timeout_s(settings):g} s")
            if any(map(_may_be_server_loss, context.events)) and await _record_server_loss(context, servers):
                lost_reason = f"the server went away during {phase.scenario.id}"
            elif phase.name == "subject" and credentials_refused(context.events):
                lost_reason = f"the server refused the user's own credentials during {phase.scenario.id}"
            await wait_for_logs(phase.logs, context)
        context.events = own_events(context.events)
        context.record(PhaseEnded(at=time.time(), source=SOURCE_SCENARIO, scenario=phase.scenario.id, phase=phase.name))
    finally:
        for log in phase.logs:
            log.sink = None
        await context.close_pages()
    return lost_reason


def _phase_timeout_s(settings: ScenarioSettings) -> float:
    """Return the seconds after which a phase is aborted: about twice the sum of its longest waits."""
    watched_s = settings.attempts_window_s if settings.reconnect_delay_s is not None else 0.0
    return (
        2 * settings.target.timeout_s
        + 10 * settings.window_s
        + watched_s
        + sum(e.within for e in settings.contract.events)
    )


def _may_be_server_loss(event: Event) -> bool:
    if isinstance(event, Refused):
        return event.reason in ("timeout", "unreachable")
    return isinstance(event, Disconnected) and event.reason == TRANSPORT_CLOSE


async def _record_server_loss(context: ScenarioContext, servers: EmbeddedServers | RemoteServer) -> bool:
    """Test whether the server still answers. If not, record that and return True."""
    problem = await servers.problem()
    if problem is not None:
        user = context.settings.user.user
        context.record(Refused(at=time.time(), source=SOURCE_CLIENT, user=user, reason="unreachable", message=problem))
    return problem is not None


@asynccontextmanager
async def monitor_event_loop(record: Callable[[Event], None]) -> AsyncIterator[None]:
    """Record a `ProcessStalled` event whenever this event loop is late by more than STALL_THRESHOLD_S.

    While it stalls, ping timeouts are not the server's fault.
    """

    async def monitor() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
            delay = time.monotonic() - before - HEARTBEAT_INTERVAL_S
            if delay > STALL_THRESHOLD_S:
                record(ProcessStalled(at=time.time(), source=SOURCE_HEARTBEAT, seconds=round(delay, 3)))

    task = asyncio.ensure_future(monitor())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_for_logs(logs: Sequence[ServerLog], context: ScenarioContext) -> None:
    """Wait until the logs contain every connection of the client, at most `MAX_LOG_DELAY_S`.

    Then record which logs could not be read. If no log reports a connection in words that are known, record the log
    message that contains one of the connection's ids.
    """
    if not logs:
        return
    sids = {e.sid for e in context.events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG}
    await context.wait_patiently(lambda: sids <= _logged_sids(context.events), MAX_LOG_DELAY_S if sids else 0.0)
    for log in logs:
        log.catch_up()
    for log in (each for each in logs if each.read_error):
        context.record(
            Unreadable(at=time.time(), source=SOURCE_SERVER_LOG, path=log.name, reason=READ_ERROR, text=log.read_error)
        )
    for connection in unlogged(own_events(context.events))[:1]:
        _record_unknown_message(logs, connection, context)


def _logged_sids(events: Sequence[Event]) -> set[str | None]:
    return {e.sid for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG}


def _record_unknown_message(logs: Sequence[ServerLog], connection: Connected, context: ScenarioContext) -> None:
    """Record the first log message that contains the connection's socket id, or else its user."""
    for needle in filter(None, (connection.sid, connection.user)):
        for log in logs:
            if message := log.find_mention([needle]):
                fields: dict[str, Any] = {"source": SOURCE_SERVER_LOG, "user": connection.user, "path": log.name}
                options = _options_to_read(log, context.events)
                reason = f"{UNKNOWN_WORDING}: {options}" if options else UNKNOWN_WORDING
                context.record(Unreadable(at=time.time(), **fields, reason=reason, text=message, closes_with=options))
                return


def _options_to_read(log: ServerLog, events: Sequence[Event]) -> str:
    """Return the command-line options with which this log can be read, "" if none can be proposed."""
    logged_types = {type(event) for event in events if event.source == SOURCE_SERVER_LOG}
    missing_kinds = [kind for kind, event_type in _LOGGED_EVENT_TYPES.items() if event_type not in logged_types]
    connected = [e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG]
    ids = Ids({e.sid for e in connected if e.sid}, {e.user for e in connected if e.user})
    return suggested_options(log.proposals(missing_kinds, ids))


def own_events(events: Sequence[Event]) -> list[Event]:
    """Return `events` without those that the server's log reports about connections of other clients.

    A shared server has other clients, and a log may still report connections of a phase that has ended.
    """
    own_sids = {e.sid for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG} | {None}
    own_users = {e.user for e in events if e.source != SOURCE_SERVER_LOG} | {None}

    def is_own(event: Event) -> bool:
        if isinstance(event, Connected | Disconnected) and event.sid is not None and event.sid in own_sids:
            return True  # the log may name the user differently than the page, which may not name one at all
        if isinstance(event, Replaced) and event.old_sid is not None:
            return event.old_sid in own_sids  # for the same reason
        if event.user not in own_users:
            return False
        if isinstance(event, Replaced):
            return event.new_sid in own_sids
        return not isinstance(event, Connected | Disconnected) or event.sid in own_sids

    return [event for event in events if event.source != SOURCE_SERVER_LOG or is_own(event)]
