"""The base class of rules, the occurrences that rules report, and labels for the code that opened a connection."""

from collections.abc import Callable, Mapping, Sized
from typing import Any, ClassVar

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.ledger import Ledger
from wscheck.model.events import SOURCE_SERVER_LOG, AnyEvent, AttemptOutcome, Connected, Event
from wscheck.model.findings import Bar, Confidence, Severity
from wscheck.model.gaps import Gap


class RuleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the rules that the configuration may change.

    grace_s       seconds for which two connections of one user may overlap (a healthy replacement takes under 1 ms)
    max_attempts  connection attempts of one user allowed within `attempts_window_s` seconds
    duplicate_s   the same payload again within this many seconds is the same event
    """

    grace_s: float = 0.25
    max_attempts: int = 5
    attempts_window_s: float = 10.0
    duplicate_s: float = 2.0

    def to_dict(self, bar: Bar) -> dict[str, Any]:
        """Return these options and those of `bar`, as a report and a recording store them."""
        return {**msgspec.structs.asdict(self), **msgspec.structs.asdict(bar)}


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of a problem.

    Those with the same rule, user and key become one finding, with the latest message.
    """

    rule: str
    severity: Severity
    user: str | None
    message: str
    at: float | None
    key: str = ""
    confidence: Confidence = Confidence.HIGH
    evidence: tuple[Event, ...] = ()


EventHandler = Callable[[Any], None]


class Rule:
    """Base class of rules. Each rule is a file of this package, an entry of `REGISTRY`, and a section of docs/rules.md.

    id        public and stable
    meaning   what a finding of this rule means for the application
    fix       what to change when no more precise cause is known
    source    the document or protocol section that the rule comes from
    """

    id: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    title: ClassVar[str]
    meaning: ClassVar[str]
    fix: ClassVar[str]
    source: ClassVar[str]

    pending: Sized = ()
    """State that depends on the time. Each event calls `on_time` only while it is not empty."""

    on_node_event: EventHandler | None = None
    """Handler of each event with a server process (`node`); it runs after the handlers of the changes and the event."""

    gap: Gap | None = None
    """Evidence that this rule missed. Valid after `finish`."""

    def __init__(self, ledger: Ledger, options: RuleOptions, on_occurrence: Callable[[Occurrence], None]) -> None:
        self.ledger, self.options, self._on_occurrence = ledger, options, on_occurrence

    def handlers(self) -> Mapping[type, EventHandler]:
        """Initialise the rule's state and return its handler for each type of event and ledger change."""
        raise NotImplementedError

    def on_time(self, at: float) -> None:
        """Handle the time `at` (epoch seconds). It runs before each event with a time, while `pending` is not empty."""

    def finish(self, at: float | None) -> None:
        """Handle the end of the evidence; `at` is its last time, None when it has none."""

    def report(
        self,
        user: str | None,
        message: str,
        at: float | None,
        *evidence: AnyEvent | Event | None,
        key: str = "",
        confidence: Confidence = Confidence.HIGH,
        severity: Severity | None = None,
    ) -> None:
        """Report one occurrence."""
        self._on_occurrence(
            Occurrence(
                rule=self.id,
                severity=severity or self.severity,
                user=user,
                message=message,
                at=at,
                key=key,
                confidence=confidence,
                evidence=tuple(filter(None, evidence)),
            )
        )


def opener_label(event: Event | None) -> str:
    """Return the opener of a connection, such as "dashboard (src/a.ts:5)", or "" if it is unknown."""
    component = getattr(event, "component", None)
    opener = getattr(event, "opener", None)
    if component and opener:
        return f"{component} ({opener})"
    return component or (str(opener) if opener else "")


def distinct_openers(old: AttemptOutcome | None, new: AttemptOutcome | None) -> tuple[str, str]:
    """Return the openers of two connections, or the frames at which their stacks diverge if both used shared code."""
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

    Two namespaces of one connection are two sockets as well. A server's log that names neither the session, nor the
    namespaces, nor two processes does not distinguish the two cases.
    """
    if all(one.source != SOURCE_SERVER_LOG or one.eio is not None for one in (old, new)):
        return True
    if old.node != new.node:
        return None not in {old.node, new.node}
    return None not in {old.namespace, new.namespace}
