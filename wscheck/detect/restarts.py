"""Connections that count as ended because their server process restarted, without a log line about their end.

A server that is killed logs no ends. After a restart, its connections count as ended. A line that only looks like a
restart is detected later: a connection that ends by itself had survived.
"""

import heapq
from collections.abc import Iterable, Mapping

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import OpenedChange, SurvivedChange
from wscheck.detect.socket_ids import is_logged
from wscheck.model.disconnect_reasons import SERVER_SHUTTING_DOWN
from wscheck.model.events import Connected, Disconnected, Event, ServerRestarted
from wscheck.model.gaps import Gap

SETTLING_S = 5.0
"""Time for which a restarting server may still log ends of its earlier connections (seconds)."""


class PresumedEnd(msgspec.Struct):
    """A connection that counts as ended since a restart.

    newer  the event that opened the user's first connection after the restart
    until  end of this newer connection (epoch seconds), None while it is open
    """

    user: str
    opening: Connected | None
    restart: "Restart"
    newer: Connected | None = None
    newer_sid: str = ""
    until: float | None = None


class Restart(msgspec.Struct):
    """A restart, with the numbers that decide whether the evidence confirms it.

    event      log line of the restart, or the event at which a restart without a log line was inferred
    users      users who had a connection that counts as ended
    returned   number of these users who connected again while their earlier connection was not known to have ended
    survivors  number of connections that were still open after the restart: their own end was logged later
    overlaps   number of survivors whose user had opened another connection since the restart
    """

    event: Event
    users: int = 0
    returned: int = 0
    survivors: int = 0
    overlaps: int = 0

    @property
    def has_log_line(self) -> bool:
        return isinstance(self.event, ServerRestarted)

    def gap(self, rules: tuple[str, ...]) -> Gap | None:
        """Return the gap that the restart leaves in the evidence for `rules`, None if it concerns no user.

        The gap does not block the verdict if a log line reports the restart and at least half of the users returned.
        Clients return in this way after a real restart.
        """
        if not self.returned:
            return None
        event, when = self.event, format_utc(self.event.at)
        if not self.has_log_line:
            if self.overlaps == self.returned:
                return None  # all of their connections survived: nothing restarted
            reason = (
                f"{self.returned} of {self.users} users connected again{when} within seconds, and their earlier "
                "connections did not end: the server probably restarted. A log line that says so "
                "(--marker restarted=TEXT) would make it certain"
            )
            return Gap(id="restart-uncertain", reason=reason, closes_with="--marker restarted=TEXT", rules=rules)
        where = f"{event.path}:{event.line}" if event.path and event.line else "the log"
        if self.survivors and self.returned > self.survivors:
            reason = (
                f"{where} looks like a restart of the server{when}, but {count(self.survivors, 'earlier connection')} "
                "ended later: whether the others survived too is unknown"
            )
        elif 2 * self.returned < self.users:
            reason = (
                f"{where} looks like a restart of the server{when}, but only {self.returned} of {self.users} users "
                "connected again: whether their earlier connections survived is unknown"
            )
        else:
            ended = f"the earlier connections of {count(self.users, 'user')} count as ended"
            return Gap(
                id="server-restarted",
                reason=f"the server restarted{when} ({where}): {ended}",
                blocks=False,
                rules=rules,
            )
        return Gap(id="restart-uncertain", reason=reason, rules=rules)


def format_utc(at: float | None) -> str:
    """Return for example " at 09:15:20 UTC", "" for an unknown time."""
    if at is None:
        return ""
    hours, rest = divmod(int(at) % 86_400, 3600)
    return f" at {hours:02}:{rest // 60:02}:{rest % 60:02} UTC"


