"""The verb: logs -> events -> one judge -> incidents, told as they change; and at the end a report."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, cast

import msgspec

from wscheck.assessment import Bar
from wscheck.events import AnyEvent, Event, Unjudged
from wscheck.findings import Finding, Verdict
from wscheck.incidents import Incident, Incidents
from wscheck.judge import Judge, Options
from wscheck.ledger import STALE
from wscheck.pulse import Pulse
from wscheck.report import Holdings, LogsReport
from wscheck.sources.tailing import FollowedLog, Halt, PipedLog, merged
from wscheck.transitions import Closed, Opened, Transition

SCHEMA = "wscheck.logs/1"

AnyLog = FollowedLog | PipedLog


class Listener(Protocol):
    """Somebody who is told. None of these may block: the logs do not wait."""

    def event(self, event: Event, changes: Sequence[Transition]) -> None:
        """An event was seen and judged."""

    def incident(self, incident: Incident) -> None:
        """An incident opened, grew or resolved."""

    def settled(self, now: float | None) -> None:
        """Everything that was there has been told; `now` is the logs' time, None before the first event."""


class Window(msgspec.Struct, frozen=True):
    """Which events count, by their time in seconds since the Unix epoch; those without a time always do."""

    since: float | None = None
    until: float | None = None

    def holds(self, at: float | None) -> bool:
        """Whether an event at `at` counts."""
        if at is None:
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


class Clock:
    """The logs' time: that of the last event (`last`), and from there on it runs as ours does.

    A server's clock may be off, and a log read from its start may be of yesterday: what matters is how much time
    passed since the last event, not what our clock shows.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self._heard = time.monotonic()

    def heard(self, at: float) -> None:
        """An event at `at` has just arrived."""
        if self.last is None or at >= self.last:
            self.last, self._heard = at, time.monotonic()

    def now(self) -> float | None:
        """The time it is in the logs, None while no event had one."""
        return None if self.last is None else self.last + time.monotonic() - self._heard

    def passed(self, since: float) -> float:
        """Seconds since `since`, 0 before the first event."""
        now = self.now()
        return now - since if now is not None else 0.0


class Ages:
    """How long ago each open connection was last mentioned; kept only where a limit is set."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._opened: OrderedDict[str, float] = OrderedDict()

    def take(self, event: Event, changes: Iterable[Transition]) -> None:
        """What an event changed."""
        if self._limit is None or event.at is None:
            return
        for change in changes:
            if isinstance(change, Opened):
                self._opened[change.sid] = event.at
            elif isinstance(change, Closed):
                self._opened.pop(change.sid, None)
            elif change.old_sid is not None:
                self._opened.pop(change.old_sid, None)

    def stale(self, now: float | None) -> Iterator[str]:
        """The connections not mentioned for longer than the limit, the oldest first; each is given once."""
        while now is not None and self._limit is not None and self._opened:
            sid, at = next(iter(self._opened.items()))
            if now - at <= self._limit:
                return
            del self._opened[sid]
            yield sid


