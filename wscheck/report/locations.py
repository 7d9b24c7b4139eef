"""Where a finding points: the code that opened its connections first, otherwise the log line that tells of it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation, Connected, ConnectionEvent, HandlersRegistered
from wscheck.model.findings import Finding
from wscheck.report.formatting import one_line
from wscheck.report.story import Opening, Openings, by_severity


@dataclass(frozen=True)
class Spot:
    """A place in a file, and what it has to do with the finding."""

    place: CodeLocation
    said: str


def spots(finding: Finding, opened: Sequence[Opening]) -> list[Spot]:
    """Every place in a file that `finding` points at, the most telling first, each once.

    Code comes before logs: which handlers are registered, where that is what is wrong; who opened its connections; what
    its evidence says.
    """
    found: dict[tuple[str, int], Spot] = {}
    for spot in (*_registered(finding), *_opened(opened), *_parted(finding), *_seen(finding), *_logged(finding)):
        if is_file(spot.place):
            found.setdefault((spot.place.file, spot.place.line), spot)
    return list(found.values())


def grouped(
    findings: Iterable[Finding], openings: Openings, fits: Callable[[CodeLocation], bool]
) -> list[tuple[Spot | None, list[Finding]]]:
    """Findings by severity, rule, cause and their first place that `fits` (None where none does), the worst first.

    A fault that shows in ten scenarios or for a thousand users is told once for each place to mend.
    """
    groups: dict[tuple[str, str, str, Spot | None], list[Finding]] = {}
    for finding in by_severity(findings):
        spot = next((spot for spot in spots(finding, openings.of(finding)) if fits(spot.place)), None)
        cause = finding.cause.id if finding.cause else ""
        groups.setdefault((finding.severity, finding.rule, cause, spot), []).append(finding)
    return [(key[-1], group) for key, group in groups.items()]


def is_file(place: CodeLocation) -> bool:
    """Whether `place` is in a file: a served script (the map was missing) and a native frame are not."""
    return bool(place.file) and "://" not in place.file and not place.file.startswith(("<", "data:", "blob:"))


def in_tree(place: CodeLocation) -> bool:
    """Whether `place` can be a file of the checkout: an absolute path or a URL never is."""
    return is_file(place) and not place.file.startswith(("/", ".."))


def _opened(opened: Sequence[Opening]) -> Iterator[Spot]:
    for opening in opened:
        if opening.opener is not None:
            who = opening.component or opening.opener.function
            yield Spot(opening.opener, f"{one_line(who)} opens a connection here" if who else "a connection opens here")


def _parted(finding: Finding) -> Iterator[Spot]:
    """Whose calls went through a shared opener: the frames at which their stacks part."""
    connected = [event for event in finding.evidence if isinstance(event, Connected) and event.stack]
    for one in connected:
        for other in connected:
            place = stack_frames.divergence(one.stack, other.stack) if other.opener == one.opener else None
            if place is not None:
                yield Spot(place, "one of its callers")


def _registered(finding: Finding) -> Iterator[Spot]:
    for event in finding.evidence:
        if isinstance(event, HandlersRegistered):
            yield from (Spot(place, f"a handler of {one_line(event.name)}") for place in event.handlers)
            yield from (Spot(place, f"a handler of {one_line(event.name)} that was removed") for place in event.lost)


def _seen(finding: Finding) -> Iterator[Spot]:
    for event in finding.evidence:
        if isinstance(event, ConnectionEvent) and event.opener is not None:
            yield Spot(event.opener, "a connection opens here")


def _logged(finding: Finding) -> Iterator[Spot]:
    for event in finding.evidence:
        if event.path and event.path != "-" and event.line:
            yield Spot(CodeLocation(event.path, event.line), f"{event.__struct_config__.tag} was logged here")
