"""The verb: drive the scenarios at a server, gather what every source saw, and come to a report."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from wscheck.config.settings import redact_url
from wscheck.detect.engine import RuleOptions
from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.model.events import (
    SOURCE_CLIENT,
    SOURCE_SCENARIO,
    SOURCE_SERVER_LOG,
    AnyEvent,
    Disconnected,
    Event,
    PhaseEnded,
    PhaseStarted,
    Refused,
    SourceStarted,
)
from wscheck.model.findings import Bar, Severity
from wscheck.model.gaps import INTERRUPTED, Gap
from wscheck.model.report import VerifyReport
from wscheck.observe.client.console_messages import Narrate, silent
from wscheck.observe.client.task_cancel import ended
from wscheck.observe.heartbeat import monitor_event_loop
from wscheck.observe.logs.server_log import ServerLog
from wscheck.observe.recording import load_recording
from wscheck.run.verify.inconclusive import OTHER_EVENTS, credentials_refused, sent_no_documented_event
from wscheck.run.verify.logs import caught_up, only_ours
from wscheck.run.verify.recording import evaluate_observed
from wscheck.run.verify.scoring import assess, merged, overall
from wscheck.run.verify.targets import EmbeddedServers, RemoteServer
from wscheck.scenarios import DOCUMENTED_SCENARIOS, SCENARIOS, Scenario
from wscheck.scenarios.context import Cast, Stage
from wscheck.scenarios.event_handling import EventHandling
from wscheck.scenarios.real_page import RealPage

SCHEMA = "wscheck.verify/1"


class ReportProgress(Protocol):
    """Hears how far a run is; the command draws it."""

    def __call__(self, scenario: str, done: int, of: int) -> None: ...


class VerifyOutcome(msgspec.Struct):
    """A run's report, and the events it stands on."""

    report: VerifyReport
    events: list[AnyEvent]


class VerifyRun(msgspec.Struct):
    """What to verify. `scenarios` are ids, in the order of the registry. `page` plays the documented ones."""

    arena: EmbeddedServers | RemoteServer
    scenarios: Sequence[str]
    client: str
    options: RuleOptions
    bar: Bar
    narrate: Narrate = silent
    page: RealPage | None = None

    def subject(self, scenario: Scenario) -> Callable[[Stage], Any]:
        """What the subject of `scenario` is: the client under test, or of a documented one the real page."""
        if self.page is None or type(scenario) not in DOCUMENTED_SCENARIOS:
            return scenario.drive
        return partial(self.page.drive, scenario.id)


async def run_verify(run: VerifyRun, progress: ReportProgress = lambda scenario, done, of: None) -> VerifyOutcome:
    """Drive, judge, report. Cancelled (Ctrl-C), it reports what it has and says so. Raises CannotCheck."""
    began, parts, interrupted = time.time(), _Parts(), False
    try:
        async with run.arena.opened():
            await _drive_all(run, parts, progress)
    except asyncio.CancelledError:
        interrupted = True
    events = parts.records_in_order(run.scenarios)
    gaps = [INTERRUPTED] if interrupted else []
    report = _report(events, run.options, run.bar, gaps, target=run.arena.target, client=run.client)
    report.started_at, report.duration_s = began, round(time.time() - began, 3)
    if run.page is not None:
        report.options["page"] = redact_url(run.page.url)
    report.interrupted = interrupted
    return VerifyOutcome(report, events)


def evaluate_recording(path: Path, bar: Bar | None = None) -> VerifyOutcome:
    """Judge a recording anew, by the options it was made with. Raises BadEvidence."""
    header, events = load_recording(path)
    options = msgspec.convert(
        {k: v for k, v in header.options.items() if k in RuleOptions.__struct_fields__}, RuleOptions
    )
    recorded = Bar(Severity(header.options.get("fail_on", "error")), bool(header.options.get("strict", False)))
    gaps = [INTERRUPTED] if header.interrupted else []
    report = _report(events, options, bar or recorded, gaps, target=header.target, client=header.client)
    if not report.scenarios:
        report.findings, decision = evaluate_observed(events, options, bar or recorded, gaps)
        report.verdict, report.reason = decision.verdict, decision.reason
    if (page := header.options.get("page")) is not None:
        report.options["page"] = page
    report.started_at = header.started_at
    times = [event.at for event in events if event.at is not None]
    report.duration_s = round(max(times) - min(times), 3) if times else 0.0
    report.interrupted = header.interrupted
    return VerifyOutcome(report, events)


def _report(
    events: Sequence[AnyEvent], options: RuleOptions, bar: Bar, gaps: Sequence[Gap], *, target: str, client: str
) -> VerifyReport:
    results = assess(events, options, bar)
    decision = overall(results, bar, gaps)
    return VerifyReport(
        schema=SCHEMA,
        target=target,
        client=client,
        verdict=decision.verdict,
        reason=decision.reason,
        options=options.to_dict(bar),
        scenarios=results,
        findings=merged(results),
    )


