"""Files and lines of findings: the call sites that opened the connections, otherwise the log lines of the evidence."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wscheck.detect import stack_frames
from wscheck.model.events import (
    EMBEDDED_BACKEND,
    CodeLocation,
    Connected,
    ConnectionEvent,
    HandlersRegistered,
    Subscribed,
)
from wscheck.model.findings import Finding
from wscheck.report.finding_text import ConnectionOpener, OpenerIndex, by_severity
from wscheck.report.formatting import one_line

CONFIGURATION = CodeLocation("wscheck.toml", 1)
"""Location of findings without a source line, for readers that reject a finding without a file."""


@dataclass(frozen=True)
class FindingLocation:
    """File and line, with a description of the event or the code at this line."""

    location: CodeLocation
    description: str


def finding_locations(finding: Finding, openers: Sequence[ConnectionOpener]) -> list[FindingLocation]:
    """Return every file location of `finding` once, the most useful first.

    Code precedes logs: first the locations in the finding itself, then the code that registered event handlers or
    subscribed, then the call sites that opened the connections, then the rest of the evidence.
    """
    locations = (
        *_code_locations(finding),
        *_handler_locations(finding),
        *_subscriber_locations(finding),
        *_opener_locations(openers),
        *_caller_locations(finding),
        *_evidence_locations(finding),
        *_log_locations(finding),
    )
    found: dict[tuple[str, int], FindingLocation] = {}
    for each in locations:
        if is_file_location(each.location):
            found.setdefault((each.location.file, each.location.line), each)
    return list(found.values())


def group_by_location(
    findings: Iterable[Finding], index: OpenerIndex, accepts: Callable[[CodeLocation], bool]
) -> list[tuple[FindingLocation | None, list[Finding]]]:
    """Group findings by severity, rule, cause and location, the most severe first.

    The location is the first one for which `accepts` returns True, None if there is none. A fault that ten scenarios or
    a thousand users show is therefore reported only once per line of code.
    """
    groups: dict[tuple[str, str, str, FindingLocation | None], list[Finding]] = {}
    for finding in by_severity(findings):
        locations = finding_locations(finding, index.openers_for(finding))
        first = next((each for each in locations if accepts(each.location)), None)
        cause = finding.cause.id if finding.cause else ""
        groups.setdefault((finding.severity, finding.rule, cause, first), []).append(finding)
    return [(key[-1], group) for key, group in groups.items()]


def fingerprint(finding: Finding, location: CodeLocation) -> str:
    """Return a hash (16 hexadecimal digits) by which a finding of a later run is recognised as the same fault.

    If the function is known, the hash does not depend on the line.
    """
    position = location.function or str(location.line)
    parts = (finding.rule, finding.cause.id if finding.cause else "", location.file, position)
    return hashlib.sha256("|".join(parts).encode(errors="replace")).hexdigest()[:16]


def is_file_location(location: CodeLocation) -> bool:
    """Return whether `location` is in a source file.

    A script without a source map, a native frame of the browser and the log of the embedded backend are not.
    """
    if location.file == EMBEDDED_BACKEND:
        return False
    return bool(location.file) and "://" not in location.file and not location.file.startswith(("<", "data:", "blob:"))


def is_in_checkout(location: CodeLocation) -> bool:
    """Return whether `location` may be in the repository. An absolute path and a URL cannot be."""
    return is_file_location(location) and not location.file.startswith(("/", ".."))


def _code_locations(finding: Finding) -> Iterator[FindingLocation]:
    for location in finding.locations:
        name = f" in {one_line(location.function)}" if location.function else ""
        yield FindingLocation(location, f"the code{name}")


def _handler_locations(finding: Finding) -> Iterator[FindingLocation]:
    for event in finding.evidence:
        if isinstance(event, HandlersRegistered):
            name = one_line(event.name)
            yield from (FindingLocation(handler, f"a handler of {name}") for handler in event.handlers)
            yield from (FindingLocation(handler, f"a removed handler of {name}") for handler in event.lost)


def _subscriber_locations(finding: Finding) -> Iterator[FindingLocation]:
    for event in finding.evidence:
        if isinstance(event, Subscribed) and event.subscriber is not None:
            yield FindingLocation(event.subscriber, f"the code subscribes to {one_line(event.name)} here")


def _opener_locations(openers: Sequence[ConnectionOpener]) -> Iterator[FindingLocation]:
    for opener in openers:
        if opener.call_site is not None:
            name = opener.component or opener.call_site.function
            description = f"{one_line(name)} opens a connection here" if name else "a connection is opened here"
            yield FindingLocation(opener.call_site, description)


def _caller_locations(finding: Finding) -> Iterator[FindingLocation]:
    """Yield the callers of a shared opener: the frames at which the stacks of its connections diverge."""
    connected = [event for event in finding.evidence if isinstance(event, Connected) and event.stack]
    for event in connected:
        for other in connected:
            frame = stack_frames.divergence(event.stack, other.stack) if other.opener == event.opener else None
            if frame is not None:
                yield FindingLocation(frame, "a caller of the shared opener")


def _evidence_locations(finding: Finding) -> Iterator[FindingLocation]:
    for event in finding.evidence:
        if isinstance(event, ConnectionEvent) and event.opener is not None:
            yield FindingLocation(event.opener, "a connection is opened here")


def _log_locations(finding: Finding) -> Iterator[FindingLocation]:
    for event in finding.evidence:
        if event.path and event.path != "-" and event.line:
            location = CodeLocation(event.path, event.line)
            yield FindingLocation(location, f"{event.__struct_config__.tag} was logged here")
