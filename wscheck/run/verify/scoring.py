"""From the events of a run to its report: each scenario's phase is judged by the scenario's own rules. Pure, so that
a recording comes to the same verdict as the run that made it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from wscheck.detect.changes import ReplacedChange
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.event_order import merge_causally
from wscheck.detect.rules import ranked
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
from wscheck.model.report import Control, ScenarioResult
from wscheck.observe.traffic.inconclusive import undivided
from wscheck.report.formatting import plural
from wscheck.run.verify.correlate import recognised
from wscheck.run.verify.inconclusive import away, consequences, gone, unshown
from wscheck.scenarios import SCENARIOS
from wscheck.scenarios.scenario import Scenario

STALL_S = 0.25


class Phase(msgspec.Struct):
    """The events between a Began and its Ended, in the order of their time."""

    scenario: str
    name: str
    events: list[Event]
    ended: bool = False


def phases(events: Iterable[AnyEvent | Event]) -> Iterator[Phase]:
    """Cut a run into its phases. A phase that never ended (an interrupted run) is given as far as it came."""
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


class _Judged(msgspec.Struct):
    """What one phase came to. `peak`: the most connections open at once, over all its users."""

    findings: list[Finding]
    opened: int
    peak: int
    replacements: int
    refusals: list[Refused]
    received: dict[str, int]
    unjudged: list[NotEvaluated]
    began: float | None
    took: float


def _judge(phase: Phase, rules: Sequence[type], options: RuleOptions) -> _Judged:
    judge, opened = Judge(options, rules), set[str]()
    replacements = peak = 0
    ordered = list(merge_causally(recognised(phase.events)))
    for event in ordered:
        for change in judge.feed(event):
            replacements += isinstance(change, ReplacedChange)
        peak = max(peak, judge.ledger.open_count)
        if isinstance(event, Connected) and event.sid is not None and event.sid not in judge.ledger.engine_sessions:
            opened.add(event.sid)
    times = [e.at for e in ordered if e.at is not None]
    began, ended = (min(times), max(times)) if times else (None, None)
    return _Judged(
        findings=judge.finish(ended),
        opened=len(opened),
        peak=peak,
        replacements=replacements,
        refusals=[e for e in ordered if isinstance(e, Refused) and e.reason == "refused"],
        received=dict(Counter(e.name for e in ordered if isinstance(e, Delivered))),
        unjudged=[e for e in ordered if isinstance(e, NotEvaluated)],
        began=began,
        took=ended - began if began is not None and ended is not None else 0.0,
    )


def assess(events: Iterable[AnyEvent | Event], options: RuleOptions, bar: Bar) -> list[ScenarioResult]:
    """Each scenario's result, in the order in which the scenarios stand in the run."""
    subjects: dict[str, Phase] = {}
    controls: dict[str, Phase] = {}
    for phase in phases(events):
        (controls if phase.name == "control" else subjects)[phase.scenario] = phase
    return [_result(name, phase, controls.get(name), options, bar) for name, phase in subjects.items()]


def _result(name: str, subject: Phase, control: Phase | None, options: RuleOptions, bar: Bar) -> ScenarioResult:
    scenario = SCENARIOS.get(name)
    if scenario is None:
        reason = "this version of wscheck does not know the scenario"
        return ScenarioResult(id=name, verdict=Verdict.INCONCLUSIVE, reason=reason)
    judged = _judge(subject, scenario.rules, options)
    beside = control.events if control is not None else ()
    judged.findings = [f for f in judged.findings if f.rule not in consequences(subject.events, beside)]
    display_url = _control(scenario, control, options) if control is not None else None
    if display_url is not None and (moot := scenario.moot(display_url, judged.replacements)) is not None:
        judged.findings, judged.unjudged = (
            [],
            [NotEvaluated(at=None, source=SOURCE_SCENARIO, reason=moot, skipped=True)],
        )
    for finding in judged.findings:
        finding.scenario = name
        _qualify(finding, subject.events)
    verdict, reason = _verdict(judged, bar, _unsure(subject, judged, display_url, beside))
    return ScenarioResult(
        id=name,
        verdict=verdict,
        must_hold=scenario.claim,
        reason=reason,
        duration_s=round(judged.took, 3),
        connections_opened=judged.opened,
        connections_peak=judged.peak,
        replacements=judged.replacements,
        events_received=judged.received,
        control=display_url,
        findings=judged.findings,
    )


