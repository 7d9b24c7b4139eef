"""What a rule is: it watches events and transitions, and reports sightings of one thing that is wrong."""

from collections.abc import Callable, Mapping, Sized
from typing import Any, ClassVar

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.ledger import Ledger
from wscheck.model.events import SOURCE_SERVER_LOG, AnyEvent, AttemptOutcome, Connected, Event
from wscheck.model.findings import Bar, Confidence, Severity
from wscheck.model.gaps import Gap


class RuleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may tune.

    grace_s       how long two connections of one user may overlap (a healthy replacement takes under 1 ms)
    max_attempts  connection attempts of one user allowed within `attempts_window_s` seconds
    duplicate_s   the same payload again within this many seconds is the same event
    """

    grace_s: float = 0.25
    max_attempts: int = 5
    attempts_window_s: float = 10.0
    duplicate_s: float = 2.0

    def to_dict(self, bar: Bar) -> dict[str, Any]:
        """How a run was judged and what fails it, as its report and its recording say."""
        return {**msgspec.structs.asdict(self), **msgspec.structs.asdict(bar)}


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence. Those with the same rule, user and key grow one finding; the latest message stands."""

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
    """Subclass it in a file of its own, name it in `wscheck.rules.REGISTRY`, describe it in docs/rules.md.

    id        public and stable
    meaning   what it means for the application when this rule finds something
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
    """What the rule waits for. Only while there is something in it does each event call `on_time`."""

    on_node_event: EventHandler | None = None
    """What to call with each event of a server process that is known by name, after what the event changed."""

    gap: Gap | None = None
    """Evidence that this rule missed, once the evidence has ended."""

    def __init__(self, ledger: Ledger, options: RuleOptions, on_occurrence: Callable[[Occurrence], None]) -> None:
        self.ledger, self.options, self._on_occurrence = ledger, options, on_occurrence

    def handlers(self) -> Mapping[type, EventHandler]:
        """Event and transition types, and what to call with each."""
        raise NotImplementedError

    def on_time(self, at: float) -> None:
        """It is `at`; called before every event that has a time, while the rule waits for something."""

    def finish(self, at: float | None) -> None:
        """The evidence ends; `at` is its last time, None when it has none."""

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


def opened_by(event: Event | None) -> str:
    """Who opened a connection, as precisely as the evidence says: "dashboard (src/a.ts:5)", or "" when unknown."""
    component = getattr(event, "component", None)
    opener = getattr(event, "opener", None)
    if component and opener:
        return f"{component} ({opener})"
    return component or (str(opener) if opener else "")


def told_apart(old: AttemptOutcome | None, new: AttemptOutcome | None) -> tuple[str, str]:
    """Who opened each of two connections; where both went through shared code, the frames at which they part."""
    first, second = opened_by(old), opened_by(new)
    if old is not None and new is not None and first == second and old.stack and new.stack:
        mine, other = stack_frames.divergence(old.stack, new.stack), stack_frames.divergence(new.stack, old.stack)
        if mine is not None and other is not None:
            return f"{stack_frames.location_label(mine)} ({mine})", f"{stack_frames.location_label(other)} ({other})"
    return first, second


def apart(old: Connected, new: Connected) -> bool:
    """Whether two sockets of one user, held at once, are two connections for certain. Two namespaces of one connection
    are two sockets as well: a server's log that names neither them nor the session does not tell."""
    if all(one.source != SOURCE_SERVER_LOG or one.eio is not None for one in (old, new)):
        return True
    if old.node != new.node:
        return None not in {old.node, new.node}
    return None not in {old.namespace, new.namespace}