def count(number: int, what: str) -> str:
    """Return a number with a noun, for example "1 user" or "3 users". `what` is the singular noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class PresumedEnds:
    """Connections that count as ended since a restart, and the restarts. `memory` limits the number of connections."""

    def __init__(self, memory: int) -> None:
        self._by_sid = BoundedDict[str, PresumedEnd](memory)
        self._by_user = BoundedDict[str, str](memory)
        self._newer: dict[str, PresumedEnd] = {}
        self.restarts: list[Restart] = []

    def __bool__(self) -> bool:
        return bool(self._by_sid)

    def __contains__(self, sid: str) -> bool:
        return sid in self._by_sid

    def user_for(self, sid: str) -> str:
        """Return the user of a connection that counts as ended."""
        return self._by_sid[sid].user

    def start_restart(self, event: Event) -> Restart:
        """Record a restart and return it. Pass it to `add` with each connection that counts as ended since then."""
        restart = Restart(event)
        self.restarts.append(restart)
        return restart

    def add(self, sid: str, user: str, opening: Connected | None, restart: Restart) -> None:
        """Record that a connection counts as ended."""
        if user not in self._by_user:
            restart.users += 1
        self._by_sid.put(sid, PresumedEnd(user, opening, restart))
        self._by_user.put(user, sid)

    def user_opened(self, change: OpenedChange) -> None:
        """Record the first connection that a user opened after the restart."""
        sid = self._by_user.pop(change.user, None)
        presumed = self._by_sid.get(sid) if sid is not None else None
        if presumed is not None and isinstance(change.event, Connected):
            presumed.newer, presumed.newer_sid = change.event, change.sid
            presumed.restart.returned += 1
            self._newer[change.sid] = presumed

    def returned(self, user: str, sid: str, opening: Connected | None) -> None:
        """Record that a user connected again with the connection `sid`, before the restart was inferred."""
        if opening is not None:
            self.user_opened(OpenedChange(user, sid, opening, ()))

    def newer_closed(self, sid: str, event: Event) -> None:
        """Record the end of the connection `sid`, if it is the first one that a user opened after the restart."""
        presumed = self._newer.pop(sid, None)
        if presumed is not None:
            presumed.until = event.at

    def end(self, sid: str, event: Disconnected) -> SurvivedChange | None:
        """Forget a connection that counted as ended, because its end was logged now.

        Return a change if this shows that the connection had survived. Return None if the end was logged within
        `SETTLING_S` of the restart: the old process may log ends for a moment after the new one has started.
        """
        presumed = self._by_sid.pop(sid)
        self._newer.pop(presumed.newer_sid, None)
        started = presumed.restart.event.at
        is_settling = started is None or event.at is None or event.at - started <= SETTLING_S
        if is_settling or event.reason == SERVER_SHUTTING_DOWN:
            return None
        presumed.restart.survivors += 1
        until = None
        if presumed.newer is not None:
            until = presumed.until if presumed.until is not None else event.at
            presumed.restart.overlaps += 1
        returned = presumed.restart.returned if not presumed.restart.has_log_line else 0
        return SurvivedChange(presumed.user, sid, event, presumed.opening, presumed.newer, until, returned)


MIN_RETURNED = 3
"""Number of users who must return at once for an inferred restart. Fewer may have opened a second page."""

MIN_AGE_S = 1.0
"""Shortest age of the connections that a killed server had (seconds). A page opens its connections within less."""

RETURN_WAVE_S = 5.0
"""Time within which the clients of a killed server reconnect (seconds): the longest delay of Socket.IO's clients."""


class ReturnWave:
    """Users who opened another connection at about the same time, while an earlier one looked open.

    This is how users return after their server was killed. It is decided `RETURN_WAVE_S` after the start of the wave
    whether a restart caused it, or as soon as an earlier connection ends by itself, because then the server is alive.
    Until then, the overlaps of these users (their several open connections) are not reported.

    overlaps  dict of user to the start of the overlap (epoch seconds)
    """

    def __init__(self) -> None:
        self.overlaps: dict[str, float] = {}
        self._starts: list[tuple[float, str]] = []  # heap of `overlaps` and of overlaps that were removed

    def __bool__(self) -> bool:
        return bool(self.overlaps)

    @property
    def started_at(self) -> float:
        """Start of the first overlap (epoch seconds)."""
        while self.overlaps.get(self._starts[0][1]) != self._starts[0][0]:
            heapq.heappop(self._starts)
        return self._starts[0][0]

    def add_overlap(self, user: str, since: float, openings: Iterable[Connected | None]) -> bool:
        """Add the overlap of a user who has connections with these `openings`, and return True.

        Return False if the overlap does not belong to the wave. It belongs to the wave if the user's earlier
        connections were older than `MIN_AGE_S` when the wave started, and the newest one opened since then.
        """
        started = min(since, self.started_at) if self.overlaps else since
        *earlier, newest = openings
        if newest is None or newest.at is None or not earlier or newest.at < started:
            return False
        if not all(one is None or is_older(one, started - MIN_AGE_S) for one in earlier):
            return False
        self.overlaps[user] = since
        heapq.heappush(self._starts, (since, user))
        return True

    def is_over(self, at: float) -> bool:
        """Return whether at the time `at` enough time has passed to decide if a restart caused the wave."""
        return bool(self.overlaps) and at - self.started_at > RETURN_WAVE_S

    def take(self) -> Mapping[str, float]:
        """End the wave and return its overlaps."""
        overlaps, self.overlaps, self._starts = self.overlaps, {}, []
        return overlaps


def is_older(opening: Connected, than: float) -> bool:
    """Return whether a log reported `opening` before the time `than` (epoch seconds)."""
    is_seen = opening.page is not None and not is_logged(opening)
    return not is_seen and opening.at is not None and opening.at < than
