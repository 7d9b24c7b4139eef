"""Ledger: the open connections per user.

The ledger receives events and returns changes. If both a client and the server's log report a connection, it counts
once. If the evidence contains Engine.IO sessions, each session is one connection, even if it has several namespaces.

The ledger is designed for a million users. A user who connected once costs one string in each of two dicts; more is
stored only for users with further events. The number of stored events is limited, but the open connections are always
complete.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange, UserCounts
from wscheck.detect.replacements import ReplacementInference
from wscheck.detect.restarts import PresumedEnds
from wscheck.detect.socket_ids import EngineSessions, UserOnlyLines, is_logged, may_be_same_moment
from wscheck.model.disconnect_reasons import (
    DISCONNECT_SENT,
    EXPIRED_LIKELY_RESTART,
    EXPIRED_SERVER_RESTART,
    EXPIRED_STALE,
    EXPIRED_UNANNOUNCED,
)
from wscheck.model.events import (
    SOURCE_SERVER_LOG,
    Connected,
    ConnectionExpired,
    Disconnected,
    Event,
    Replaced,
    ServerRestarted,
)
from wscheck.model.findings import Confidence

Changes = tuple[LedgerChange, ...]


class EndedConnections(BoundedDict[str, str | None]):
    """Connections that ended recently: socket id to one of these values.

    - REPLACED: the connection was replaced
    - INFERRED: only the order of events in the server's log shows a replacement
    - the source of the opening event: the server may recover the connection under the same socket id
    - None: any other connection
    """

    REPLACED, INFERRED = "replaced", "inferred"

    def recover(self, sid: str, event: Connected) -> bool:
        """Return whether `event` means that the server recovered the connection `sid`; if so, remove it from this dict.

        A source reports each opening once, so a second report by the same source is a recovery (connection state
        recovery). A report by another source is the first opening, reported late.
        """
        is_recovered = self[sid] == event.source
        if is_recovered:
            del self[sid]
        return is_recovered


class Ledger:
    """Open connections per user, updated by `apply` with events in the order of their time.

    users_over_one  dict of each user with more than one open connection to the time at which the second one opened,
                    None where the evidence has no time
    stored_counts   number of events per kind, of the users with more than one event
    unattributed    number of connections that were opened without a known user or socket id
    unattributed_and_brief  number of these that were too short, and too rare, to change a verdict; a rule sets it
    """

    def __init__(self, *, memory: int = 20_000) -> None:
        """Create an empty ledger.

        `memory` limits two numbers: the open connections whose opening event is stored, and the ended connections that
        are stored to recognise a second report of their end. The oldest are removed first.
        """
        self._open: dict[str, str | tuple[str, ...]] = {}
        self._user: dict[str, str | None] = {}
        self.stored_counts: dict[str, UserCounts] = {}
        self.users_over_one: dict[str, float | None] = {}
        self._openings = BoundedDict[str, Connected](memory)
        self._replaced_users, self._ended = BoundedDict[str, str | None](memory), EndedConnections(memory)
        self.engine_sessions, self._unannounced = EngineSessions(), set[str]()
        self._inference, self._has_announcements, self.unattributed = ReplacementInference(), False, 0
        self._without_sid_of_users = self.unattributed_and_brief = 0
        self.presumed_ends, self.user_only_lines = PresumedEnds(memory), UserOnlyLines()
        self._has_sids = self._has_ended_sids = self._has_restarted = False
        self._latest_close: ClosedChange | None = None
        self._node, self._node_names = dict[str, str](), dict[str, str]()
        self.change_handlers: dict[type, Callable[[Any], Changes]] = {
            Connected: self._connected,
            Replaced: self._replaced,
            Disconnected: self._disconnected,
            ServerRestarted: self._restarted,
            ConnectionExpired: self._expired,
        }
        """Event type to its handler. Events of other types change nothing."""

    def apply(self, event: Event) -> Changes:
        """Update the ledger with `event` and return the changes, in order."""
        handler = self.change_handlers.get(type(event))
        return handler(event) if handler is not None else ()

    # --- queries -----------------------------------------------------------------------------------------------

    def open_connections(self, user: str | None) -> tuple[str, ...]:
        """Return the socket ids of the user's open connections, oldest first."""
        sids = self._open.get(user) if user is not None else None
        if sids is None:
            return ()
        return (sids,) if isinstance(sids, str) else sids

    def opening_event(self, sid: str | None) -> Connected | None:
        """Return the event that opened `sid`, None if it is no longer stored."""
        return self._openings.get(sid) if sid is not None else None

    def user_for(self, sid: str | None) -> str | None:
        """Return the user of an open or recently replaced connection, None if unknown."""
        return (self._user.get(sid) or self._replaced_users.get(sid)) if sid is not None else None

    def opening_events(self) -> Iterator[Connected]:
        """Yield the event that opened each open connection.

        If the event is no longer stored, yield one that contains only the user and the socket id.
        """
        return (opening for _, opening in self.open_items())

    def open_items(self) -> Iterator[tuple[str, Connected]]:
        """Yield the socket id and the opening event of each open connection.

        If no log line named the socket, the id is a substitute. If the event is no longer stored, yield one that
        contains only the user and the socket id.
        """
        for user, sids in self._open.items():
            for sid in (sids,) if isinstance(sids, str) else sids:
                yield sid, self.opening_event(sid) or Connected(source=SOURCE_SERVER_LOG, user=user, sid=sid)

    def users(self) -> Iterator[str]:
        """Yield every observed user, those with an open connection first."""
        yield from self._open
        yield from (user for user in self.stored_counts if user not in self._open)

    def counts_for(self, user: str) -> UserCounts:
        """Return how many events of each kind `user` has had so far."""
        if (counts := self.stored_counts.get(user)) is not None:
            return counts
        return UserCounts(connects=1, max_open=1) if user in self._open else UserCounts()

    @property
    def most_users(self) -> int:
        """Estimated number of observed users. It may be too low, and is never too high."""
        return max(len(self._open), len(self.stored_counts))

    @property
    def user_count(self) -> int:
        """Number of users with an open connection."""
        return len(self._open)

    @property
    def most_open_per_user(self) -> int:
        """Largest number of connections that one user had open at once; 0 if no connection has a known user."""
        return max((self.counts_for(user).max_open for user in self.users()), default=0)

    @property
    def connection_count(self) -> int:
        """Number of connections that were opened. Several lines about one connection count once."""
        of_users = sum(self.counts_for(user).connects for user in self.users())
        return of_users + self.unattributed - self._without_sid_of_users

    @property
    def open_count(self) -> int:
        """Number of open connections, including those without a known user."""
        return len(self._user)

    # --- updates -----------------------------------------------------------------------------------------------

    def _connected(self, event: Connected) -> Changes:
        sid, user = event.sid, event.user
        self._has_announcements = True
        if sid is None:
            return self._connected_without_sid(event)
        self._has_sids = True
        if sid in self._user:
            return self._reported_again(sid, event)
        if (sid in self._ended and not self._ended.recover(sid, event)) or sid in self._replaced_users:
            return ()
        if self.engine_sessions.has_evidence and sid in self.engine_sessions:
            return ()
        if (event.eio is not None or event.namespace is not None) and self.engine_sessions.join(event, sid):
            return ()
        return self._add(sid, user, event, event)

    def _connected_without_sid(self, event: Connected) -> Changes:
        """Open a connection with a substitute id, if no line of the log names a socket.

        If other lines name sockets, this line may be a second line about a connection that one of them reports.
        """
        user = event.user
        if user is None:
            self.unattributed += 1
            return ()
        newest = self.opening_event(next(reversed(self.open_connections(user)), None))
        if newest is not None and newest.sid is not None and may_be_same_moment(newest, event):
            return ()
        if self._has_sids or event.source != SOURCE_SERVER_LOG:
            self.unattributed += 1
            self._without_sid_of_users += 1
            self._stored_counts(user).connects += 1
            return ()
        return self._add(self.user_only_lines.new_id(), user, event, event)

    @property
    def counts_user_only_lines(self) -> bool:
        """True if the log names no sockets, but reports openings and ends by user: connections can then be counted."""
        return self.user_only_lines.names_ends and not self._has_sids

    def _reported_again(self, sid: str, event: Connected) -> Changes:
        """Process a second report of an open connection, which may add data such as the user."""
        if event.eio is not None:
            self.engine_sessions.start(event, sid)
        if sid in self._unannounced:
            self._unannounced.discard(sid)
            self._stored_counts(self._user[sid] or "").connects += 1
        if self._user[sid] is None and event.user is not None:
            self.unattributed -= 1
            return self._add(sid, event.user, event, event)
        known = self._openings.get(sid)
        if known is None or (known.page is None and event.page is not None):
            self._openings.put(sid, event)
        return ()

    def _add(self, sid: str, user: str | None, event: Event, opening: Connected | None) -> Changes:
        self._user[sid] = user
        if event.node is not None:
            self._node[sid] = self._node_names.setdefault(event.node, event.node)
        if opening is not None:
            self._openings.put(sid, opening)
            if opening.eio is not None or opening.namespace is not None:
                self.engine_sessions.start(opening, sid)
        if user is None:
            self.unattributed += 1
            return ()
        sids, counts = self._open.get(user), self.stored_counts.get(user)
        if sids is None:
            # The first connection of a new user is the common case, for which no counts are stored.
            self._open[user] = sid
            if counts is not None:
                counts.connects += 1
                counts.max_open = counts.max_open or 1
            first = OpenedChange(user, sid, event, ())
            if self._has_restarted:
                self.presumed_ends.user_opened(first)
            return (first,) if not self._inference.unexplained_ends else self._with_inferred_replacement(first)
        others = (sids,) if isinstance(sids, str) else sids
        counts = counts or self._stored_counts(user)
        self._open[user] = (*others, sid)
        self.users_over_one.setdefault(user, event.at)
        counts.connects += 1
        counts.max_open = max(counts.max_open, len(others) + 1)
        opened = OpenedChange(user, sid, event, others)
        if self._has_restarted:
            self.presumed_ends.user_opened(opened)
        return (opened,)

    def _with_inferred_replacement(self, opened: OpenedChange) -> Changes:
        if (replaced := self._inference.on_connect(opened)) is None or replaced.old_sid is None:
            return (opened,)
        self._ended[replaced.old_sid] = EndedConnections.INFERRED
        self._stored_counts(opened.user).replacements += 1
        return (opened, replaced)

    def _replaced(self, event: Replaced) -> Changes:
        self._inference.on_logged_replacement()
        old, new = event.old_sid, event.new_sid
        user = event.user if event.user is not None else self.user_for(new) or self.user_for(old)
        if old is None and new is None and user is not None and event.source == SOURCE_SERVER_LOG:
            old = self._replaced_without_sid(user, event)
        if (
            old is not None
            and (old in self._replaced_users or old in self._ended)
            and self._is_already_reported(old, user)
        ):
            return ()
        old_opening = self.opening_event(old)
        if old is not None and old in self._ended:
            self._ended[old] = EndedConnections.REPLACED
        elif old is not None:
            # Remove the old connection before the new one is added, so that the two do not count as open at once.
            self._remove(old)
            self._replaced_users.put(old, user)
        changes = self._add_unannounced(new, user, event)
        if user is not None:
            self._stored_counts(user).replacements += 1
        remaining, new_opening = self.open_connections(user), self.opening_event(new)
        change = ReplacedChange(user, old, new, event, True, Confidence.HIGH, remaining, old_opening, new_opening)
        return (*changes, change)

    def _replaced_without_sid(self, user: str, event: Replaced) -> str | None:
        """Return the connection that a replacement without socket ids ended, None if it is not open or not known.

        The log line of the replacement may precede or follow the line of the newer connection.
        """
        sids = self.open_connections(user)
        newest = self.opening_event(sids[-1]) if sids else None
        older = sids[:-1] if newest is not None and may_be_same_moment(newest, event) else sids
        if not older:
            return None
        self.user_only_lines.replaced(user, event)
        return older[-1]

    def _is_already_reported(self, old: str, user: str | None) -> bool:
        """Return whether the replacement of `old` was already reported, by another source or by inference."""
        if self._ended.get(old) == EndedConnections.INFERRED:
            self._ended[old] = EndedConnections.REPLACED
        known = (EndedConnections.REPLACED, EndedConnections.INFERRED)
        return old in self._replaced_users or self._ended[old] in known

    def _add_unannounced(self, sid: str | None, user: str | None, event: Replaced) -> Changes:
        """Add a connection that only a replacement has mentioned. The event that opened it may follow."""
        known_sids = (self._user, self._ended, self._replaced_users, self.engine_sessions)
        if sid is None or any(sid in known for known in known_sids):
            return ()
        # A log that reports replacements but no openings reports no ends either: earlier connections may have ended.
        stale = self._unannounced.intersection(self.open_connections(user)) if not self._has_announcements else ()
        expired = [change for other in sorted(stale) for change in self._expire(other, event, EXPIRED_UNANNOUNCED)]
        changes = self._add(sid, user, event, None)
        if user is not None:
            self._unannounced.add(sid)
            self._stored_counts(user).connects -= 1  # `_reported_again` counts it when its opening event follows
        return (*expired, *changes)

    def _disconnected(self, event: Disconnected) -> Changes:
        sid = event.sid
        if sid is None:
            return self._disconnected_without_sid(event, event.user) if event.user is not None else ()
        self._has_ended_sids = True
        if self.user_only_lines.names_ends:
            self._compare_with_user_only_lines(sid, event)
        if sid in self._replaced_users:
            return self._close_replaced(sid, event)
        if self._has_restarted and sid in self.presumed_ends and sid not in self._user:
            return self._end_presumed(sid, event)
        if sid in self._ended:
            return ()
        connection = self.engine_sessions.leave(sid) if self.engine_sessions.has_evidence else sid
        if connection is not None and connection in self._user:
            return self._close(connection, event)
        self._ended.put(sid, None if connection is not None else event.source)
        if connection is not None and event.user is not None:
            self._stored_counts(event.user).disconnects += 1  # the connection opened before the observation started
        return ()

    def _disconnected_without_sid(self, event: Disconnected, user: str) -> Changes:
        """Close the user's only connection, or the oldest of several, unless another line reports the same end.

        If the user has several connections, it is unknown which one ended. If other ends in the log name their socket,
        no connection is closed: another line, with a socket id, probably reports this end too.
        """
        lines = self.user_only_lines
        if event.source != SOURCE_SERVER_LOG or lines.is_second_report(user, event, self._latest_close):
            self._stored_counts(user).disconnects += event.source != SOURCE_SERVER_LOG
            return ()
        lines.names_ends = True
        # Each end of thousands of connections would take long if it read them all.
        logged = (sid for sid in self.open_connections(user) if is_logged(self._openings.get(sid)))
        oldest, next_oldest = next(logged, None), next(logged, None)
        if oldest is None or lines.ends_replaced(user, event):
            self._stored_counts(user).disconnects += 1
            return ()
        if next_oldest is not None and self._has_ended_sids:
            lines.assume_ended(user, None, event, None)
            return ()
        if next_oldest is not None and not all(map(lines.is_substitute, chain((oldest, next_oldest), logged))):
            lines.assume_ended(user, oldest, event, self._openings.get(oldest))
        return self._close(oldest, event)

    def _compare_with_user_only_lines(self, sid: str, event: Disconnected) -> None:
        """Compare the logged end of `sid` with a line without a socket id about the same end.

        If a different connection was assumed to have ended because of that line, open it again.
        """
        user = self._user.get(sid)
        if user is None:
            return
        assumed = self.user_only_lines.ended_with_sid(user, event)
        if assumed is not None and assumed.sid is not None:
            self._ended.pop(assumed.sid, None)
            self._add(assumed.sid, user, event, assumed.opening)
            counts = self._stored_counts(user)
            counts.connects, counts.disconnects = counts.connects - 1, counts.disconnects - 1

    def _end_presumed(self, sid: str, event: Disconnected) -> Changes:
        user = self.presumed_ends.user_for(sid)
        self._stored_counts(user).disconnects += 1
        survived = self.presumed_ends.end(sid, event)
        if survived is None:
            return ()
        if survived.newer is not None:
            counts = self._stored_counts(user)
            counts.max_open = max(counts.max_open, 2)
        return (survived,)

    def _close_replaced(self, sid: str, event: Disconnected) -> Changes:
        user = self._replaced_users.pop(sid)
        self._ended.put(sid, EndedConnections.REPLACED)
        if user is not None:
            self._stored_counts(user).disconnects += 1
        return (ClosedChange(user, sid, event, event.reason, True, self.open_connections(user), None),)

    def _close(self, sid: str, event: Disconnected) -> Changes:
        user, opening = self._user[sid], self._openings.get(sid)
        sids = self._open.get(user) if user is not None else None
        replaced: tuple[ReplacedChange, ...] = ()
        if isinstance(sids, tuple) and user is not None:
            explained = self._inference.on_disconnect(event, sid, user, sids, self._openings)
            replaced = (
                (explained,)
                if explained is not None
                else self._inference.on_unexplained_overlap_end(event, sid, user, sids, self._openings)
            )
        opened_by = self._opening_source(sid, event) if event.reason not in DISCONNECT_SENT else None
        remaining, is_logged = self._remove(sid), event.source == SOURCE_SERVER_LOG
        inferred = EndedConnections.INFERRED if is_logged else EndedConnections.REPLACED
        self._ended.put(sid, inferred if replaced else opened_by)
        if user is not None:
            counts = self.stored_counts[user]  # `_remove` has stored the counts
            counts.disconnects += 1
            if replaced:
                counts.replacements += len(replaced)
        if self._has_restarted:
            self.presumed_ends.newer_closed(sid, event)
        closed = self._latest_close = ClosedChange(user, sid, event, event.reason, bool(replaced), remaining, opening)
        if is_logged and isinstance(sids, str):
            self._inference.remember(closed)
        return (*replaced, closed) if replaced else (closed,)

    def _restarted(self, event: ServerRestarted) -> Changes:
        """Close the connections of the restarted process, or all connections if the log names no process."""
        expired = [sid for sid in self._user if event.node is None or self._node.get(sid) == event.node]
        return self._expire_restarted(expired, event, EXPIRED_SERVER_RESTART)

    def presume_restart(self, sids: Sequence[str], event: Event) -> Changes:
        """Close connections of a process that probably restarted at `event`, although the log does not report this."""
        return self._expire_restarted([sid for sid in sids if sid in self._user], event, EXPIRED_LIKELY_RESTART)

    def _expire_restarted(self, sids: Sequence[str], event: Event, reason: str) -> Changes:
        restart, changes = self.presumed_ends.start_restart(event) if sids else None, list[LedgerChange]()
        self._has_restarted = self._has_restarted or restart is not None
        for sid in sids:
            user, opening = self._user[sid], self._openings.get(sid)
            changes += self._expire(sid, event, reason)
            if user is not None and restart is not None:
                self.presumed_ends.add(sid, user, opening, restart)
        return tuple(changes)

    def _expired(self, event: ConnectionExpired) -> Changes:
        """Close a connection that counts as ended, although no event reports its end."""
        sid = event.sid
        return self._expire(sid, event, EXPIRED_STALE) if sid is not None and sid in self._user else ()

    def _expire(self, sid: str, event: Event, reason: str) -> Changes:
        user, opening, opened_by = self._user[sid], self._openings.get(sid), self._opening_source(sid, event)
        remaining = self._remove(sid)
        self._ended.put(sid, opened_by)
        return (ClosedChange(user, sid, event, reason, False, remaining, opening),)

    def _opening_source(self, sid: str, event: Event) -> str | None:
        """Return the source of the event that opened the connection, None if no source reported the opening."""
        opening = self._openings.get(sid)
        return opening.source if opening is not None else event.source if sid not in self._unannounced else None

    # --- bookkeeping -------------------------------------------------------------------------------------------

    def _stored_counts(self, user: str) -> UserCounts:
        counts = self.stored_counts.get(user)
        if counts is None:
            counts = self.stored_counts[user] = self.counts_for(user)
        return counts

    def _remove(self, sid: str) -> tuple[str, ...]:
        """Remove the open connection `sid` and return the user's remaining ones."""
        user = self._user.pop(sid, None)
        self._openings.pop(sid, None)
        if self.engine_sessions.has_evidence:
            self.engine_sessions.forget(sid)
        self._unannounced.discard(sid)
        self._node.pop(sid, None)
        if self.user_only_lines.substitutes:
            self.user_only_lines.forget(sid)
        if user is None:
            return ()
        sids = self._open[user]
        if isinstance(sids, str):
            # A user with one connection may have no stored counts: store them before the connection is removed.
            self._stored_counts(user)
            del self._open[user]
            return ()
        index = sids.index(sid)
        remaining = sids[:index] + sids[index + 1 :]
        self._open[user] = remaining if len(remaining) > 1 else remaining[0]
        if len(remaining) == 1:
            del self.users_over_one[user]
        return remaining