class Watch:
    """Everything between the logs and those who are told. Whoever runs it calls `look` whenever there may be more.

    live  whether time passes: a line without a time gets that of its arrival, and what is quiet resolves
    kept  how many events to keep for the reports at the end
    """

    def __init__(
        self,
        logs: Sequence[AnyLog],
        options: Options,
        *,
        quiet_after: float = 30.0,
        window: Window | None = None,
        stale_after: float | None = None,
        kept: int = 0,
    ) -> None:
        self.logs, self.options = list(logs), options
        self.judge = Judge(options, on_sighting=self._sighted)
        self.incidents = Incidents(quiet_after, self._still)
        self.pulse, self.clock, self.ages = Pulse(), Clock(), Ages(stale_after)
        self.listeners: list[Listener] = []
        self.events: list[AnyEvent] = []
        self.live = False
        self._window, self._kept = window or Window(), kept
        self._silent = False
        self._began = time.time()

    # --- reading ---------------------------------------------------------------------------------------------------

    def look(self, halt: Halt = lambda _: False, *, to_the_end: bool = False) -> bool:
        """Read, judge and tell all that is new; returns whether anything was. `to_the_end`: no more will come."""
        before, now = self.bytes, time.monotonic()
        for event in merged(log.read(now, halt) for log in self.logs):
            self._take(event)
        for log in self.logs:
            for event in log.settle(now, at_once=to_the_end):
                self._take(event)
        self._tick()
        return self.bytes > before

    def carry_on(self, held: Iterable[Event], incidents: Iterable[Incident]) -> None:
        """Begin with what an earlier run knew: it is judged with, not told again."""
        self._silent = True
        for incident in incidents:
            self.incidents.reopen(incident)
        for event in held:
            self.pulse.carry(self.judge.feed(event))
        self._silent = False

    def _take(self, event: Event) -> None:
        if event.at is None and self.live:
            event = msgspec.structs.replace(event, at=time.time())
        if not self._window.holds(event.at):
            return
        if event.at is not None:
            self.clock.heard(event.at)
        self._made_known(event, self.judge.feed(event))

    def _made_known(self, event: Event, changes: Sequence[Transition]) -> None:
        self.pulse.take(event, changes)
        self.ages.take(event, changes)
        if len(self.events) < self._kept:
            self.events.append(cast(AnyEvent, event))
        for listener in self.listeners:
            listener.event(event, changes)

    def _tick(self) -> None:
        now = self.clock.now() if self.live else self.clock.last
        for sid in self.ages.stale(now):
            gone = Unjudged(at=now, source="wscheck", user=self.judge.ledger.owner(sid), reason=f"{sid} {STALE}")
            self._made_known(gone, self.judge.expire(sid, gone))
        if self.live and now is not None:
            self.judge.advance(now)
            self.pulse.advance(now)
            for incident in self.incidents.advance(now):
                self._tell(incident)
        for listener in self.listeners:
            listener.settled(now)

    def _sighted(self, finding: Finding) -> None:
        incident = self.incidents.sighted(finding)
        if incident is not None and not self._silent:
            self._tell(incident)

    def _tell(self, incident: Incident) -> None:
        for listener in self.listeners:
            listener.incident(incident)

    def _still(self, rule: str, user: str | None) -> bool:
        return rule == "multiple-connections" and len(self.judge.ledger.held(user)) > 1

    # --- what there is to say ---------------------------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        return sum(log.bytes for log in self.logs)

    @property
    def state(self) -> tuple[int, int, int]:
        """Changes whenever something was read, judged or resolved."""
        return self.bytes, self.pulse.events.total(), len(self.incidents.open)

    @property
    def expectant(self) -> bool:
        """Whether something waits for time to pass: a record that may go on, or an overlap within its grace."""
        newest = next(reversed(self.pulse.over_one.values()), None)
        overlapping = newest is not None and self.clock.passed(newest) <= 2 * self.options.grace_s
        return overlapping or any(log.pending for log in self.logs)

    def report(self, bar: Bar, *, users: int | None = None, interrupted: bool = False) -> LogsReport:
        """All that was seen and found; `users` bounds the table of users. Nothing may be read afterwards."""
        findings = self.judge.conclude()
        verdict, reason = self._verdict(findings, bar)
        ledger = self.judge.ledger
        shown = ledger.users() if users is None else _most_telling(self.judge)[:users]
        return LogsReport(
            schema=SCHEMA,
            target=", ".join(log.name for log in self.logs),
            verdict=verdict,
            reason=reason,
            started_at=self._began,
            duration_s=round(time.time() - self._began, 3),
            interrupted=interrupted,
            options={**msgspec.structs.asdict(self.options), **msgspec.structs.asdict(bar)},
            findings=findings,
            sources=[log.name for log in self.logs],
            lines=sum(log.lines for log in self.logs),
            bytes=self.bytes,
            events={"connected": 0, "replaced": 0, "disconnected": 0, **self.pulse.events},
            unreadable=sum(log.unreadable for log in self.logs),
            levels=self._levels(),
            users={user: _holdings(self.judge, user) for user in shown},
        )

    def _levels(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for log in self.logs:
            for level, count in log.levels.items():
                total[level] = total.get(level, 0) + count
        return total

    def _verdict(self, findings: Sequence[Finding], bar: Bar) -> tuple[Verdict, str]:
        failing = [finding for finding in findings if finding.severity.rank >= bar.fail_on.rank]
        if failing:
            return Verdict.FAILED, f"{failing[0].user or 'somebody'}: {failing[0].message}"
        unsure = self._unsure()
        if unsure:
            return (Verdict.FAILED if bar.strict else Verdict.INCONCLUSIVE), unsure
        return Verdict.PASSED, ""

    def _unsure(self) -> str:
        """Why nothing was proven although nothing was found; empty when it was."""
        seen = sum(count for kind, count in self.pulse.events.items() if kind != "unreadable")
        unreadable = sum(log.unreadable for log in self.logs)
        if not seen:
            return "no connection event was seen: nothing in the logs speaks of one"
        if unreadable:
            return f"{unreadable} of the lines that look like events could not be read"
        if not self.pulse.named:
            return "the logs count connections and say neither whose they are nor which"
        if not self.pulse.timed:
            return "no line has a time, so overlaps and attempts per second could not be judged"
        return ""


def _holdings(judge: Judge, user: str) -> Holdings:
    tally = judge.ledger.tally(user)
    return Holdings(
        connects=tally.connects,
        replacements=tally.replacements,
        disconnects=tally.disconnects,
        open=list(judge.ledger.held(user)),
        max_open=tally.max_open,
    )


def _most_telling(judge: Judge) -> list[str]:
    """Users by how much there is to say of them: the most replacements and connections first."""

    def weight(user: str) -> tuple[int, int]:
        tally = judge.ledger.tally(user)
        return -tally.replacements, -tally.connects

    return sorted(judge.ledger.users(), key=weight)
