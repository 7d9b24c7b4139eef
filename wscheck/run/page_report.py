"""Report on pages, computed from the events of a live browser, a HAR file or a recording."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.allowed_findings import allow_notes
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.event_order import merge_causally
from wscheck.detect.rounds import round_series
from wscheck.detect.rules import BROWSER
from wscheck.detect.rules.rule import opener_label
from wscheck.detect.verdict import verdict
from wscheck.model.events import (
    ActionPerformed,
    AnyEvent,
    AttemptOutcome,
    CodeLocation,
    Connected,
    ConnectionEvent,
    Delivered,
    Disconnected,
    Event,
    HandlersRegistered,
    Refused,
    RoundCounted,
    Upgraded,
)
from wscheck.model.findings import Bar, Finding, Verdict
from wscheck.model.gaps import INTERRUPTED
from wscheck.model.report import (
    ActionSummary,
    BrowserReport,
    BrowserTarget,
    ConnectionSummary,
    EventSummary,
    HandlerSummary,
    PageSummary,
    RoundCounts,
    Scope,
)
from wscheck.observe.traffic.inconclusive import all_closed, page_gaps, refused_pages, unknown_users
from wscheck.protocols.registry import protocol_name

SCHEMA = "wscheck.browser/1"

MAX_ITEMS = 3
"""Largest number of openers, or of event messages, that the summary of the connections lists."""


class PageOutcome(msgspec.Struct):
    """Report on pages, with the events on which it is based."""

    report: BrowserReport
    events: list[AnyEvent]


# Longest time by which a disconnect by the server may arrive before the acknowledgement of the user's next attempt.
# On a busy machine it was several seconds.
OVERTAKES_S = 10.0


def evaluate_pages(
    events: Iterable[Event],
    options: RuleOptions,
    bar: Bar,
    *,
    target: str,
    scope: Scope | None = None,
    pages: Sequence[PageSummary] = (),
    notes: Sequence[str] = (),
    interrupted: bool = False,
) -> BrowserReport:
    """Return the report on `events`. The caller must set its `started_at` and `duration_s`.

    options      settings of the rules, including the number of connections that a user may have
    bar          criteria by which the run fails (--fail-on, --strict)
    target       name of the pages in the report
    scope        what the run checked, None if that is unknown
    notes        sentences about the limits of the observation
    interrupted  the run was stopped before its end
    """
    events = list(merge_causally(events, OVERTAKES_S))
    judge = Judge(options, BROWSER)
    for event in events:
        judge.feed(event)
    times = [event.at for event in events if event.at is not None]
    findings = judge.finish(max(times, default=None))
    gaps = [*page_gaps(events, has_policy=options.policy.is_set), *judge.gaps, *([INTERRUPTED] if interrupted else [])]
    decision = verdict(findings, gaps, bar, describe=lambda failing: summarize(events, failing))
    return BrowserReport(
        schema=SCHEMA,
        target=target,
        scope=scope,
        verdict=decision.verdict,
        reason=decision.reason,
        gaps=list(decision.gaps),
        interrupted=interrupted,
        options=options.to_dict(bar),
        findings=list(decision.findings),
        allowed=list(decision.allowed),
        allow_notes=allow_notes(findings, bar.allow),
        pages=list(pages),
        notes=[*notes, *_notes(events)],
        connections=summarize_connections(events),
        handlers=_handlers(events),
        events=_received(events),
        rounds=_rounds(events),
        actions=[
            ActionSummary(action=event.action, before=event.before, after=event.after)
            for event in events
            if isinstance(event, ActionPerformed) and event.before is not None and event.after is not None
        ],
    )


def _notes(events: Sequence[Event]) -> list[str]:
    """Return a sentence for each piece of missing evidence that does not prevent a verdict."""
    gaps = [*unknown_users(events), *refused_pages(events), *all_closed(events)]
    return [*(gap.reason for gap in gaps if not gap.blocks), *_server_notes(events)]


def _server_notes(events: Iterable[Event]) -> list[str]:
    """Return a sentence for each call site that the web server may run too while it renders a page."""
    notes: dict[str, None] = {}
    for event in events:
        if isinstance(event, Connected) and event.opener is not None:
            files = [*(frame.file for frame in event.stack), event.script or "", event.client or ""]
            framework = stack_frames.server_framework(files)
            if framework and stack_frames.runs_while_rendering_on_server(event.stack):
                connects = f"{event.opener} connects at module level or while rendering"
                server = f"{framework} may run this code in the web server too, where it opens another connection"
                notes[f"{connects}: {server}. Connect in an effect or after mounting."] = None
    return list(notes)


def empty_page_report(target: str) -> BrowserReport:
    """Return the report of a run that has no evidence yet."""
    return BrowserReport(schema=SCHEMA, target=target, verdict=Verdict.INCONCLUSIVE)


def in_evaluation_order(events: Iterable[Event]) -> list[AnyEvent]:
    """Return the events in the order of their evaluation: by time, but each effect after its cause."""
    return cast("list[AnyEvent]", list(merge_causally(events, OVERTAKES_S)))


def summarize_connections(events: Iterable[Event]) -> list[ConnectionSummary]:
    """Return a summary of every acknowledged connection and of its end, in the order of the openings.

    All namespaces of an Engine.IO session are one connection.
    """
    summaries: dict[str | None, ConnectionSummary] = {}
    stacks: dict[str | None, tuple[CodeLocation, ...]] = {}
    open_sids: dict[str | None, set[str | None]] = {}
    keys: dict[str | None, str | None] = {None: None}
    for event in events:
        if not isinstance(event, ConnectionEvent):
            continue
        key = event.eio or keys.get(event.sid) or event.sid
        if isinstance(event, Connected):
            keys[event.sid] = key
            one = summaries.setdefault(key, _connection(event))
            stacks.setdefault(key, event.stack)
            open_sids.setdefault(key, set()).add(event.sid)
            one.closed_at = one.reason = None
            if event.namespace is not None and event.namespace not in one.namespaces:
                one.namespaces.append(event.namespace)
        elif key in summaries and isinstance(event, Upgraded):
            summaries[key].transport = event.transport
        elif key in summaries and isinstance(event, Disconnected):
            _close(summaries[key], event, open_sids[key])
    by_user: dict[str | None, dict[str | None, ConnectionSummary]] = {}
    for key, one in summaries.items():
        by_user.setdefault(one.user, {})[key] = one
    for of_user in by_user.values():
        divergences = stack_frames.divergences(stacks[key] for key in of_user)
        for key, one in of_user.items():
            one.diverges_at = divergences[stacks[key]]
    return list(summaries.values())


def _connection(event: Connected) -> ConnectionSummary:
    kind, _, url = (event.target or "").partition(" ")
    return ConnectionSummary(
        protocol=protocol_name(event.protocol),
        endpoint=(event.url or "").partition("?")[0],
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


def _close(one: ConnectionSummary, event: Disconnected, open_sids: set[str | None]) -> None:
    """Record the end of one namespace in the summary of its connection, which ends with its last namespace."""
    open_sids.discard(event.sid)
    if one.closed_at is None and one.reason is None and not open_sids:
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


def _rounds(events: Iterable[Event]) -> list[RoundCounts]:
    return [
        RoundCounts(
            place=series.place,
            what=series.what,
            event=series.name or None,
            opener=series.opener,
            counts=list(series.counts),
            at_rest=series.at_rest,
            growth=series.growth.kind,
        )
        for series in round_series(event for event in events if isinstance(event, RoundCounted))
    ]


def _received(events: Sequence[Event]) -> dict[str, EventSummary]:
    """Return a dict of event name to the number of deliveries and the number of handler runs.

    At each delivery, every handler of the event on this connection runs once.
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


