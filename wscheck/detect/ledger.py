"""WHO HOLDS WHICH CONNECTION: events in, transitions out; pure, and true whichever source saw the event.

The same connection is often seen twice (by the client and in the server's log): it counts once. A connection is an
Engine.IO session where the evidence names one, so two namespaces over one session are one connection.

Built for a million users: whoever connected once and stayed costs one string in each of two dicts, more is kept of who
did more. Evidence (the events themselves) is bounded; the truth (who holds what) never is.
"""

from collections.abc import Callable, Iterator
from typing import Any

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange, UserCounts
from wscheck.detect.engine_sessions import EngineSessions
from wscheck.detect.replacement_inference import ReplacementInference
from wscheck.model.disconnect_reasons import DISCONNECT_SENT, EXPIRED_SERVER_RESTART, EXPIRED_STALE, EXPIRED_UNANNOUNCED
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced, ServerRestarted
from wscheck.model.findings import Confidence

Changes = tuple[LedgerChange, ...]


class EndedConnections(BoundedDict[str, str | None]):
    """How each connection ended, by socket id: REPLACED, SUPPOSED (its server's log only lets us suppose that it was
    replaced), or, of one that the server may recover, the source that told of its beginning; None for any other."""

    REPLACED, SUPPOSED = "replaced", "supposed"

    def returns(self, sid: str, event: Connected) -> bool:
        """Whether `event` tells that `sid` came back (connection state recovery). A source tells of each beginning
        once: from any other it is the first beginning again, told late."""
        back = self[sid] == event.source
        if back:
            del self[sid]
        return back


