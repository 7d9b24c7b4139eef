"""The verb: logs -> events -> one judge -> incidents, told as they change; and at the end a report."""

import time
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.incidents import GROWTH, Incident, IncidentTracker
from wscheck.detect.ledger import Ledger
from wscheck.model.disconnect_reasons import EXPIRED_STALE
from wscheck.model.event_counts import EventCounter
from wscheck.model.events import SOURCE_SERVER_LOG, SOURCE_WSCHECK, AnyEvent, Event, NotEvaluated, PhaseEnded
from wscheck.model.findings import Finding
from wscheck.notify.listener import WatchListener
from wscheck.observe.logs.sources import FollowedLog, PipedLog, StopReading, merge_by_time, with_node
from wscheck.run.tail.clock import ConnectionAges, LogClock, TimeWindow

STEP_S = 1.0
"""While an old log is read, incidents hear at least this often, by its own time, that time passes."""

AnyLog = FollowedLog | PipedLog


class LogWatch:
    """Everything between the logs and those who are told. Whoever runs it calls `look` whenever there may be more.

    live  whether time passes: a line without a time gets that of its arrival, and what is quiet resolves
    kept  how many events to keep for the reports at the end
    finished  whether nobody writes to the logs any more
    catching_up  whether what was there before we came is still being read
    owing  set by a listener that has to say something soon, though nothing happens
    """

    def __init__(
        self,
        logs: Sequence[AnyLog],
        options: RuleOptions,
        *,
        quiet_after: float = 30.0,
        window: TimeWindow | None = None,
        stale_after: float | None = None,
        kept: int = 0,
        finished: bool = False,
    ) -> None:
        self.logs, self.options = list(logs), options
        self.judge = Judge(options, on_finding=self._sighted)
        self.incidents = IncidentTracker(quiet_after, self._still)
        self.seen, self.clock, self.ages = EventCounter(), LogClock(), ConnectionAges(stale_after)
        self.listeners: list[WatchListener] = []
        self.events: list[AnyEvent] = []
        self.live, self.finished, self.owing, self.catching_up = False, finished, False, True
        self._window, self._kept = window or TimeWindow(), kept
        self._before = Ledger() if self._window.since is not None else None
        self._unheard: list[Incident] = []
        self._step_at = float("-inf")
        self.began = time.time()

    # --- reading ---------------------------------------------------------------------------------------------------

    def look(self, halt: StopReading = lambda _: False, *, to_the_end: bool = False) -> None:
        """Read, judge and tell all that is new. `to_the_end`: this is the last look."""
        self.read(halt, to_the_end=to_the_end)
        self.settle()

    def read(self, halt: StopReading = lambda _: False, *, to_the_end: bool = False) -> None:
        """The first half of a look: read, judge, and tell what the logs say."""
        now = time.monotonic()
        take = self._take if self.live or self._window.bounded else self._judge
        for events in merge_by_time(with_node(log.node, log.read(now, halt)) for log in self.logs):
            take(events)
        for log in self.logs:
            for events in with_node(
                log.node, log.flush_idle(now, at_once=to_the_end, at_end=to_the_end and self.finished)
            ):
                take(events)
        if to_the_end and not self.live:
            self._end()
        self.clock.arrived()

    def settle(self) -> None:
        """The second half: tell what follows from the time, and that this was all."""
        if self._before is not None and not self.catching_up:
            self._begin_window(self._before)
        now = self.clock.now() if self.live else self.clock.last
        self._expire(now)
        if self.live and now is not None:
            self.judge.advance_to(now)
            self._pass_time(now)
        self._tell()
        for listener in self.listeners:
            listener.settled(now)

    def carry_on(self, held: Iterable[Event], incidents: Iterable[Incident]) -> None:
        """Begin with what an earlier run knew: it is judged with, not told again."""
        for event in sorted(held, key=lambda e: e.at or 0.0):
            self.ages.take(event, self.judge.restore(event))
        for incident in incidents:
            self.incidents.restore(incident)

    def _end(self) -> None:
        """Old logs that go on after their last event show that until then nothing happened but what was told."""
        times = [min(at, self._window.until or at) for log in self.logs if (at := log.latest) is not None]
        at, last = max(times, default=None), self.clock.last
        if at is None or last is None or at <= last:
            return
        ended = PhaseEnded(at=at, source=SOURCE_SERVER_LOG)
        self.judge.feed(ended)
        self._made_known(ended, ())
        self.clock.heard(at)

    def _take(self, events: Sequence[Event]) -> None:
        """Judge those of `events` that count, with the time they have by now."""
        for read in events:
            untimed = self.live and read.at is None
            event = msgspec.structs.replace(read, at=time.time()) if untimed else read
            if self._before is not None and self._window.begins_after(event.at):
                self._before.apply(event)
            elif self._window.holds(event.at):
                if self._before is not None:
                    self._begin_window(self._before)
                self._judge([event])

    def _begin_window(self, before: Ledger) -> None:
        """From here on events count, and so do the connections that are open now by the books of `before`."""
        self._before = None
        self._judge(sorted(before.opening_events(), key=lambda e: e.at or 0.0))

    def _judge(self, events: Sequence[Event]) -> None:
        self._count(events)
        feed, unheard, told = self.judge.feed, self._unheard, bool(self.listeners) or self.ages.limited
        for event in events:
            at = event.at
            if at is not None and at >= self._step_at:
                self._step_at = at + STEP_S
                self._pass_time(at)
            changes = feed(event)
            if told:
                self._made_known(event, changes)
            if unheard:
                self._tell()

    def _count(self, events: Sequence[Event]) -> None:
        self.clock.heard(self.seen.add(events))
        self.events += cast("Sequence[AnyEvent]", events[: max(0, self._kept - len(self.events))])

    def _made_known(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        self.ages.take(event, changes)
        for listener in self.listeners:
            listener.event(event, changes)

    def _expire(self, now: float | None) -> None:
        for sid in self.ages.stale(now):
            gone = NotEvaluated(
                at=now, source=SOURCE_WSCHECK, user=self.judge.ledger.user_for(sid), reason=f"{sid} {EXPIRED_STALE}"
            )
            self._count([gone])
            self._made_known(gone, self.judge.expire(sid, gone))

    def _pass_time(self, now: float) -> None:
        self._unheard.extend(self.incidents.resolve_quiet(now))

    def _sighted(self, finding: Finding) -> None:
        beginning = finding.count < GROWTH
        if beginning:
            self.judge.update_cause(finding)  # what is only beginning may look like something else with the next event
        incident = self.incidents.observe(finding)
        if incident is not None:
            incident.cause = finding.cause if beginning else self.judge.update_cause(finding)
            self._unheard.append(incident)

    def _tell(self) -> None:
        """An event is told before what was concluded from it."""
        for incident in self._unheard:
            for listener in self.listeners:
                listener.incident(incident)
        self._unheard.clear()

    def _still(self, rule: str, user: str | None) -> bool:
        return rule == "multiple-connections" and len(self.judge.ledger.open_connections(user)) > 1

    # --- what there is to say ---------------------------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        return sum(log.bytes for log in self.logs)

    @property
    def state(self) -> tuple[int, int, int]:
        """Changes whenever something was read, judged or resolved."""
        return self.bytes, self.seen.total, len(self.incidents.open)

    @property
    def expectant(self) -> bool:
        """Whether something waits for a little time to pass: a record that may go on, an overlap within its grace."""
        newest = next(reversed(self.judge.ledger.users_over_one.values()), None)
        overlapping = newest is not None and self.clock.passed(newest) <= 2 * self.options.grace_s
        return self.owing or overlapping or any(log.pending for log in self.logs)
