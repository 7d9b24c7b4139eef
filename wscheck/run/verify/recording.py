"""A recording of what was only watched (logs, pages): nothing was driven, so there is no scenario, and all of it is
judged."""

from collections.abc import Sequence

from wscheck.detect import verdict as proof
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.rules import BROWSER
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
from wscheck.model.findings import Bar, Finding, Verdict
from wscheck.observe.traffic.inconclusive import doubt

PAGES = frozenset({SOURCE_BROWSER, SOURCE_HAR})
"""Who tells of pages: what a page does not prove, no log does."""


def judged(events: Sequence[AnyEvent], options: RuleOptions, bar: Bar) -> tuple[list[Finding], Verdict, str]:
    """The findings, the verdict and its reason, by the rules and in the order in which it was judged when recorded.
    What only a page can break, no log does."""
    judge = Judge(options, BROWSER)
    for event in events:
        judge.feed(event)
    findings = judge.finish()
    return findings, *proof.verdict(findings, bar, proof.doubt(_seen(events, judge)))


def _seen(events: Sequence[Event], judge: Judge) -> proof.Watched:
    seen = [event for event in events if isinstance(event, Connected | Disconnected | Replaced)]
    paged = any(event.source in PAGES for event in events)
    return proof.Watched(
        connections=len(seen),
        unreadable=sum(isinstance(event, Unreadable) for event in events),
        ledger=judge.ledger,
        timed=any(event.at is not None for event in seen),
        unjudged=(doubt(events) if paged else "") or judge.inconclusive_reason,
    )
