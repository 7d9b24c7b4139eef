"""A recording of what was only watched (logs): nothing was driven, so there is no scenario, and all of it is judged."""

from collections.abc import Sequence

from wscheck.events import AnyEvent, Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.findings import Bar, Finding, Verdict
from wscheck.judge import Judge, Options


def judged(events: Sequence[AnyEvent], options: Options, bar: Bar) -> tuple[list[Finding], Verdict, str]:
    """The findings, the verdict and its reason, by the rules and in the order in which `tail-logs` judged."""
    judge = Judge(options)
    for event in events:
        judge.feed(event)
    findings = judge.conclude()
    failing = [finding for finding in findings if finding.severity.rank >= bar.fail_on.rank]
    if failing:
        return findings, Verdict.FAILED, f"{failing[0].user or 'somebody'}: {failing[0].message}"
    if unsure := _unsure(events, judge):
        return findings, Verdict.FAILED if bar.strict else Verdict.INCONCLUSIVE, unsure
    return findings, Verdict.PASSED, ""


def _unsure(events: Sequence[Event], judge: Judge) -> str:
    """Why nothing was proven although nothing was found; empty when it was."""
    seen = [event for event in events if isinstance(event, Connected | Disconnected | Replaced)]
    unreadable = sum(isinstance(event, Unreadable) for event in events)
    if not seen:
        return "the recording holds no scenario and no connection event"
    if unreadable:
        return f"{unreadable} of the lines that look like events could not be read"
    if not any(event.user is not None or getattr(event, "sid", None) is not None for event in seen):
        return "the events say neither whose connections they are nor which"
    if all(event.at is None for event in seen):
        return "no event has a time, so overlaps and attempts per second could not be judged"
    if (user := next((user for user in judge.ledger.users() if len(judge.ledger.held(user)) > 1), None)) is not None:
        return f"the recording ends while {user} holds several connections, too early to tell whether one is replaced"
    return ""
