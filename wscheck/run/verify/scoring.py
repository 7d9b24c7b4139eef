"""Scenario results computed from the events of a run, each by the scenario's own rules.

A recording gives the same verdict as the run that made it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from wscheck.detect.changes import ReplacedChange
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.event_order import merge_causally
from wscheck.detect.rules import Rule, ranked
from wscheck.detect.verdict import Decision, first_message, run_verdict, verdict
from wscheck.model.events import (
    SOURCE_SCENARIO,
    AnyEvent,
    Connected,
    Delivered,
    Event,
    NotEvaluated,
    PhaseEnded,
    PhaseStarted,
    ProcessStalled,
    Refused,
)
from wscheck.model.findings import Bar, Finding, Verdict
from wscheck.model.gaps import Gap, NotTried
from wscheck.model.report import Control, ScenarioResult
from wscheck.observe.traffic.inconclusive import unknown_owners
from wscheck.report.formatting import plural
from wscheck.run.verify.correlate import correlate_log_with_client
from wscheck.run.verify.inconclusive import discounted_rules, scenario_gaps, server_lost, server_unavailable
from wscheck.scenarios import SCENARIOS
from wscheck.scenarios.scenario import Scenario

STALL_S = 0.25

UNKNOWN_SCENARIO = Gap(
    reason="this version of wscheck does not know the scenario",
    closes_with="the wscheck version that made the recording",
)
CUT_SHORT = Gap(reason="the run was interrupted before this scenario ended")


class Phase(msgspec.Struct):
    """Events from a PhaseStarted to its PhaseEnded, in the order of their time."""

    scenario: str
    name: str
    events: list[Event]
    ended: bool = False


def split_phases(events: Iterable[AnyEvent | Event]) -> Iterator[Phase]:
    """Yield the split_phases of a run. The last phase of an interrupted run has no end."""
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
    """Findings and figures of one phase. `peak`: the most connections open at once, over all its users."""

    findings: list[Finding]
    opened: int
    peak: int
    replacements: int
    refusals: list[Refused]
    received: dict[str, int]
    unjudged: list[NotEvaluated]
    duration_s: float


def _evaluate(phase: Phase, rules: Sequence[type[Rule]], options: RuleOptions) -> _PhaseOutcome:
    judge, opened = Judge(options, rules), set[str]()
    replacements = peak = 0
    ordered = list(merge_causally(correlate_log_with_client(phase.events)))
    for event in ordered:
        for change in judge.feed(event):
            replacements += isinstance(change, ReplacedChange)
        peak = max(peak, judge.ledger.open_count)
        if isinstance(event, Connected) and event.sid is not None and event.sid not in judge.ledger.engine_sessions:
            opened.add(event.sid)
    times = [event.at for event in ordered if event.at is not None]
    return _PhaseOutcome(
        findings=judge.finish(max(times, default=None)),
        opened=len(opened),
        peak=peak,
        replacements=replacements,
        refusals=[event for event in ordered if isinstance(event, Refused) and event.reason == "refused"],
        received=dict(Counter(event.name for event in ordered if isinstance(event, Delivered))),
        unjudged=[event for event in ordered if isinstance(event, NotEvaluated)],
        duration_s=max(times) - min(times) if times else 0.0,
    )


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
    outcome = _evaluate(subject, scenario.rules, options)
    control_events = control.events if control is not None else ()
    discounted = discounted_rules(subject.events, control_events)
    outcome.findings = [finding for finding in outcome.findings if finding.rule not in discounted]
    shown = _control(scenario, control, options) if control is not None else None
    if shown is not None and (moot := scenario.not_applicable_reason(shown, outcome.replacements)) is not None:
        outcome.findings = []
        outcome.unjudged = [NotEvaluated(at=None, source=SOURCE_SCENARIO, reason=moot, skipped=True)]
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
        findings=outcome.findings,
        gaps=list(decision.gaps),
    )


def _gaps(
    subject: Phase, outcome: _PhaseOutcome, control: Control | None, control_events: Sequence[Event]
) -> list[Gap]:
    """Return what prevents a verdict on a scenario, the most important gap first."""
    gaps = []
    if not server_unavailable(subject.events):
        gaps += [(NotTried if event.skipped else Gap)(reason=event.reason) for event in outcome.unjudged]
    gaps += scenario_gaps(subject.events, control_events)
    gaps += unknown_owners(list(correlate_log_with_client(subject.events)))
    if not subject.ended:
        gaps.append(CUT_SHORT)
    if not outcome.opened and not outcome.refusals:
        messages = (f": {e.message}" for e in subject.events if isinstance(e, Refused) and e.message)
        gaps.append(Gap(reason=f"no connection was seen{next(messages, '')}"))
    if control is not None and control.verdict is Verdict.INCONCLUSIVE:
        gaps.append(Gap(reason=f"the control shows nothing, so this check could not have failed: {control.did}"))
    return gaps


def _with_example(gap: Gap, examples: dict[Gap, str]) -> Gap:
    """Return `gap` with its example in the reason.

    All scenarios quote the example of the first one, so that reports can group scenarios with the same reason.
    """
    if not gap.example:
        return gap
    example = examples.setdefault(msgspec.structs.replace(gap, example=""), gap.example)
    return msgspec.structs.replace(gap, reason=f"{gap.reason}. It says: {example}")


def _control(scenario: Scenario, phase: Phase, options: RuleOptions) -> Control:
    outcome = _evaluate(phase, scenario.control_rules, options)
    # A target that refuses the second connection allows one per user: the refusal shows the fault.
    shows_fault = bool(outcome.findings) or bool(outcome.refusals)
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
    """Return what the target did under the documented fault, as a sentence."""
    clauses = [f"it opened {plural(outcome.opened, 'connection')}"] if outcome.opened else []
    if outcome.replacements:
        clauses.append(f"the server replaced {outcome.replacements}")
    if outcome.refusals:
        message = next((event.message for event in outcome.refusals if event.message), None)
        clauses.append(f"the server refused {len(outcome.refusals)}" + (f' ("{message}")' if message else ""))
    elif outcome.opened > 1 and not outcome.replacements:
        clauses.append("the server kept them all")
    clauses.extend(gap.reason for gap in server_lost(phase.events))
    clauses.extend(event.reason for event in outcome.unjudged)
    return ", ".join(clauses) or "nothing was seen"


def _mention_stall(finding: Finding, events: Sequence[Event]) -> None:
    """Add to the message that this machine stalled, because a stall causes ping timeouts by itself."""
    stalled = max((event.seconds for event in events if isinstance(event, ProcessStalled)), default=0.0)
    if stalled >= STALL_S:
        finding.message += f" (this machine stalled for {stalled:.1f} s meanwhile)"


def score_run(results: Sequence[ScenarioResult], bar: Bar, gaps: Sequence[Gap] = ()) -> Decision:
    """Return the verdict of the run. `gaps` are those of the run as a whole."""
    parts = []
    for result in results:
        decision = Decision(verdict=result.verdict, reason=result.reason, gaps=tuple(result.gaps))
        parts.append((result.id, decision))
    return run_verdict(parts, gaps, bar)


def all_findings(results: Sequence[ScenarioResult]) -> list[Finding]:
    """Return the findings of all scenarios, the worst first."""
    return ranked(finding for result in results for finding in result.findings)
