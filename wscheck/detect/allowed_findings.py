"""Application of the allow-list and the baseline to findings."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache

import msgspec

from wscheck.model.allow_list import AllowEntry, AllowList, FindingKey
from wscheck.model.events import AttemptOutcome, CodeLocation, ConnectionEvent, HandlersRegistered, Subscribed
from wscheck.model.findings import AllowNote, Finding, Severity

IN_BASELINE = "in the baseline"

_WILDCARD = re.compile(r"[*?\[]")


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
    for entry in _index(allow.entries).matching(finding):
        if not allow.has_expired(entry):
            until = f" (until {entry.until})" if entry.until is not None else ""
            return f"{entry.reason or 'in the allow-list'}{until}"
    return IN_BASELINE if allow.baseline and finding_key(finding) in allow.baseline else None


def allow_notes(findings: Iterable[Finding], allow: AllowList) -> list[AllowNote]:
    """Return a warning for each expired allow-list entry, and a note for each entry that matches no finding."""
    index, notes = _index(allow.entries), list[AllowNote]()
    counts = Counter(entry for finding in findings for entry in index.matching(finding))
    for entry in allow.entries:
        count = counts[entry]
        if allow.has_expired(entry):
            still = "1 finding still matches it" if count == 1 else f"{count} findings still match it"
            matched = f", and {still}" if count else ""
            text = f"the allow-list entry for {entry} expired on {entry.until}{matched}"
            notes.append(AllowNote(severity=Severity.WARNING, text=text))
        elif not count:
            text = f"the allow-list entry for {entry} matched nothing: remove it if the problem is solved"
            notes.append(AllowNote(severity=Severity.NOTE, text=text))
    return notes


class _EntryIndex:
    """Entries of an allow-list, by rule and by the text before the first wildcard of `user` ("bot-" for "bot-*").

    Without an index, each of thousands of entries would be compared with each of thousands of findings.
    """

    def __init__(self, entries: Sequence[AllowEntry]) -> None:
        self._by_start: dict[tuple[str, str], list[_Pattern]] = {}
        for number, entry in enumerate(dict.fromkeys(entries)):
            start = _WILDCARD.split(entry.user or "", maxsplit=1)[0]
            self._by_start.setdefault((entry.rule, start), []).append(_Pattern(number, entry))
        self._lengths = {len(start) for _, start in self._by_start}

    def matching(self, finding: Finding) -> list[AllowEntry]:
        """Return the entries that match the finding, in the order of the allow-list."""
        user = finding.user or ""
        starts = ((finding.rule, user[:length]) for length in self._lengths if length <= len(user))
        patterns = [pattern for start in starts for pattern in self._by_start.get(start, ())]
        files = list(_files(finding)) if any(pattern.file is not None for pattern in patterns) else []
        found = (pattern for pattern in patterns if pattern.matches(user, files))
        return [pattern.entry for pattern in sorted(found, key=lambda each: each.number)]


class _Pattern:
    """An entry of an allow-list with compiled patterns."""

    def __init__(self, number: int, entry: AllowEntry) -> None:
        self.number, self.entry = number, entry
        self.user = re.compile(translate(entry.user)) if entry.user is not None else None
        self.file = re.compile(translate(entry.file)) if entry.file is not None else None

    def matches(self, user: str, files: Sequence[str]) -> bool:
        return (self.user is None or self.user.match(user) is not None) and (
            self.file is None or any(map(self.file.match, files))
        )


_index = lru_cache(maxsize=4)(_EntryIndex)


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
    """Return the rule, cause and place of a finding, which identify it in another run.

    A call site is identified by its function, or by its line if the function has no name.
    """
    places = {f"{each.file}:{each.function or each.line}" for each in _code_locations(finding)}
    if not places:
        attempts = (event for event in finding.evidence if isinstance(event, AttemptOutcome))
        places = {event.component for event in attempts if event.component}
    place = " ".join([finding.scenario or "", *sorted(places)]).strip()
    return FindingKey(finding.rule, finding.cause.id if finding.cause is not None else "", place)