def summarize(events: Sequence[Event], findings: Sequence[Finding]) -> str:
    """Return a sentence about the user of the first (worst) finding, "" if there are no findings."""
    if not findings:
        return ""
    user = findings[0].user
    own = [finding for finding in findings if finding.user == user]
    refused = _refused_connections(events, own)
    opened = {event.eio or event.sid: event for event in events if isinstance(event, Connected) and event.user == user}
    connections: list[AttemptOutcome] = [*_overlapping(events, opened, own), *refused]
    parts = [
        _summarize_openers(connections, own),
        _summarize_refusals(refused),
        _summarize_replacements(own),
        *_leak_messages(own),
        *_handler_messages(own),
        *_attempt_messages(own),
    ]
    summary = "; ".join(dict.fromkeys(part for part in parts if part)) or own[0].message
    return f"{user or 'an unknown user'}: {summary}"


def _summarize_openers(connections: Sequence[AttemptOutcome], findings: Sequence[Finding]) -> str:
    if not any(finding.rule in ("multiple-connections", "connection-replaced") for finding in findings):
        return ""
    two_openers = any(finding.cause is not None and finding.cause.id == "two-openers" for finding in findings)
    openers = list(count_by_opener(connections, two_openers_found=two_openers))
    at_once = max((finding.connections for finding in findings if finding.connections is not None), default=None)
    count = at_once if at_once is not None else len(connections)
    if at_once is None and len(openers) < 2:
        return f"{count} connections were opened" + (f", all by {openers[0]}" if openers else "")
    if at_once is not None:
        held, by = f"holds {count} connections at once", "opened by"
    else:
        verb = "requested" if any(isinstance(one, Refused) for one in connections) else "opened"
        held, by = f"{verb} {count} connections", "by"
    if len(openers) < 2:
        return held + (f", all {by} {openers[0]}" if openers else "")
    first, *others = openers[:MAX_ITEMS]
    more = f" and {len(openers) - MAX_ITEMS} more" if len(openers) > MAX_ITEMS else ""
    if len(openers) == count:
        return f"{held}, one {by} {first}" + "".join(f", another by {opener}" for opener in others) + more
    return f"{held}, {by} {', '.join([first, *others])}{more}"