def _verdict(judged: _Judged, bar: Bar, unsure: tuple[Verdict, str] | None) -> tuple[Verdict, str]:
    if failing := bar.failing(judged.findings):
        return Verdict.FAILED, failing[0].message
    if unsure is None:
        return Verdict.PASSED, ""
    return (Verdict.FAILED if bar.strict else unsure[0]), unsure[1]


def _unsure(
    subject: Phase, judged: _Judged, control: Control | None, beside: Sequence[Event]
) -> tuple[Verdict, str] | None:
    """Why nothing was proven although nothing was found."""
    for event in judged.unjudged if away(subject.events) is None else ():
        return (Verdict.SKIPPED if event.skipped else Verdict.INCONCLUSIVE), event.reason
    nothing_shown = unshown(subject.events, beside) or undivided(list(recognised(subject.events))) or None
    if nothing_shown is not None:
        return Verdict.INCONCLUSIVE, nothing_shown
    if not subject.ended:
        return Verdict.INCONCLUSIVE, "the run was interrupted before this scenario ended"
    if not judged.opened and not judged.refusals:
        said = next((f": {e.message}" for e in subject.events if isinstance(e, Refused) and e.message), "")
        return Verdict.INCONCLUSIVE, f"no connection was seen{said}"
    if control is not None and control.verdict is Verdict.INCONCLUSIVE:
        return Verdict.INCONCLUSIVE, f"the control shows nothing, so this check could not have failed: {control.did}"
    return None


def _control(scenario: Scenario, phase: Phase, options: RuleOptions) -> Control:
    judged = _judge(phase, scenario.control_rules, options)
    # A target that refuses the second connection enforces one per user: the fault showed, as a refusal.
    shows = bool(judged.findings) or bool(judged.refusals)
    return Control(
        client="per-component",
        did=_did(judged, phase),
        verdict=Verdict.FAILED if shows else Verdict.INCONCLUSIVE,
        connections_opened=judged.opened,
        connections_peak=judged.peak,
        replacements=judged.replacements,
        findings=[finding.rule for finding in judged.findings],
    )


def _did(judged: _Judged, phase: Phase) -> str:
    """What the target did under the documented fault, in a sentence."""
    told = [f"it opened {plural(judged.opened, 'connection')}"] if judged.opened else []
    if judged.replacements:
        told.append(f"the server replaced {judged.replacements}")
    if judged.refusals:
        message = next((e.message for e in judged.refusals if e.message), None)
        told.append(f"the server refused {len(judged.refusals)}" + (f' ("{message}")' if message else ""))
    elif judged.opened > 1 and not judged.replacements:
        told.append("the server kept them all")
    told.extend(filter(None, [gone(phase.events)]))
    told.extend(event.reason for event in judged.unjudged)
    return ", ".join(told) or "nothing was seen"


def _qualify(finding: Finding, events: Sequence[Event]) -> None:
    """Our own stall makes ping timeouts of its own: say so before the server is blamed."""
    stalled = max((e.seconds for e in events if isinstance(e, ProcessStalled)), default=0.0)
    if stalled >= STALL_S:
        finding.message += f" (this machine stalled for {stalled:.1f} s meanwhile)"


def overall(results: Sequence[ScenarioResult]) -> tuple[Verdict, str]:
    """The run's verdict: failed before inconclusive before passed; a run that only skipped proved nothing."""
    by_verdict: Mapping[Verdict, list[ScenarioResult]] = {
        verdict: [r for r in results if r.verdict is verdict] for verdict in Verdict
    }
    for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE):
        if by_verdict[verdict]:
            first = by_verdict[verdict][0]
            return verdict, f"{first.id}: {first.reason}"
    if not by_verdict[Verdict.PASSED]:
        return Verdict.INCONCLUSIVE, "no scenario could be tried"
    return Verdict.PASSED, ""


def merged(results: Sequence[ScenarioResult]) -> list[Finding]:
    """Every scenario's findings, the worst first."""
    return ranked(finding for result in results for finding in result.findings)
