"""The evaluation of logs: all events are evaluated together, and incidents are reported when they change."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, cast

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.incidents import GROWTH, Incident, IncidentTracker
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules import OF_LOGS
from wscheck.model.event_counts import EventCounter
from wscheck.model.events import SOURCE_SERVER_LOG, SOURCE_WSCHECK, AnyEvent, ConnectionExpired, Event, PhaseEnded
from wscheck.model.findings import Finding, Severity
from wscheck.model.gaps import Gap
from wscheck.model.report import WordingProposal
from wscheck.observe.logs.extractor import read_events
from wscheck.observe.logs.ordering import MAX_SORTED_LINES, LateEvents, ReorderBuffer, order_logs
from wscheck.observe.logs.proposals import guessable, proposals
from wscheck.observe.logs.sources import FollowedLog, PipedLog, StopReading, merge_by_time, with_node
from wscheck.observe.logs.wording.scout import WordingScout
from wscheck.run.tail.clock import ConnectionAges, LogClock, TimeWindow

if TYPE_CHECKING:
    from wscheck.notify.listener import WatchListener

RESOLVE_INTERVAL_S = 1.0
"""Log time between two checks for quiet incidents while an old log is read."""

LINES_BEFORE_PROPOSAL = 20
"""Lines without a connection event after which the live view proposes how to read the log."""

MAX_EXAMINED = 20
"""Number of incidents per poll that are examined again, because they were announced as less than their findings."""

CONNECTION_KINDS = ("connected", "replaced", "disconnected")

AnyLog = FollowedLog | PipedLog


def _totals(logs: Iterable[AnyLog]) -> tuple[int, int, int]:
    """Return the numbers of lines, bytes and unreadable lines that were read."""
    lines = byte_count = unreadable = 0
    for log in logs:
        lines += log.lines
        byte_count += log.bytes
        unreadable += log.unreadable
    return lines, byte_count, unreadable


class LogWatch:
    """Logs, their evaluation and the listeners. The caller polls whenever a log may contain something new.

    live          the logs are being written now: events without a time get the current time, and incidents resolve
                  when nothing more happens
    lines, bytes, unreadable  totals of all logs, also of those that were deleted meanwhile
    catching_up   what the logs contained at the start is still being read
    events        the first `max_events` events, for the reports at the end
    """

    def __init__(
        self,
        logs: Sequence[AnyLog],
        options: RuleOptions,
        *,
        quiet_after: float = 30.0,
        window: TimeWindow | None = None,
        stale_after: float | None = None,
        max_events: int = 0,
        complete: bool = False,
        sort_all: bool = False,
        reorder: float = 0.0,
    ) -> None:
        """Create a watch. Durations are in seconds.

        complete  no process writes to the logs any more
        sort_all  evaluate the logs only after all of them were read, in the order of time, up to `MAX_SORTED_LINES`
        reorder   time for which the events of several followed logs, or of a pipe, wait for earlier ones
        """
        self.logs, self.options = list(logs), options
        self.judge = Judge(options, OF_LOGS, on_finding=self._on_finding)
        self.incidents = IncidentTracker(quiet_after, self._is_ongoing)
        self.counts, self.clock, self.ages = EventCounter(), LogClock(), ConnectionAges(stale_after)
        self.listeners: list[WatchListener] = []
        self.events: list[AnyEvent] = []
        self.live, self.catching_up = False, True
        self._complete, self._listener_is_waiting = complete, False
        self._window, self._max_events = window or TimeWindow(), max_events
        self._ledger_before_window = Ledger() if self._window.since is not None else None
        self._collected: dict[int, list[Event]] | None = {} if sort_all else None
        self._reorder = ReorderBuffer(reorder) if reorder and not complete else None
        self._late, self.order_gaps = LateEvents(), list[Gap]()
        self._unreported: list[Incident] = []
        self._lowered: dict[tuple[str, str | None], Finding] = {}
        self._next_resolve_at = float("-inf")
        self.started_at = time.time()
        self.lines = self.bytes = self.unreadable = 0
        self._unfinished: dict[AnyLog, None] = {}
        self._propose_at, self._proposed = LINES_BEFORE_PROPOSAL, WordingProposal()

    # --- polling ---------------------------------------------------------------------------------------------------

    def poll(
        self,
        halt: StopReading = lambda _: False,
        changed: Iterable[AnyLog] | None = None,
        *,
        final: bool = False,
    ) -> Sequence[AnyLog]:
        """Read, evaluate and report everything new in the logs, and return the logs that were read.

        halt     function that receives the size of each piece that was read; reading stops if it returns True
        changed  logs to read in addition to those that the previous poll did not finish; None for all
        final    this is the last poll
        """
        read = self.read_new(halt, changed, final=final)
        if final and self._lowered:
            self._raise_unexplained()
        self.finish_poll()
        return read

    def read_new(
        self,
        halt: StopReading = lambda _: False,
        changed: Iterable[AnyLog] | None = None,
        *,
        final: bool = False,
    ) -> Sequence[AnyLog]:
        """Read and evaluate everything new, until `halt` returns True: the first half of a poll."""
        now = time.monotonic()
        logs = list(self.logs if changed is None else dict.fromkeys((*self._unfinished, *changed)))
        before = _totals(logs)
        halted = False

        def halt_all(size: int) -> bool:
            nonlocal halted
            halted |= halt(size)
            return halted

        if self._collected is not None:
            self._collect(self._collected, now, halt_all, final=final)
        else:
            for events in merge_by_time(with_node(log.node, log.read(now, halt_all)) for log in logs):
                self._evaluate_later(events, now)
            for log in logs:
                for events in with_node(log.node, log.flush_idle(now, at_once=final, at_end=final and self._complete)):
                    self._evaluate_later(events, now)
            self._evaluate_waiting(now, everything=final)
        self._unfinished = dict.fromkeys(log for log in logs if halted or log.pending)
        self._add_totals(before, _totals(logs))
        if final and not self.live:
            self._evaluate_log_end()
        self.clock.mark_current()
        return logs

    def _add_totals(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
        self.lines += after[0] - before[0]
        self.bytes += after[1] - before[1]
        self.unreadable += after[2] - before[2]

    def finish_poll(self) -> None:
        """Evaluate the time that has passed, report incidents and end the poll: the second half of a poll."""
        if self._ledger_before_window is not None and not self.catching_up and self._collected is None:
            self._start_window(self._ledger_before_window)
        now = self.clock.now() if self.live else self.clock.last
        self._expire_stale(now)
        if self.live and now is not None:
            self.judge.advance_to(now)
            self._resolve_quiet(now)
        if self._lowered:
            self._raise_lowered()
        self._report_incidents()
        waiting = [listener.on_poll_end(now) for listener in self.listeners]
        self._listener_is_waiting = any(waiting)

    def restore(self, connections: Iterable[Event], incidents: Iterable[Incident]) -> None:
        """Restore the open connections and incidents of an earlier run, without reporting them again."""
        for event in sorted(connections, key=lambda e: e.at or 0.0):
            self.ages.observe(event, self.judge.restore(event))
        for incident in incidents:
            self.incidents.restore(incident)

    def _collect(self, collected: dict[int, list[Event]], now: float, halt: StopReading, *, final: bool) -> None:
        """Read everything new and add it to `collected` (number of a log to its events), to sort it by time later.

        Evaluate them when all logs were read, or earlier if there are too many lines.
        """
        for number, log in enumerate(self.logs):
            events = collected.setdefault(number, [])
            for batch in chain(log.read(now, halt), log.flush_idle(now, at_once=final, at_end=final)):
                events += next(with_node(log.node, iter([batch])))
        if final or sum(log.lines for log in self.logs) > MAX_SORTED_LINES:
            self._collected, ordered = None, order_logs(collected.values())
            self.order_gaps += ordered.gaps
            self._evaluate_batch(ordered.events)

    def _evaluate_later(self, events: Sequence[Event], now: float) -> None:
        """Evaluate `events`, or hold them back first if another log may still contain earlier events.

        While the logs are live, an event without a time gets the time at which it was read.
        """
        if self.live:
            at = time.time()
            events = [each if each.at is not None else msgspec.structs.replace(each, at=at) for each in events]
        if self._reorder is not None and self.reads_several_sources:
            events = self._reorder.add(events, now)
        self._evaluate_batch(events)

    def _evaluate_waiting(self, now: float, *, everything: bool = False) -> None:
        if self._reorder is not None and self._reorder:
            self._evaluate_batch(self._reorder.flush() if everything else self._reorder.add((), now))

    def evaluate_waiting(self) -> None:
        """Evaluate the events that were held back, so that the ledger contains everything that was read."""
        self._evaluate_waiting(time.monotonic(), everything=True)

    @property
    def reads_several_sources(self) -> bool:
        """True if the lines may be out of order: there are several logs, or a pipe that may merge several."""
        return len(self.logs) > 1 or any(isinstance(log, PipedLog) for log in self.logs)

    @property
    def is_waiting(self) -> bool:
        """True if events are held back until earlier events of other logs may have arrived."""
        return bool(self._reorder)

    def _evaluate_batch(self, events: Sequence[Event]) -> None:
        evaluate = self._evaluate_in_window if self.live or self._window.bounded else self._evaluate
        evaluate(events)

    def _evaluate_log_end(self) -> None:
        """Evaluate the time from the last event to the last log line.

        The log shows that no event happened in between.
        """
        times = [min(at, self._window.until or at) for log in self.logs if (at := log.latest) is not None]
        at, last = max(times, default=None), self.clock.last
        if at is None or last is None or at <= last:
            return
        ended = PhaseEnded(at=at, source=SOURCE_SERVER_LOG)
        self.judge.feed(ended)
        self._notify_event(ended, ())
        self.clock.observe(at)

    def _evaluate_in_window(self, events: Sequence[Event]) -> None:
        """Evaluate those of `events` that are in the time window (--since, --until)."""
        for event in events:
            if self._ledger_before_window is not None and self._window.starts_after(event.at):
                self._ledger_before_window.apply(event)
            elif self._window.contains(event.at):
                if self._ledger_before_window is not None:
                    self._start_window(self._ledger_before_window)
                self._evaluate([event])

    def _start_window(self, ledger: Ledger) -> None:
        """Start the time window with the connections that were open before it, which are in `ledger`."""
        self._ledger_before_window = None
        self._evaluate(sorted(ledger.opening_events(), key=lambda e: e.at or 0.0))

    def _evaluate(self, events: Sequence[Event]) -> None:
        self._count(events)
        feed, unreported, notify = self.judge.feed, self._unreported, bool(self.listeners) or self.ages.limited
        for event in events:
            at = event.at
            if at is not None and at >= self._next_resolve_at:
                self._next_resolve_at = at + RESOLVE_INTERVAL_S
                self._resolve_quiet(at)
            changes = feed(event)
            if notify:
                self._notify_event(event, changes)
            if unreported:
                self._report_incidents()

    def _count(self, events: Sequence[Event]) -> None:
        times = [event.at for event in events if event.at is not None]
        self._late.observe(times)
        self.clock.observe(self.counts.add(events, times))
        self.events += cast("Sequence[AnyEvent]", events[: max(0, self._max_events - len(self.events))])

    def _notify_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        self.ages.observe(event, changes)
        for listener in self.listeners:
            listener.on_event(event, changes)

    def _expire_stale(self, now: float | None) -> None:
        for sid in self.ages.pop_stale(now):
            user = self.judge.ledger.user_for(sid)
            expired = ConnectionExpired(at=now, source=SOURCE_WSCHECK, user=user, sid=sid)
            self._count([expired])
            self._notify_event(expired, self.judge.feed(expired))

    def _resolve_quiet(self, now: float) -> None:
        self._unreported.extend(self.incidents.resolve_quiet(now))

    def _on_finding(self, finding: Finding) -> None:
        is_new = finding.count < GROWTH
        if is_new:
            self.judge.update_cause(finding)  # while a finding is new, each event can change its cause
        incident = self.incidents.observe(finding, self._severity_so_far(finding))
        if incident is not None:
            incident.cause = finding.cause if is_new else self.judge.update_cause(finding)
            self._unreported.append(incident)

    def _severity_so_far(self, finding: Finding) -> Severity:
        """Return the severity to announce for a finding, which is lower while later events may explain the finding."""
        key = (finding.rule, finding.user)
        if self.incidents.is_open(finding):
            return Severity.WARNING if key in self._lowered else finding.severity
        severity = self.judge.severity_so_far(finding)
        if severity is not finding.severity:
            self._lowered[key] = finding
        return severity

    def _raise_lowered(self) -> None:
        """Raise incidents that were announced as less severe to the severity of their findings, once this is certain.

        `Judge.severity_so_far` decides that. Each call examines at most `MAX_EXAMINED` incidents.
        """
        for key, finding in list(islice(self._lowered.items(), MAX_EXAMINED)):
            del self._lowered[key]
            if self.incidents.is_open(finding) and self.judge.severity_so_far(finding) is not finding.severity:
                self._lowered[key] = finding
            elif (incident := self.incidents.raise_severity(finding)) is not None:
                self._unreported.append(incident)

    def _raise_unexplained(self) -> None:
        """Raise the severity of incidents that were announced as less severe and that the logs never explained."""
        errors = {id(finding) for finding in self.judge.findings() if finding.severity is Severity.ERROR}
        states = {id(incident): incident.state for incident in self._unreported}
        for finding in self._lowered.values():
            incident = self.incidents.raise_severity(finding) if id(finding) in errors else None
            if incident is not None and id(incident) in states:
                incident.state = states[id(incident)]  # it is reported once, with its final severity
            elif incident is not None:
                self._unreported.append(incident)
        self._lowered.clear()

    def _report_incidents(self) -> None:
        """Notify the listeners of changed incidents. They have already received the events that caused the changes."""
        for incident in self._unreported:
            for listener in self.listeners:
                listener.on_incident(incident)
        self._unreported.clear()

    def _is_ongoing(self, rule: str, user: str | None) -> bool:
        return rule == "multiple-connections" and len(self.judge.ledger.open_connections(user)) > 1

    # --- current state -----------------------------------------------------------------------------------------------

    @property
    def scouts(self) -> list[WordingScout]:
        """The objects that search the logs for lines that report connections in unknown words, each once."""
        return list({id(scout): scout for log in self.logs for scout in log.scouts}.values())

    @property
    def proposal(self) -> WordingProposal | None:
        """Proposed options that would make the lines readable, None if a line reported a connection already.

        It is also None before `LINES_BEFORE_PROPOSAL` lines were read.
        """
        lines = self.lines
        if lines < LINES_BEFORE_PROPOSAL or any(self.counts.by_type.get(kind) for kind in CONNECTION_KINDS):
            return None
        if lines >= self._propose_at:
            # A proposal is tried on lines of the log, so it is not made again with each line.
            self._propose_at = lines + max(LINES_BEFORE_PROPOSAL, lines // 2)
            self._proposed = WordingProposal(guessable(self.scouts), proposals(self.scouts, read_events))
        return self._proposed

    @property
    def event_count(self) -> int:
        return self.counts.total

    @property
    def connection_count(self) -> int:
        return self.judge.ledger.open_count

    @property
    def users_over_one(self) -> Mapping[str, float | None]:
        return self.judge.ledger.users_over_one

    @property
    def open_incidents(self) -> Sequence[Incident]:
        return self.incidents.open

    def connections_for(self, user: str) -> Sequence[str]:
        """Return the sids of the user's open connections."""
        return self.judge.ledger.open_connections(user)

    @property
    def progress(self) -> tuple[int, int, int]:
        """Counts by which a caller notices progress: they change whenever something was read, evaluated or resolved."""
        return self.bytes, self.counts.total, len(self.incidents.open)

    @property
    def needs_poll_soon(self) -> bool:
        """True if the next poll should not wait for new lines.

        This is the case while a log record is incomplete, events are held back, a listener waits, or two connections of
        a user have overlapped only for a short time.
        """
        newest = next(reversed(self.judge.ledger.users_over_one.values()), None)
        overlapping = newest is not None and self.clock.elapsed_since(newest) <= 2 * self.options.grace_s
        is_waiting = self._listener_is_waiting or self.is_waiting
        return is_waiting or overlapping or any(log.pending for log in self._unfinished)

    @property
    def gaps(self) -> list[Gap]:
        """Gaps (missing evidence) that exist because lines of the logs are not in the order of time."""
        late = self._late.gap()
        return [*self.order_gaps, *([late] if late is not None else [])]