def _overlapping(
    events: Iterable[Event], opened: Mapping[str | None, Connected], findings: Iterable[Finding]
) -> list[Connected]:
    """Return the connections that were open at the same time as another one.

    Return all connections if no finding is about simultaneous connections.
    """
    if all(finding.connections is None for finding in findings):
        return list(opened.values())
    order = {key: number for number, key in enumerate(opened)}
    now: set[str | None] = set()
    overlapping: dict[str | None, None] = {}
    for event in events:
        key = event.eio or event.sid if isinstance(event, ConnectionEvent) else None
        if isinstance(event, Connected) and key in opened:
            now.add(key)
            if len(now) > 1:
                # Of more than two, the older ones overlapped before.
                overlapping |= dict.fromkeys(sorted(now, key=order.__getitem__) if len(now) == 2 else (key,))
        elif isinstance(event, Disconnected):
            now.discard(key)
    return [opened[key] for key in overlapping]


def _refused_connections(events: Iterable[Event], findings: Iterable[Finding]) -> list[Refused]:
    """Return the attempts that the server refused because the user already had a connection."""
    evidence = [event for one in findings if one.rule == "multiple-connections" for event in one.evidence]
    pages = {(event.user, event.page) for event in evidence if isinstance(event, Refused)}
    return [event for event in events if isinstance(event, Refused) and (event.user, event.page) in pages]


def _summarize_refusals(refused: Sequence[Refused]) -> str:
    if not refused:
        return ""
    message = f" ({refused[0].message})" if refused[0].message else ""
    count = "one" if len(refused) == 1 else str(len(refused))
    return f"the server kept one and refused {count}{message}"


def count_by_opener(connections: Sequence[AttemptOutcome], *, two_openers_found: bool) -> dict[str, int]:
    """Return a dict of the label of an opener (call site) to the number of its connections.

    If one function opens the connections for several callers, each caller is counted separately: the label is then the
    first stack frame that differs. In a bundle without a source map, this frame may belong to a framework. It is then
    used only if `two_openers_found`, that is, if the finding's cause is two callers with a connection each.
    """
    counts: dict[str, int] = {}
    stacks_by_opener: dict[CodeLocation | None, list[tuple[CodeLocation, ...]]] = {}
    for one in connections:
        stacks_by_opener.setdefault(one.opener, []).append(one.stack)
    divergences = {opener: stack_frames.divergences(stacks) for opener, stacks in stacks_by_opener.items()}
    for one in connections:
        label, divergence = opener_label(one), divergences[one.opener][one.stack]
        if (
            divergence is not None
            and divergence != one.opener
            and (two_openers_found or not stack_frames.may_be_framework_code(divergence, one.stack))
        ):
            label = f"{stack_frames.location_label(divergence)} ({divergence}, through {one.opener})"
        if label:
            counts[label] = counts.get(label, 0) + 1
    return counts


def _summarize_replacements(findings: Iterable[Finding]) -> str:
    for finding in findings:
        if finding.rule == "connection-replaced":
            times = "once" if finding.count == 1 else f"{finding.count} times"
            return f"the server replaced one by another {times}"
    return ""


def _leak_messages(findings: Iterable[Finding]) -> list[str]:
    leaks = ("connection-leaked", "handler-leaked", "subscription-leaked")
    return [f.message for f in findings if f.rule in leaks][:MAX_ITEMS]


def _handler_messages(findings: Iterable[Finding]) -> list[str]:
    rules = ("event-duplicated", "event-unheard", "subscription-duplicated")
    return [f.message for f in findings if f.rule in rules][:MAX_ITEMS]


def _attempt_messages(findings: Iterable[Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.rule == "excessive-attempts"]
