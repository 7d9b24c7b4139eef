"""One-sentence summary of the connections of pages: how many, who opened them, and what the server did."""

from collections.abc import Iterable, Sequence

from wscheck.detect import stack_frames
from wscheck.detect.rules.rule import opener_label
from wscheck.model.events import AttemptOutcome, CodeLocation, Connected, Event, Refused
from wscheck.model.findings import Finding

MAX_ITEMS = 3
"""Openers, or event names, that the sentence lists."""


def summarize(events: Sequence[Event], findings: Sequence[Finding]) -> str:
    """Return a sentence about the user with the first (worst) finding, empty if there are no findings."""
    if not findings:
        return ""
    user = findings[0].user
    own = [finding for finding in findings if finding.user == user]
    refused = _refused_connections(events, own)
    opened: list[AttemptOutcome] = [event for event in events if isinstance(event, Connected) and event.user == user]
    connections = list({event.sid or event.eio: event for event in (*opened, *refused)}.values())
    parts = [
        _summarize_openers(connections, own),
        _summarize_refusals(refused),
        _summarize_replacements(own),
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
    if len(openers) < 2:
        by = f", all by {openers[0]}" if openers else ""
        return f"{len(connections)} connections were opened{by}"
    first, *others = openers[:MAX_ITEMS]
    listed = ", ".join([f"one opened by {first}", *(f"another by {opener}" for opener in others)])
    more = f" and {len(openers) - MAX_ITEMS} more" if len(openers) > MAX_ITEMS else ""
    verb = "asked for" if any(isinstance(one, Refused) for one in connections) else "holds"
    return f"{verb} {len(openers)} connections, {listed}{more}"


def _refused_connections(events: Iterable[Event], findings: Iterable[Finding]) -> list[Refused]:
    """Return the attempts that the server refused because the user had a connection."""
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
    """Return the number of connections by the label of their opener.

    Connections of one opener (shared code) are counted by the frame at which their stacks diverge. In a bundle without
    a source map that frame may belong to a framework, unless the finding's cause is two openers.
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


def _handler_messages(findings: Iterable[Finding]) -> list[str]:
    return [f.message for f in findings if f.rule in ("event-duplicated", "event-unheard")][:MAX_ITEMS]


def _attempt_messages(findings: Iterable[Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.rule == "excessive-attempts"]