class _Parts:
    """The events of each scenario's phases, in the order they began; kept as they come, for an interrupted run."""

    def __init__(self) -> None:
        self._stages: dict[str, list[Stage]] = {}

    def add(self, scenario: str, stage: Stage) -> None:
        self._stages.setdefault(scenario, []).append(stage)

    def records_in_order(self, scenarios: Sequence[str]) -> list[Any]:
        return [event for name in scenarios for stage in self._stages.get(name, ()) for event in stage.events]


async def _drive_all(run: VerifyRun, parts: _Parts, progress: ReportProgress) -> None:
    gate, done, lost, unanswered = asyncio.Semaphore(run.arena.at_once), 0, "", ""

    async def drive(name: str) -> None:
        nonlocal done, lost, unanswered
        async with gate, run.arena.place() as (cast, logs):
            scenario = SCENARIOS[name]
            progress(name, done, len(run.scenarios))
            for phase, act in (("subject", run.subject(scenario)), ("control", scenario.control)):
                if lost and phase == "control":
                    break
                stage = Stage(cast, narrate=run.narrate, unanswered=unanswered)
                parts.add(name, stage)
                here = _Phase(scenario, phase, stage, logs)
                if lost:
                    _leave_out(here, lost)
                else:
                    lost = await _play(here, act, run.arena)
                    unanswered = unanswered or _silence(here)
            done += 1
            progress(name, done, len(run.scenarios))

    tasks = [asyncio.ensure_future(drive(name)) for name in run.scenarios]
    try:
        done_first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done_first:
            task.result()
    finally:
        await ended(tasks)


class _Phase(msgspec.Struct):
    scenario: Scenario
    name: str
    stage: Stage
    logs: list[ServerLog]


def _leave_out(phase: _Phase, lost: str) -> None:
    """Every further scenario would only meet the same silence, each for as long as a connection may take, or the same
    refusal, which would seem to be right where one is asked for."""
    here: dict[str, Any] = {"source": SOURCE_SCENARIO, "scenario": phase.scenario.id, "phase": phase.name}
    phase.stage.record(PhaseStarted(at=time.time(), **here))
    phase.stage.unjudged(f"not tried: {lost}")
    phase.stage.record(PhaseEnded(at=time.time(), **here))


def _silence(phase: _Phase) -> str:
    """That every event of the documented contract was asked for, and none came: asked again, none would."""
    if phase.scenario.id != EventHandling.id or not sent_no_documented_event(phase.stage.events):
        return ""
    asked = [event.emit for event in phase.stage.contract.events if event.emit is not None]
    return OTHER_EVENTS if all(map(phase.stage.emitted, asked)) else ""


async def _play(phase: _Phase, act: Callable[[Stage], Any], arena: EmbeddedServers | RemoteServer) -> str:
    """One phase: begin, listen to the logs, act, let the logs catch up, end, and leave the server alone again.

    Returns why nothing further can be tried, "" when it can.
    """
    stage, cast, lost = phase.stage, phase.stage.cast, ""
    stage.record(PhaseStarted(at=time.time(), source=SOURCE_SCENARIO, scenario=phase.scenario.id, phase=phase.name))
    for log in phase.logs:
        stage.record(SourceStarted(at=time.time(), source=SOURCE_SERVER_LOG, path=log.name))
        log.start_phase(stage.record)
    try:
        async with monitor_event_loop(stage.record):
            try:
                async with asyncio.timeout(_patience(cast)):
                    await act(stage)
            except TimeoutError:
                stage.unjudged(f"the scenario did not end within {_patience(cast):g} s")
            if any(map(_hints_at_loss, stage.events)) and await _say_if_lost(stage, arena):
                lost = f"the server went away during {phase.scenario.id}"
            elif phase.name == "subject" and credentials_refused(stage.events):
                lost = f"the server refused the user's own credentials during {phase.scenario.id}"
            await caught_up(phase.logs, stage)
        stage.events = only_ours(stage.events)
        stage.record(PhaseEnded(at=time.time(), source=SOURCE_SCENARIO, scenario=phase.scenario.id, phase=phase.name))
    finally:
        for log in phase.logs:
            log.sink = None
        await stage.leave()
    return lost


def _patience(cast: Cast) -> float:
    """No server may hold a run for ever: every wait of a scenario, twice over."""
    return 2 * cast.target.timeout_s + 10 * cast.window + sum(e.within for e in cast.contract.events)


def _hints_at_loss(event: Event) -> bool:
    if isinstance(event, Refused):
        return event.reason in ("timeout", "unreachable")
    return isinstance(event, Disconnected) and event.reason == TRANSPORT_CLOSE


async def _say_if_lost(stage: Stage, arena: EmbeddedServers | RemoteServer) -> bool:
    lost = await arena.lost()
    if lost is not None:
        user = stage.cast.user.user
        stage.record(Refused(at=time.time(), source=SOURCE_CLIENT, user=user, reason="unreachable", message=lost))
    return lost is not None
