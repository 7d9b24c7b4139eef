"""The report on pages, from the events of a live browser, a HAR file or a recording."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.event_order import merge_causally
from wscheck.detect.rules import BROWSER
from wscheck.detect.verdict import unsettled_overlap, verdict
from wscheck.model.events import (
    AnyEvent,
    CodeLocation,
    Connected,
    Delivered,
    Disconnected,
    Event,
    HandlersRegistered,
    Upgraded,
)
from wscheck.model.findings import Bar, Verdict
from wscheck.model.gaps import INTERRUPTED
from wscheck.model.report import (
    BrowserReport,
    BrowserTarget,
    ConnectionSummary,
    EventSummary,
    HandlerSummary,
    PageSummary,
)
from wscheck.observe.traffic.inconclusive import page_gaps, refused_pages, unknown_users
from wscheck.run.page_summary import summarize

SCHEMA = "wscheck.browser/1"


class PageOutcome(msgspec.Struct):
    """Report on pages, and the events that it evaluates."""

    report: BrowserReport
    events: list[AnyEvent]


# A disconnect by the server may overtake the acknowledgement of the user's next attempt. On a busy machine the
# acknowledgement came seconds later.
OVERTAKES_S = 10.0


def evaluate_pages(
    events: Iterable[Event],
    options: RuleOptions,
    bar: Bar,
    *,
    target: str,
    pages: Sequence[PageSummary] = (),
    notes: Sequence[str] = (),
    interrupted: bool = False,
) -> BrowserReport:
    """Return the report on `events`. The caller sets `started_at` and `duration_s`."""
    events = list(merge_causally(events, OVERTAKES_S))
    judge = Judge(options, BROWSER)
    for event in events:
        judge.feed(event)
    times = [event.at for event in events if event.at is not None]
    findings = judge.finish(max(times, default=None))
    gaps = [*page_gaps(events), *unsettled_overlap(judge.ledger), *([INTERRUPTED] if interrupted else [])]
    decision = verdict(findings, gaps, bar, describe=lambda failing: summarize(events, failing))
    return BrowserReport(
        schema=SCHEMA,
        target=target,
        verdict=decision.verdict,
        reason=decision.reason,
        gaps=list(decision.gaps),
        interrupted=interrupted,
        options=options.to_dict(bar),
        findings=findings,
        pages=list(pages),
        notes=[*notes, *(gap.reason for gap in [*unknown_users(events), *refused_pages(events)])],
        connections=summarize_connections(events),
        handlers=_handlers(events),
        events=_received(events),
    )


def empty_page_report(target: str) -> BrowserReport:
    """Return the report of a run that has no evidence yet."""
    return BrowserReport(schema=SCHEMA, target=target, verdict=Verdict.INCONCLUSIVE)


def in_evaluation_order(events: Iterable[Event]) -> list[AnyEvent]:
    """Return the events for reports and recordings, in the order in which the rules evaluate them."""
    return cast("list[AnyEvent]", list(merge_causally(events, OVERTAKES_S)))


def summarize_connections(events: Iterable[Event]) -> list[ConnectionSummary]:
    """Return every acknowledged connection and how it ended, in the order of opening."""
    summaries: dict[tuple[str | None, str | None], ConnectionSummary] = {}
    stacks: dict[tuple[str | None, str | None], tuple[CodeLocation, ...]] = {}
    for event in events:
        if isinstance(event, Connected):
            summaries.setdefault((event.eio, event.sid), _connection(event))
            stacks.setdefault((event.eio, event.sid), event.stack)
        elif isinstance(event, Upgraded | Disconnected):
            for (eio, sid), one in summaries.items():
                if (event.sid is not None and event.sid == sid) or (event.sid is None and event.eio == eio):
                    _update(one, event)
    for user in {one.user for one in summaries.values()}:
        of_user = {key: one for key, one in summaries.items() if one.user == user}
        divergences = stack_frames.divergences(stacks[key] for key in of_user)
        for key, one in of_user.items():
            one.diverges_at = divergences[stacks[key]]
    return list(summaries.values())


def _connection(event: Connected) -> ConnectionSummary:
    kind, _, url = (event.target or "").partition(" ")
    return ConnectionSummary(
        eio=event.eio,
        sid=event.sid,
        user=event.user,
        namespace=event.namespace,
        transport=event.transport,
        opened_at=event.at,
        page=event.page,
        target=BrowserTarget(type=kind or "page", url=url),
        opener=event.opener,
        stack=list(stack_frames.app_frames(event.stack)),
    )


def _update(one: ConnectionSummary, event: Upgraded | Disconnected) -> None:
    if isinstance(event, Upgraded):
        one.transport = event.transport
    elif one.closed_at is None and one.reason is None:
        one.closed_at, one.reason = event.at, event.reason


def _handlers(events: Iterable[Event]) -> list[HandlerSummary]:
    most: dict[str, HandlersRegistered] = {}
    for event in events:
        if isinstance(event, HandlersRegistered):
            before = most.get(event.name)
            if before is None or len(event.handlers) > len(before.handlers):
                most[event.name] = event
    return [
        HandlerSummary(event=name, count=len(e.handlers), locations=list(e.handlers))
        for name, e in sorted(most.items())
    ]


def _received(events: Sequence[Event]) -> dict[str, EventSummary]:
    """Return how often each event arrived and how many handlers ran for it.

    A delivery counts as many handler runs as its connection had handlers at that time.
    """
    received = Counter(event.name for event in events if isinstance(event, Delivered))
    final: dict[tuple[str | None, str], int] = {}
    for event in events:
        if isinstance(event, HandlersRegistered):
            final.setdefault((event.sid, event.name), len(event.handlers))
    watched, now, handled = {sid for sid, _ in final}, dict(final), Counter[str]()
    for event in events:
        if isinstance(event, HandlersRegistered):
            now[event.sid, event.name] = len(event.handlers)
        elif isinstance(event, Delivered):
            handled[event.name] += now.get((event.sid, event.name), 0)
    return {
        name: EventSummary(received=count, handled=handled[name] if watched else None)
        for name, count in sorted(received.items())
    }