class Ledger:
    """Events in with `apply`, transitions out. Feed events in the order of their time.

    users_over_one  who holds more than one connection now, and since when (None where the evidence has no time)
    unattributed  how many connections were opened of which nothing said whose they are, or nothing which
    """

    def __init__(self, *, memory: int = 20_000) -> None:
        """`memory`: how many open connections keep the event that opened them, and how many ended ones are remembered,
        so that a late or second sighting of their end is recognised; at most so many of each, the latest."""
        self._held: dict[str, str | tuple[str, ...]] = {}
        self._owner: dict[str, str | None] = {}
        self._tallies: dict[str, UserCounts] = {}
        self.users_over_one: dict[str, float | None] = {}
        self._evidence = BoundedDict[str, Connected](memory)
        self._superseded, self._gone = BoundedDict[str, str | None](memory), EndedConnections(memory)
        self.engine_sessions, self._unannounced = EngineSessions(), set[str]()
        self._supposing, self._announced, self.unattributed = ReplacementInference(), False, 0
        self._node, self._nodes = dict[str, str](), dict[str, str]()
        self.change_handlers: dict[type, Callable[[Any], Changes]] = {
            Connected: self._connected,
            Replaced: self._replaced,
            Disconnected: self._disconnected,
            ServerRestarted: self._restarted,
        }
        """What takes each type of event into the books; events of other types change nothing."""

    def apply(self, event: Event) -> Changes:
        """Take `event` into the books; returns what changed because of it, in order."""
        change = self.change_handlers.get(type(event))
        return change(event) if change is not None else ()

    # --- questions -------------------------------------------------------------------------------------------

    def open_connections(self, user: str | None) -> tuple[str, ...]:
        """The connections `user` holds now, oldest first."""
        held = self._held.get(user) if user is not None else None
        if held is None:
            return ()
        return (held,) if isinstance(held, str) else held

    def opening_event(self, sid: str | None) -> Connected | None:
        """The event that opened `sid`, while its evidence is at hand."""
        return self._evidence.get(sid) if sid is not None else None

    def user_for(self, sid: str | None) -> str | None:
        """The user of an open or lately ended connection, None where unknown."""
        return (self._owner.get(sid) or self._superseded.get(sid)) if sid is not None else None

    def opening_events(self) -> Iterator[Connected]:
        """Who holds what, as the events that opened it, or as much of them as is still known."""
        for user, held in self._held.items():
            for sid in (held,) if isinstance(held, str) else held:
                yield self.opening_event(sid) or Connected(source=SOURCE_SERVER_LOG, user=user, sid=sid)

    def users(self) -> Iterator[str]:
        """Every user ever seen, those holding a connection now first."""
        yield from self._held
        yield from (user for user in self._tallies if user not in self._held)

    def counts_for(self, user: str) -> UserCounts:
        """What `user` did so far."""
        return self._tallies.get(user) or (UserCounts(connects=1, max_open=1) if user in self._held else UserCounts())

    @property
    def most_open_per_user(self) -> int:
        """How many connections one user held at once at most; 0: none is known with its user."""
        return max((self.counts_for(user).max_open for user in self.users()), default=0)

    @property
    def open_count(self) -> int:
        """Connections open now, over all users, also those whose user is unknown."""
        return len(self._owner)

    # --- what changes the books --------------------------------------------------------------------------------

    def _connected(self, event: Connected) -> Changes:
        sid, user = event.sid, event.user
        self._announced = True
        if sid is None:
            self.unattributed += 1
            if user is not None:
                self._own_tally(user).connects += 1
            return ()
        if sid in self._owner:
            return self._seen_again(sid, event)
        if (sid in self._gone and not self._gone.returns(sid, event)) or sid in self._superseded:
            return ()
        if self.engine_sessions.has_evidence and sid in self.engine_sessions:
            return ()
        if (event.eio is not None or event.namespace is not None) and self.engine_sessions.join(event, sid):
            return ()
        return self._open(sid, user, event, event)

    def _seen_again(self, sid: str, event: Connected) -> Changes:
        """A second source saw the same connection; it may know whose it is."""
        if event.eio is not None:
            self.engine_sessions.start(event, sid)
        if sid in self._unannounced:
            self._unannounced.discard(sid)
            self._own_tally(self._owner[sid] or "").connects += 1
        if self._owner[sid] is None and event.user is not None:
            self.unattributed -= 1
            return self._open(sid, event.user, event, event)
        known = self._evidence.get(sid)
        if known is None or (known.page is None and event.page is not None):
            self._evidence.put(sid, event)
        return ()

    def _open(self, sid: str, user: str | None, event: Event, evidence: Connected | None) -> Changes:
        self._owner[sid] = user
        if event.node is not None:
            self._node[sid] = self._nodes.setdefault(event.node, event.node)
        if evidence is not None:
            self._evidence.put(sid, evidence)
            if evidence.eio is not None or evidence.namespace is not None:
                self.engine_sessions.start(evidence, sid)
        if user is None:
            self.unattributed += 1
            return ()
        held, tally = self._held.get(user), self._tallies.get(user)
        if held is None:
            # The first connection of somebody never seen before is the common case: no tally until more happens.
            self._held[user] = sid
            if tally is not None:
                tally.connects += 1
                tally.max_open = tally.max_open or 1
            first = OpenedChange(user, sid, event, ())
            return (first,) if not self._supposing.unexplained_ends else self._first_after_kicks(first)
        others = (held,) if isinstance(held, str) else held
        tally = tally or self._own_tally(user)
        self._held[user] = (*others, sid)
        self.users_over_one.setdefault(user, event.at)
        tally.connects += 1
        tally.max_open = max(tally.max_open, len(others) + 1)
        return (OpenedChange(user, sid, event, others),)

    def _first_after_kicks(self, opened: OpenedChange) -> Changes:
        if (superseded := self._supposing.on_connect(opened)) is None or superseded.old_sid is None:
            return (opened,)
        self._gone[superseded.old_sid] = EndedConnections.SUPPOSED
        return (opened, superseded)

    def _replaced(self, event: Replaced) -> Changes:
        self._supposing.on_logged_replacement()
        old, new = event.old_sid, event.new_sid
        user = event.user if event.user is not None else self.user_for(new) or self.user_for(old)
        if old is not None and (old in self._superseded or old in self._gone) and self._known(old, user):
            return ()
        opened_old = self.opening_event(old)
        if old is not None and old in self._gone:
            self._gone[old] = EndedConnections.REPLACED
        elif old is not None:
            # Before the new one opens: the record speaks of one moment, in which they never were two.
            self._release(old)
            self._superseded.put(old, user)
        changes = self._open_unannounced(new, user, event)
        if user is not None:
            self._own_tally(user).replacements += 1
        told = ReplacedChange(
            user,
            old,
            new,
            event,
            True,
            Confidence.HIGH,
            self.open_connections(user),
            opened_old,
            self.opening_event(new),
        )
        return (*changes, told)

    def _known(self, old: str, user: str | None) -> bool:
        """Whether the replacement of `old` was told already: by another source, or because its end gave it away."""
        if self._gone.get(old) == EndedConnections.SUPPOSED and user is not None:
            self._own_tally(user).replacements += 1
            self._gone[old] = EndedConnections.REPLACED
        return old in self._superseded or self._gone[old] in (EndedConnections.REPLACED, EndedConnections.SUPPOSED)

    def _open_unannounced(self, sid: str | None, user: str | None, event: Replaced) -> Changes:
        """Open a connection known only from the record of its replacing another; its own record may follow."""
        if sid is None or any(
            sid in known for known in (self._owner, self._gone, self._superseded, self.engine_sessions)
        ):
            return ()
        # A log that words replacements and nothing else tells of no end either: what it once named may be long gone.
        untold = self._unannounced.intersection(self.open_connections(user)) if not self._announced else ()
        gone = [change for other in sorted(untold) for change in self._expire(other, event, EXPIRED_UNANNOUNCED)]
        changes = self._open(sid, user, event, None)
        if user is not None:
            self._unannounced.add(sid)
            self._own_tally(user).connects -= 1  # counted when its own record comes
        return (*gone, *changes)

    def _disconnected(self, event: Disconnected) -> Changes:
        sid = event.sid
        if sid is None:
            if event.user is not None:
                self._own_tally(event.user).disconnects += 1
            return ()
        if sid in self._superseded:
            return self._end_superseded(sid, event)
        if sid in self._gone:
            return ()
        connection = self.engine_sessions.leave(sid) if self.engine_sessions.has_evidence else sid
        if connection is not None and connection in self._owner:
            return self._close(connection, event)
        self._gone.put(sid, None if connection is not None else event.source)
        if connection is not None and event.user is not None:
            self._own_tally(event.user).disconnects += 1  # opened before we looked
        return ()

    def _end_superseded(self, sid: str, event: Disconnected) -> Changes:
        user = self._superseded.pop(sid)
        self._gone.put(sid, EndedConnections.REPLACED)
        if user is not None:
            self._own_tally(user).disconnects += 1
        return (ClosedChange(user, sid, event, event.reason, True, self.open_connections(user), None),)

    def _close(self, sid: str, event: Disconnected) -> Changes:
        user, opened = self._owner[sid], self._evidence.get(sid)
        held = self._held.get(user) if user is not None else None
        superseded = None
        if isinstance(held, tuple) and user is not None:
            superseded = self._supposing.on_disconnect(event, sid, user, held, self._evidence)
        begun = self._begun_by(sid, event) if event.reason not in DISCONNECT_SENT else None
        rest, logged = self._release(sid), event.source == SOURCE_SERVER_LOG
        self._gone.put(
            sid, begun if superseded is None else EndedConnections.SUPPOSED if logged else EndedConnections.REPLACED
        )
        if user is not None:
            tally = self._tallies[user]  # whoever no longer holds something has one
            tally.disconnects += 1
            if superseded is not None and not logged:
                tally.replacements += 1
        closed = ClosedChange(user, sid, event, event.reason, superseded is not None, rest, opened)
        if logged and isinstance(held, str):
            self._supposing.remember(closed)
        return (closed,) if superseded is None else (superseded, closed)

    def _restarted(self, event: ServerRestarted) -> Changes:
        """Expire what the restarted process held. One log without a node name speaks for every connection."""
        gone = [sid for sid in self._owner if event.node is None or self._node.get(sid) == event.node]
        return tuple(change for sid in gone for change in self._expire(sid, event, EXPIRED_SERVER_RESTART))

    def expire(self, sid: str, event: Event) -> Changes:
        """Give up a connection that nothing was heard of for too long; visible, never silent."""
        return self._expire(sid, event, EXPIRED_STALE) if sid in self._owner else ()

    def _expire(self, sid: str, event: Event, reason: str) -> Changes:
        user, opened, begun = self._owner[sid], self._evidence.get(sid), self._begun_by(sid, event)
        rest = self._release(sid)
        self._gone.put(sid, begun)
        return (ClosedChange(user, sid, event, reason, False, rest, opened),)

    def _begun_by(self, sid: str, event: Event) -> str | None:
        """Who told of the beginning of what ends with `event`, None if nobody did."""
        opened = self._evidence.get(sid)
        return opened.source if opened is not None else event.source if sid not in self._unannounced else None

    # --- bookkeeping -------------------------------------------------------------------------------------------

    def _own_tally(self, user: str) -> UserCounts:
        tally = self._tallies.get(user)
        if tally is None:
            tally = self._tallies[user] = self.counts_for(user)
        return tally

    def _release(self, sid: str) -> tuple[str, ...]:
        """Nobody holds `sid` any more; gives what its user still holds."""
        user = self._owner.pop(sid, None)
        self._evidence.pop(sid, None)
        if self.engine_sessions.has_evidence:
            self.engine_sessions.forget(sid)
        self._unannounced.discard(sid)
        self._node.pop(sid, None)
        if user is None:
            return ()
        held = self._held[user]
        if isinstance(held, str):
            # Whoever held one only because nothing was ever counted gets a tally before the holding goes.
            self._own_tally(user)
            del self._held[user]
            return ()
        place = held.index(sid)
        rest = held[:place] + held[place + 1 :]
        self._held[user] = rest if len(rest) > 1 else rest[0]
        if len(rest) == 1:
            del self.users_over_one[user]
        return rest
