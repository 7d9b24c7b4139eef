"""A browser's run in one statement: who holds how many, which lines opened them, what the server did, what was handled
twice. Pure."""

from collections.abc import Iterable, Sequence

from wscheck.detect import stack_frames
from wscheck.detect.rules.rule import opener_label
from wscheck.model.events import AttemptOutcome, CodeLocation, Connected, Event, Refused
from wscheck.model.findings import Finding

SHOWN = 3


def statement(events: Sequence[Event], findings: Sequence[Finding]) -> str:
    """One sentence for the user with the worst finding, empty when there is none."""
    if not findings:
        return ""
    user = findings[0].user
    own = [finding for finding in findings if finding.user == user]
    refused = _refused_beside(events, own)
    opened: list[AttemptOutcome] = [event for event in events if isinstance(event, Connected) and event.user == user]
    connections = list({event.sid or event.eio: event for event in (*opened, *refused)}.values())
    parts = [_held(connections, own), _kept(refused), _replaced(own), *_handled(own), *_attempted(own)]
    told = "; ".join(dict.fromkeys(part for part in parts if part)) or own[0].message
    return f"{user or 'an unknown user'}: {told}"


def _held(connections: Sequence[AttemptOutcome], findings: Sequence[Finding]) -> str:
    if not any(finding.rule in ("multiple-connections", "connection-replaced") for finding in findings):
        return ""
    two = any(finding.cause is not None and finding.cause.id == "two-openers" for finding in findings)
    who = places(connections, sure=two)
    if len(who) < 2:
        by = f", all by {next(iter(who))}" if who else ""
        return f"{len(connections)} connections were opened{by}"
    shown = [f"one opened by {name}" if n == 0 else f"another by {name}" for n, name in enumerate(list(who)[:SHOWN])]
    more = f" and {len(who) - SHOWN} more" if len(who) > SHOWN else ""
    verb = "asked for" if any(isinstance(one, Refused) for one in connections) else "holds"
    return f"{verb} {len(who)} connections, {', '.join(shown)}{more}"


def _refused_beside(events: Iterable[Event], findings: Iterable[Finding]) -> list[Refused]:
    """What the server refused to somebody who holds a connection."""
    evidence = [event for one in findings if one.rule == "multiple-connections" for event in one.evidence]
    pages = {(event.user, event.page) for event in evidence if isinstance(event, Refused)}
    return [event for event in events if isinstance(event, Refused) and (event.user, event.page) in pages]


def _kept(refused: Sequence[Refused]) -> str:
    if not refused:
        return ""
    said = f" ({refused[0].message})" if refused[0].message else ""
    count = "one" if len(refused) == 1 else str(len(refused))
    return f"the server kept one and refused {count}{said}"


def places(connections: Sequence[AttemptOutcome], *, sure: bool) -> dict[str, int]:
    """Who opened them, and how many each: by the frame that tells them apart where all went through shared code. That
    of a bundle without a map may be a framework's, unless two openers are what was found (`sure`)."""
    counted: dict[str, int] = {}
    through: dict[CodeLocation | None, list[tuple[CodeLocation, ...]]] = {}
    for one in connections:
        through.setdefault(one.opener, []).append(one.stack)
    partings = {opener: stack_frames.divergences(stacks) for opener, stacks in through.items()}
    for one in connections:
        name, apart = opener_label(one), partings[one.opener][one.stack]
        if (
            apart is not None
            and apart != one.opener
            and (sure or not stack_frames.may_be_framework_code(apart, one.stack))
        ):
            name = f"{stack_frames.location_label(apart)} ({apart}, through {one.opener})"
        if name:
            counted[name] = counted.get(name, 0) + 1
    return counted


def _replaced(findings: Iterable[Finding]) -> str:
    for finding in findings:
        if finding.rule == "connection-replaced":
            times = "once" if finding.count == 1 else f"{finding.count} times"
            return f"the server replaced one by another {times}"
    return ""


def _handled(findings: Iterable[Finding]) -> list[str]:
    return [f.message for f in findings if f.rule in ("event-duplicated", "event-unheard")][:SHOWN]


def _attempted(findings: Iterable[Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.rule == "excessive-attempts"]
