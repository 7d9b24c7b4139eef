"""The verdict on a recording without scenarios: connections of logs or pages that wscheck observed."""

from collections.abc import Sequence

from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.rules import BROWSER
from wscheck.detect.verdict import Decision, Evidence, evidence_gaps, verdict
from wscheck.model.events import (
    SOURCE_BROWSER,
    SOURCE_HAR,
    AnyEvent,
    Connected,
    Disconnected,
    Event,
    Replaced,
    Unreadable,
)
from wscheck.model.findings import Bar, Finding
from wscheck.model.gaps import Gap
from wscheck.observe.traffic.inconclusive import page_gaps

PAGE_SOURCES = frozenset({SOURCE_BROWSER, SOURCE_HAR})


def evaluate_observed(
    events: Sequence[AnyEvent], options: RuleOptions, bar: Bar, gaps: Sequence[Gap] = ()
) -> tuple[list[Finding], Decision]:
    """Return the findings and the verdict, by the rules and in the order of the recorded run.

    Rules about pages find nothing in logs. `gaps` are those of the recording itself.
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
