"""A recording of what was only watched (logs): nothing was driven, so there is no scenario, and all of it is judged."""

from collections.abc import Sequence

from wscheck import proof
from wscheck.events import AnyEvent, Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.findings import Bar, Finding, Verdict
from wscheck.judge import Judge, Options


def judged(events: Sequence[AnyEvent], options: Options, bar: Bar) -> tuple[list[Finding], Verdict, str]:
    """The findings, the verdict and its reason, by the rules and in the order in which `tail-logs` judged."""
    judge = Judge(options)
    for event in events:
        judge.feed(event)
    findings = judge.conclude()
    return findings, *proof.verdict(findings, bar, proof.doubt(_seen(events, judge)))


def _seen(events: Sequence[Event], judge: Judge) -> proof.Watched:
    seen = [event for event in events if isinstance(event, Connected | Disconnected | Replaced)]
    ledger = judge.ledger
    holdings = ((user, len(ledger.held(user))) for user in ledger.users())
    return proof.Watched(
        connections=len(seen),
        unreadable=sum(isinstance(event, Unreadable) for event in events),
        held_most=ledger.held_most,
        timed=any(event.at is not None for event in seen),
        overlapping=next(((user, held) for user, held in holdings if held > 1), None),
    )
