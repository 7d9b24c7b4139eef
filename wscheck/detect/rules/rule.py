"""Base class of rules, occurrences that rules report, and labels for the code that opened a connection."""

from collections.abc import Callable, Mapping, Sized
from typing import Any, ClassVar

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.ledger import Ledger
from wscheck.model.events import SOURCE_SERVER_LOG, AnyEvent, AttemptOutcome, Connected, Event, Mounted, Unmounted
from wscheck.model.findings import Bar, Confidence, Severity
from wscheck.model.gaps import Gap
from wscheck.model.policy import ConnectionPolicy, Connections


class RuleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the rules, which the configuration may change.

    grace_s       grace period: seconds for which two connections of one user may overlap (a replacement takes under 1
                  ms)
    max_attempts  connection attempts of one user allowed within `attempts_window_s` seconds
    duplicate_s   seconds within which a second event with the same payload counts as a duplicate
    connections   policy for the connections of a user to one endpoint, None if it is not set
    """

    grace_s: float = 0.25
    max_attempts: int = 5
    attempts_window_s: float = 10.0
    duplicate_s: float = 2.0
    connections: Connections | None = None

    @property
    def policy(self) -> ConnectionPolicy:
        """The policy for the connections of a user to one endpoint."""
        return ConnectionPolicy(self.connections)

    def to_dict(self, bar: Bar) -> dict[str, Any]:
        """Return these options and the fields of `bar` as one dict, as reports and recordings store them."""
        return {**msgspec.structs.asdict(self), **bar.to_dict()}


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of a problem.

    Occurrences with the same rule, user and key become one finding. The finding has the message of the latest
    occurrence or, if the rule counts connections, of the occurrence with the most connections. The key separates
    different problems of one user, for example two events.

    connections  the number of connections that are open at once, None if the rule does not count them
    """

    rule: str
    severity: Severity
    user: str | None
    message: str
    at: float | None
    key: str = ""
    confidence: Confidence = Confidence.HIGH
    connections: int | None = None
    evidence: tuple[Event, ...] = ()


EventHandler = Callable[[Any], None]


class RuleDoc:
    """Identity and documentation of a rule, as docs/rules.md shows it.

    id       identifier, which is public and never changes
    meaning  the meaning of a finding for the application
    fix      the fix if no more precise cause is known
    source   the document or protocol section that the rule comes from
    """

    id: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    title: ClassVar[str]
    meaning: ClassVar[str]
    fix: ClassVar[str]
    source: ClassVar[str]


class Rule(RuleDoc):
    """Base class of rules about events. Each has a file in this package, an entry in `REGISTRY` and a section in
    docs/rules.md.
    """

    pending: Sized = ()
    """Container of the cases that depend on the time. `on_time` is called only while the container is not empty."""

    on_node_event: EventHandler | None = None
    """Handler of events that contain a server process (`node`). It runs after the handlers of changes and events."""

    def __init__(self, ledger: Ledger, options: RuleOptions, on_occurrence: Callable[[Occurrence], None]) -> None:
        self.ledger, self.options, self._on_occurrence = ledger, options, on_occurrence
        self.gaps: dict[Gap, None] = {}
        """Evidence that the rule needed and did not get, each once. Complete after `finish`."""

    def handlers(self) -> Mapping[type, EventHandler]:
        """Initialise the rule's state and return its handler for each type of event and ledger change."""
        raise NotImplementedError

    def on_time(self, at: float) -> None:
        """Handle the time `at` (epoch seconds). Called before each event with a time, while `pending` is not empty."""

    def finish(self, at: float | None) -> None:
        """Handle the end of the evidence. `at` is the time of its end (epoch seconds), None if no event has a time."""

    def report(
        self,
        user: str | None,
        message: str,
        at: float | None,
        *evidence: AnyEvent | Event | None,
        key: str = "",
        confidence: Confidence = Confidence.HIGH,
        severity: Severity | None = None,
        connections: int | None = None,
    ) -> None:
        """Report one occurrence of the problem, with the events that prove it (`evidence`).

        key          separates different problems of one user, for example two events
        severity     None for the severity of the rule
        connections  the number of connections that are open at once, None if the rule does not count them
        """
        self._on_occurrence(
            Occurrence(
                rule=self.id,
                severity=severity or self.severity,
                user=user,
                message=message,
                at=at,
                key=key,
                confidence=confidence,
                connections=connections,
                evidence=tuple(filter(None, evidence)),
            )
        )


class EmptiedPages:
    """Pages on which no component is mounted any more.

    last_unmount  dict of page to the event with which its last component unmounted
    """

    def __init__(self) -> None:
        self.last_unmount: dict[str, Unmounted] = {}
        self._components: dict[str, set[str | None]] = {}

    def on_mounted(self, event: Mounted) -> None:
        """Add a component to its page, which is then not empty."""
        if event.page is not None:
            self._components.setdefault(event.page, set()).add(event.component)
            self.last_unmount.pop(event.page, None)

    def on_unmounted(self, event: Unmounted) -> None:
        """Remove a component from its page, which may then be empty."""
        components = self._components.get(event.page or "")
        if components is None or event.page is None:
            return
        components.discard(event.component)
        if not components:
            self.last_unmount[event.page] = event


def opener_label(event: Event | None) -> str:
    """Return the opener (call site of io()) of a connection, such as "dashboard (src/a.ts:5)", "" if unknown."""
    component = getattr(event, "component", None)
    opener = getattr(event, "opener", None)
    if component and opener:
        return f"{component} ({opener})"
    return component or (str(opener) if opener else "")


def distinct_openers(old: AttemptOutcome | None, new: AttemptOutcome | None) -> tuple[str, str]:
    """Return the openers of two connections. For a shared opener, return the frames at which their stacks diverge."""
    first, second = opener_label(old), opener_label(new)
    if old is not None and new is not None and first == second and old.stack and new.stack:
        old_frame = stack_frames.divergence(old.stack, new.stack)
        new_frame = stack_frames.divergence(new.stack, old.stack)
        if old_frame is not None and new_frame is not None:
            return (
                f"{stack_frames.location_label(old_frame)} ({old_frame})",
                f"{stack_frames.location_label(new_frame)} ({new_frame})",
            )
    return first, second


def are_separate_connections(old: Connected, new: Connected) -> bool:
    """Return whether two open sockets of one user are certainly two connections.

    Two sockets may also be two namespaces of one connection. A server's log excludes this only if it contains the
    session, the namespaces, or two different processes.
    """
    if all(one.source != SOURCE_SERVER_LOG or one.eio is not None for one in (old, new)):
        return True
    if old.node != new.node:
        return None not in {old.node, new.node}
    return None not in {old.namespace, new.namespace}
