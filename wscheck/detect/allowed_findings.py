"""Application of the allow-list and the baseline to findings."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

import msgspec

from wscheck.model.allow_list import AllowEntry, AllowList, FindingKey
from wscheck.model.events import AttemptOutcome, CodeLocation, ConnectionEvent, HandlersRegistered, Subscribed
from wscheck.model.findings import AllowNote, Finding, Severity

IN_BASELINE = "in the baseline"


def split_findings(findings: Iterable[Finding], allow: AllowList) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that count, and the findings that are allowed.

    Each allowed finding states why it is allowed.
    """
    counted, allowed = list[Finding](), list[Finding]()
    for finding in findings:
        reason = _reason(finding, allow)
        if reason is None:
            counted.append(finding)
        else:
            allowed.append(msgspec.structs.replace(finding, allowed=reason))
    return counted, allowed


def _reason(finding: Finding, allow: AllowList) -> str | None:
    for entry in allow.entries:
        if not allow.has_expired(entry) and _matches(entry, finding):
            until = f" (until {entry.until})" if entry.until is not None else ""
            return f"{entry.reason or 'in the allow-list'}{until}"
    return IN_BASELINE if allow.baseline and finding_key(finding) in allow.baseline else None


def allow_notes(findings: Iterable[Finding], allow: AllowList) -> list[AllowNote]:
    """Return a warning for each expired allow-list entry, and a note for each entry that matches no finding."""
    findings, notes = list(findings), list[AllowNote]()
    for entry in allow.entries:
        count = sum(_matches(entry, finding) for finding in findings)
        if allow.has_expired(entry):
            still = "1 finding still matches it" if count == 1 else f"{count} findings still match it"
            matched = f", and {still}" if count else ""
            text = f"the allow-list entry for {entry} expired on {entry.until}{matched}"
            notes.append(AllowNote(severity=Severity.WARNING, text=text))
        elif not count:
            text = f"the allow-list entry for {entry} matched nothing: remove it if the problem is solved"
            notes.append(AllowNote(severity=Severity.NOTE, text=text))
    return notes


def _matches(entry: AllowEntry, finding: Finding) -> bool:
    if entry.rule != finding.rule:
        return False
    if entry.user is not None and not fnmatchcase(finding.user or "", entry.user):
        return False
    return entry.file is None or any(fnmatchcase(file, entry.file) for file in _files(finding))


def _files(finding: Finding) -> Iterator[str]:
    """Yield the files that contain the finding: first source files, then logs."""
    for location in _code_locations(finding):
        yield location.file
    yield from (event.path for event in finding.evidence if event.path)


def _code_locations(finding: Finding) -> Iterator[CodeLocation]:
    yield from finding.locations
    for event in finding.evidence:
        if isinstance(event, HandlersRegistered):
            yield from (*event.handlers, *event.lost)
        if isinstance(event, Subscribed) and event.subscriber is not None:
            yield event.subscriber
        elif isinstance(event, ConnectionEvent) and event.opener is not None:
            yield event.opener


def finding_key(finding: Finding) -> FindingKey:
    """Return the identity of the finding.

    A call site is identified by its function, or by its line if the function has no name.
    """
    places = {f"{each.file}:{each.function or each.line}" for each in _code_locations(finding)}
    if not places:
        attempts = (event for event in finding.evidence if isinstance(event, AttemptOutcome))
        places = {event.component for event in attempts if event.component}
    place = " ".join([finding.scenario or "", *sorted(places)]).strip()
    return FindingKey(finding.rule, finding.cause.id if finding.cause is not None else "", place)
