"""Results of scenarios, computed from the events of a run by the rules of each scenario.

A recording produces the same verdict as the run that made it. A recording without scenarios is evaluated as a whole.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from wscheck.detect.changes import ClosedChange, ReplacedChange
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.event_order import merge_causally
from wscheck.detect.rules import BROWSER, DOCUMENTED, Rule, ranked
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.detect.verdict import Decision, Evidence, evidence_gaps, first_message, run_verdict, verdict
from wscheck.model.disconnect_reasons import (
    CLIENT_DISCONNECT,
    CLIENT_NAMESPACE_DISCONNECT,
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    SERVER_ENDED,
    TRANSPORT_ENDED,
)
from wscheck.model.events import (
    SOURCE_BROWSER,
    SOURCE_HAR,
    SOURCE_SERVER_LOG,
    AnyEvent,
    Connected,
    Delivered,
    Disconnected,
    Event,
    NotEvaluated,
    PhaseEnded,
    PhaseStarted,
    ProcessStalled,
    Refused,
    Replaced,
    Unreadable,
)
from wscheck.model.findings import Bar, Finding, Severity, Verdict
from wscheck.model.gaps import Gap, NotTried
from wscheck.model.report import Control, ScenarioResult
from wscheck.observe.traffic.inconclusive import page_gaps, unknown_owners
from wscheck.observe.traffic.redaction import is_stand_in
from wscheck.report.formatting import plural
from wscheck.run.verify.inconclusive import (
    discounted_rules,
    scenario_gaps,
    server_lost,
    server_unavailable,
    unanswered_attempts,
    unanswered_reason,
)
from wscheck.scenarios import SCENARIOS
from wscheck.scenarios.context import LONE_PAGE
from wscheck.scenarios.scenario import PhaseFigures

STALL_S = 0.25

UNKNOWN_SCENARIO = Gap(
    id="scenario-unknown",
    reason="this version of wscheck does not know the scenario",
    closes_with="the wscheck version that made the recording",
)
CUT_SHORT = Gap(id="run-interrupted", reason="the run was interrupted before this scenario ended")

ConnectionEdge = TypeVar("ConnectionEdge", Connected, Disconnected)

CLIENT_ENDED = frozenset({IO_CLIENT_DISCONNECT, CLIENT_NAMESPACE_DISCONNECT, CLIENT_DISCONNECT})
"""Reasons that mean that the client ended the connection, as it does at the end of a scenario."""

_DOCUMENTED_IDS = frozenset(rule.id for rule in DOCUMENTED)

PAGE_SOURCES = frozenset({SOURCE_BROWSER, SOURCE_HAR})


class Phase(msgspec.Struct):
    """Events from a PhaseStarted to its PhaseEnded, in the order of their time."""

    scenario: str
    name: str
    events: list[Event]
    ended: bool = False


def split_phases(events: Iterable[AnyEvent | Event]) -> Iterator[Phase]:
    """Yield the phases of a run. The last phase of an interrupted run has no end."""
    current: Phase | None = None
    for event in events:
        if isinstance(event, PhaseStarted):
            if current is not None:
                yield current
            current = Phase(event.scenario, event.phase, [event])
        elif current is not None:
            current.events.append(event)
            if isinstance(event, PhaseEnded):
                current.ended = True
                yield current
                current = None
    if current is not None:
        yield current


class _PhaseOutcome(msgspec.Struct):
    """Findings and figures of one phase.

    peak         the most connections open at once, over all users of the phase
    turned_away  number of connections that the server accepted and then ended, while another connection of the same
                 user stayed open
    stayed       number of connections that the server did not end
    processes    number of server processes that opened connections, according to the servers' logs
    """

    findings: list[Finding]
    opened: int
    peak: int
    replacements: int
    turned_away: int
    stayed: int
    processes: int
    refusals: list[Refused]
    received: dict[str, int]
    unjudged: list[NotEvaluated]
    gaps: list[Gap]
    duration_s: float


def _evaluate(phase: Phase, rules: Sequence[type[Rule]], options: RuleOptions) -> _PhaseOutcome:
    judge, opened = Judge(options, rules), set[str]()
    replacements = turned_away = peak = ended = 0
    nodes = set[str]()
    ordered = list(merge_causally(correlate_log_with_client(phase.events)))
    for event in ordered:
        for change in judge.feed(event):
            replacements += isinstance(change, ReplacedChange)
            if isinstance(change, ClosedChange):
                turned_away += _is_turned_away(change, options)
                ended += change.replaced or change.reason not in CLIENT_ENDED
        peak = max(peak, judge.ledger.open_count)
        if not isinstance(event, Connected) or event.sid is None or event.page == LONE_PAGE:
            continue
        if event.sid not in judge.ledger.engine_sessions:
            opened.add(event.sid)
            nodes.update([event.node] if event.node is not None else [])
    times = [event.at for event in ordered if event.at is not None]
    findings = judge.finish(max(times, default=None))
    return _PhaseOutcome(
        findings=findings,
        opened=len(opened),
        peak=peak,
        replacements=replacements,
        turned_away=turned_away,
        stayed=max(len(opened) - ended, 0),
        processes=len(nodes),
        refusals=[event for event in ordered if isinstance(event, Refused) and event.reason == "refused"],
        received=dict(Counter(event.name for event in ordered if isinstance(event, Delivered))),
        unjudged=[event for event in ordered if isinstance(event, NotEvaluated)],
        # The client observes its own connections. What a log lacks about them is no gap.
        gaps=[gap for gap in judge.gaps if not _DOCUMENTED_IDS.issuperset(gap.rules)],
        duration_s=max(times) - min(times) if times else 0.0,
    )


def _is_turned_away(closed: ClosedChange, options: RuleOptions) -> bool:
    """Return whether the server ended a connection because the same user has another one, which stays open.

    A lost transport counts only soon after the opening. Later it may be a fault of the network.
    """
    if closed.replaced or not closed.remaining:
        return False
    opened_at, at = closed.opening.at if closed.opening is not None else None, closed.event.at
    is_short = opened_at is not None and at is not None and at - opened_at <= options.grace_s
    return closed.reason in SERVER_ENDED or (is_short and closed.reason in TRANSPORT_ENDED)


def score_scenarios(events: Iterable[AnyEvent | Event], options: RuleOptions, bar: Bar) -> list[ScenarioResult]:
    """Return the result of each scenario, in the order of the run."""
    subjects: dict[str, Phase] = {}
    controls: dict[str, Phase] = {}
    examples: dict[Gap, str] = {}
    for phase in split_phases(events):
        (controls if phase.name == "control" else subjects)[phase.scenario] = phase
    return [_result(phase, controls.get(name), options, bar, examples) for name, phase in subjects.items()]


def _result(
    subject: Phase, control: Phase | None, options: RuleOptions, bar: Bar, examples: dict[Gap, str]
) -> ScenarioResult:
    scenario = SCENARIOS.get(subject.scenario)
    if scenario is None:
        unknown = verdict([], [UNKNOWN_SCENARIO], bar)
        return ScenarioResult(id=subject.scenario, verdict=unknown.verdict, reason=unknown.reason)
    outcome = _evaluate(subject, scenario.rules, scenario.rule_options(options))
    control_events = control.events if control is not None else ()
    discounted = discounted_rules(subject.events, control_events)
    outcome.findings = [finding for finding in outcome.findings if finding.rule not in discounted]
    faulty = _evaluate(control, scenario.control_rules, scenario.rule_options(options)) if control is not None else None
    shown = _control(faulty, control) if faulty is not None and control is not None else None
    if faulty is not None and shown is not None and not options.policy.is_set:
        undecided = scenario.policy_gap(shown, _figures(outcome, faulty.turned_away))
        if undecided is not None:
            outcome.findings, outcome.gaps = [], [undecided]
    if scenario.is_settled(_figures(outcome, 0), options):
        for finding in outcome.findings:
            _soften_overlap(finding)
    for finding in outcome.findings:
        finding.scenario = subject.scenario
        _mention_stall(finding, subject.events)
    gaps = [_with_example(gap, examples) for gap in _gaps(subject, outcome, shown, control_events)]
    decision = verdict(outcome.findings, gaps, bar, describe=first_message)
    return ScenarioResult(
        id=subject.scenario,
        verdict=decision.verdict,
        must_hold=scenario.claim,
        reason=decision.reason,
        duration_s=round(outcome.duration_s, 3),
        connections_opened=outcome.opened,
        connections_peak=outcome.peak,
        replacements=outcome.replacements,
        events_received=outcome.received,
        control=shown,
        findings=list(decision.findings),
        allowed=list(decision.allowed),
        gaps=list(decision.gaps),
    )


def _figures(outcome: _PhaseOutcome, turned_away: int) -> PhaseFigures:
    """Return what the server did with the connections of a scenario.

    turned_away  number of connections of the control that the server ended
    """
    return PhaseFigures(
        opened=outcome.opened, stayed=outcome.stayed, turned_away=turned_away, processes=outcome.processes
    )


def _soften_overlap(finding: Finding) -> None:
    """Make a finding about two connections that were open at once a warning, because the server ended one of them.

    The warning has no cause. Several connections of one page stay an error even if the server ends them.
    """
    pages = [event.page for event in finding.evidence if isinstance(event, Connected)]
    if finding.rule == MultipleConnections.id and len(pages) > 1 and len(set(pages)) == len(pages):
        finding.severity, finding.cause = Severity.WARNING, None
        finding.message += ", until the server ended all but the permitted ones"


def _gaps(
    subject: Phase, outcome: _PhaseOutcome, control: Control | None, control_events: Sequence[Event]
) -> list[Gap]:
    """Return the gaps (missing evidence) that prevent a verdict on a scenario, the most important first."""
    gaps = []
    evidence_gaps_first = unanswered_reason(subject.events) is not None or bool(server_unavailable(subject.events))
    if evidence_gaps_first:
        gaps += scenario_gaps(subject.events, control_events)
    if not server_unavailable(subject.events):
        gaps += [
            NotTried(id="not-tried", reason=event.reason)
            if event.skipped
            else Gap(id="not-evaluated", reason=event.reason)
            for event in outcome.unjudged
        ]
    gaps += outcome.gaps
    if not evidence_gaps_first:
        gaps += scenario_gaps(subject.events, control_events)
    gaps += unanswered_attempts(subject.events)
    gaps += unknown_owners(list(correlate_log_with_client(subject.events)))
    if not subject.ended:
        gaps.append(CUT_SHORT)
    if not outcome.opened and not outcome.refusals:
        messages = (f": {e.message}" for e in subject.events if isinstance(e, Refused) and e.message)
        gaps.append(Gap(id="no-connection", reason=f"no connection was observed{next(messages, '')}"))
    if control is not None and control.verdict is Verdict.INCONCLUSIVE:
        gaps.append(
            Gap(
                id="control-silent",
                reason="the control run (a client with the known fault) did not show the fault, "
                f"so this check could not have failed: {control.did}",
            )
        )
    return gaps


def _with_example(gap: Gap, examples: dict[Gap, str]) -> Gap:
    """Return `gap` with an example line of the log in its reason.

    Gaps that differ only in the example all get the first example, so that reports can group scenarios by reason.
    """
    if not gap.example:
        return gap
    example = examples.setdefault(msgspec.structs.replace(gap, example=""), gap.example)
    return msgspec.structs.replace(gap, reason=f"{gap.reason}. For example: {example}")


def _control(outcome: _PhaseOutcome, phase: Phase) -> Control:
    # A target that refuses or ends the second connection allows one per user. That is the effect of the fault.
    shows_fault = bool(outcome.findings) or bool(outcome.refusals) or bool(outcome.turned_away)
    return Control(
        client="per-component",
        did=_control_summary(outcome, phase),
        verdict=Verdict.FAILED if shows_fault else Verdict.INCONCLUSIVE,
        connections_opened=outcome.opened,
        connections_peak=outcome.peak,
        replacements=outcome.replacements,
        findings=[finding.rule for finding in outcome.findings],
    )


def _control_summary(outcome: _PhaseOutcome, phase: Phase) -> str:
    """Return a text about the control: how many connections the client opened, and what the server did with them."""
    clauses = [f"it opened {plural(outcome.opened, 'connection')}"] if outcome.opened else []
    if outcome.replacements:
        clauses.append(f"the server replaced {outcome.replacements}")
    if outcome.refusals:
        message = next((event.message for event in outcome.refusals if event.message), None)
        clauses.append(f"the server refused {len(outcome.refusals)}" + (f' ("{message}")' if message else ""))
    elif outcome.turned_away and not outcome.replacements:
        clauses.append(f"the server accepted and ended {outcome.turned_away}")
    elif outcome.opened > 1 and not outcome.replacements:
        clauses.append("the server kept them all")
    clauses.extend(gap.reason for gap in server_lost(phase.events))
    clauses.extend(event.reason for event in outcome.unjudged)
    return ", ".join(clauses) or "nothing was observed"


def _mention_stall(finding: Finding, events: Sequence[Event]) -> None:
    """Add to the message of `finding` that this machine stalled, because a stall causes ping timeouts by itself."""
    stalled = max((event.seconds for event in events if isinstance(event, ProcessStalled)), default=0.0)
    if stalled >= STALL_S:
        finding.message += f" (this machine stalled for {stalled:.1f} s meanwhile)"


def score_run(results: Sequence[ScenarioResult], bar: Bar, gaps: Sequence[Gap] = ()) -> Decision:
    """Return the verdict of the run. `gaps` are gaps (missing evidence) of the run as a whole."""
    parts = []
    for result in results:
        decision = Decision(verdict=result.verdict, reason=result.reason, gaps=tuple(result.gaps))
        parts.append((result.id, decision))
    return run_verdict(parts, gaps, bar)


def all_findings(results: Sequence[ScenarioResult]) -> list[Finding]:
    """Return the findings of all scenarios, the worst first."""
    return ranked(finding for result in results for finding in result.findings)


def all_allowed(results: Sequence[ScenarioResult]) -> list[Finding]:
    """Return the allowed findings of all scenarios, the worst first."""
    return ranked(finding for result in results for finding in result.allowed)


def correlate_log_with_client(events: Sequence[Event]) -> Iterator[Event]:
    """Yield `events` in the same order, after combining what the client and the server's log report of a connection.

    The log reports a connect or disconnect earlier than the client, but contains neither page nor component. Therefore
    page and component from the client's event are added to the log's event. For a disconnect, this is done only if the
    server ended the connection according to the client: the log knows the reasons of other ends better. The server
    process from the log is added to the client's event.

    If the client's events identify a user only by a token, the user gets the name from the log.
    """
    client_events = [event for event in events if event.source != SOURCE_SERVER_LOG]
    connects = {e.sid: e for e in client_events if isinstance(e, Connected) and e.page is not None}
    server_disconnects = {
        e.sid: e for e in client_events if isinstance(e, Disconnected) and e.reason == IO_SERVER_DISCONNECT
    }
    user_names, nodes = _user_names(events, connects), _nodes(events)
    for event in events:
        combined = event
        if isinstance(event, Connected) and event.node is None and event.sid in nodes:
            combined = msgspec.structs.replace(event, node=nodes[event.sid])
        if event.source == SOURCE_SERVER_LOG and isinstance(event, Connected) and event.sid in connects:
            combined = _with_log_location(connects[event.sid], event, source=SOURCE_SERVER_LOG)
        elif event.source == SOURCE_SERVER_LOG and isinstance(event, Disconnected) and event.sid in server_disconnects:
            observed = server_disconnects[event.sid]
            combined = _with_log_location(observed, event, source=observed.source)
        name = user_names.get(combined.user)
        yield combined if name is None else msgspec.structs.replace(combined, user=name)


def _with_log_location(observed: ConnectionEdge, logged: ConnectionEdge, source: str) -> ConnectionEdge:
    """Return the client's event with time, process, file and line of the log's event, and with `source`."""
    return msgspec.structs.replace(
        observed, at=logged.at, source=source, node=logged.node, path=logged.path, line=logged.line
    )


def _nodes(events: Iterable[Event]) -> dict[str | None, str]:
    """Return a dict of socket id to server process, for the connections whose process the logs report."""
    logged = (e for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG)
    return {event.sid: event.node for event in logged if event.node is not None and event.sid is not None}


def _user_names(events: Iterable[Event], connects: Mapping[str | None, Connected]) -> dict[str | None, str]:
    """Return a dict of stand-in to the user's name in the log.

    A stand-in is the id that wscheck makes up for a user if the page sends only a token. `connects` maps socket ids to
    the connects that the client observed.
    """
    names: dict[str | None, str] = {}
    for event in events:
        if event.source != SOURCE_SERVER_LOG or not isinstance(event, Connected) or event.user is None:
            continue
        observed = connects.get(event.sid)
        if observed is not None and observed.user is not None and is_stand_in(observed.user):
            names[observed.user] = event.user
    return names


def evaluate_observed(
    events: Sequence[AnyEvent], options: RuleOptions, bar: Bar, gaps: Sequence[Gap] = ()
) -> tuple[list[Finding], Decision]:
    """Return all findings, including the allowed ones, and the verdict for a recording of logs or pages.

    The rules, and the order of evaluation, are those of the recorded run. Rules about pages find nothing in logs.
    `gaps` are the gaps (missing evidence) of the recording itself.
    """
    judge = Judge(options, BROWSER)
    for event in events:
        judge.feed(event)
    findings = judge.finish()
    return findings, verdict(findings, [*evidence_gaps(_evidence(events, judge)), *gaps], bar)


def _evidence(events: Sequence[Event], judge: Judge) -> Evidence:
    connections = [event for event in events if isinstance(event, Connected | Disconnected | Replaced)]
    from_pages = any(event.source in PAGE_SOURCES for event in events)
    return Evidence(
        connections=len(connections),
        unreadable=sum(isinstance(event, Unreadable) for event in events),
        ledger=judge.ledger,
        timed=any(event.at is not None for event in connections),
        gaps=[*(page_gaps(events) if from_pages else []), *judge.gaps],
    )
