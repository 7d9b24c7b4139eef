"""WHO HOLDS WHICH CONNECTION: events in, transitions out; pure, and true whichever source saw the event.

The same connection is often seen twice (by the client and in the server's log): it counts once. A connection is an
Engine.IO session where the evidence names one, so two namespaces over one session are one connection.

Built for a million users: somebody who connected once and stayed costs one string in each of two dicts, whatever is
more interesting is kept only for those who did something more interesting. Evidence (the events themselves) is
bounded; the truth (who holds what) never is.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from wscheck.events import Connected, Disconnected, Event, Replaced, Restarted
from wscheck.findings import Confidence
from wscheck.transitions import Closed, Opened, Superseded, Tally, Transition

RESTART = "expired: the server restarted"
STALE = "expired: nothing heard of it for too long"
REPLACED = "replaced"

# What a client sees, and what a server logs, when it was the server that ended a connection.
KICKED = frozenset({"io server disconnect", "server namespace disconnect", "server disconnect"})
CUT = frozenset({"transport close", "transport error", "forced close"})

# A transport that closes this soon after the user's next connection was most likely closed because of it.
COINCIDENCE_S = 1.0


class Ledger:
    """Events in with `apply`, transitions out. Feed events in the order of their time."""

    def __init__(self, *, evidence: int = 20_000, memory: int = 20_000) -> None:
        """`evidence`: how many open connections keep the event that opened them; `memory`: how many ended
        connections are remembered, so that a late or second sighting of their end is recognised."""
        self._held: dict[str, str | tuple[str, ...]] = {}
        self._owner: dict[str, str | None] = {}
        self._tallies: dict[str, Tally] = {}
        self._evidence: OrderedDict[str, Connected] = OrderedDict()
        self._superseded: OrderedDict[str, str | None] = OrderedDict()
        self._gone: OrderedDict[str, str | None] = OrderedDict()
        self._session: dict[str, str] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._unannounced: set[str] = set()
        self._worded = False
        self._node: dict[str, str] = {}
        self._evidence_limit, self._memory_limit = evidence, memory
        self._apply: dict[type, Callable[[Any], tuple[Transition, ...]]] = {
            Connected: self._connected,
            Replaced: self._replaced,
            Disconnected: self._disconnected,
            Restarted: self._restarted,
        }

    def apply(self, event: Event) -> tuple[Transition, ...]:
        """Take `event` into the books; returns what changed because of it, in order."""
        change = self._apply.get(type(event))
        return change(event) if change is not None else ()

    # --- questions -------------------------------------------------------------------------------------------

    def held(self, user: str | None) -> tuple[str, ...]:
        """The connections `user` holds now, oldest first."""
        held = self._held.get(user) if user is not None else None
        if held is None:
            return ()
        return (held,) if isinstance(held, str) else held

    def opened(self, sid: str | None) -> Connected | None:
        """The event that opened `sid`, while its evidence is at hand."""
        return self._evidence.get(sid) if sid is not None else None

    def owner(self, sid: str | None) -> str | None:
        """The user of an open or lately ended connection, None where unknown."""
        if sid is None:
            return None
        return self._owner.get(sid) or self._superseded.get(sid)

    def users(self) -> Iterator[str]:
        """Every user ever seen, those holding a connection now first."""
        yield from self._held
        yield from (user for user in self._tallies if user not in self._held)

    def tally(self, user: str) -> Tally:
        """What `user` did so far."""
        return self._tallies.get(user) or (Tally(connects=1, max_open=1) if user in self._held else Tally())

    @property
    def open(self) -> int:
        """Connections open now, over all users, also those whose user is unknown."""
        return len(self._owner)

    # --- what changes the books --------------------------------------------------------------------------------

    def _connected(self, event: Connected) -> tuple[Transition, ...]:
        sid, user = event.sid, event.user
        if sid is None:
            if user is not None:
                self._own_tally(user).connects += 1
            return ()
        if sid in self._owner:
            return self._seen_again(sid, event)
        if sid in self._gone or sid in self._superseded:
            return ()
        if event.eio is not None and (first := self._session.get(event.eio)) is not None:
            self._namespaces.setdefault(first, {first}).add(sid)
            return ()
        return self._open(sid, user, event, event)

    def _seen_again(self, sid: str, event: Connected) -> tuple[Transition, ...]:
        """A second source saw the same connection; it may know whose it is."""
        if event.eio is not None:
            self._session.setdefault(event.eio, sid)
        if sid in self._unannounced:
            self._unannounced.discard(sid)
            self._own_tally(self._owner[sid] or "").connects += 1
        if self._owner[sid] is None and event.user is not None:
            del self._owner[sid]
            return self._open(sid, event.user, event, event)
        known = self._evidence.get(sid)
        if known is None or (known.page is None and event.page is not None):
            self._remember(sid, event)
        return ()

    def _open(self, sid: str, user: str | None, event: Event, evidence: Connected | None) -> tuple[Transition, ...]:
        self._owner[sid] = user
        if event.node is not None:
            self._node[sid] = event.node
        if evidence is not None:
            self._remember(sid, evidence)
            if evidence.eio is not None:
                self._session[evidence.eio] = sid
        if user is None:
            return ()
        held = self._held.get(user)
        if held is None:
            # The first connection of somebody never seen before is the common case: no tally until more happens.
            self._held[user] = sid
            if user in self._tallies:
                self._count_connect(self._tallies[user], 1)
            return (Opened(user, sid, event, ()),)
        others = (held,) if isinstance(held, str) else held
        tally = self._own_tally(user)
        self._held[user] = (*others, sid)
        self._count_connect(tally, len(others) + 1)
        return (Opened(user, sid, event, others),)

    @staticmethod
    def _count_connect(tally: Tally, held: int) -> None:
        tally.connects += 1
        tally.max_open = max(tally.max_open, held)

    def _replaced(self, event: Replaced) -> tuple[Transition, ...]:
        self._worded = True
        old, new = event.old_sid, event.new_sid
        user = event.user if event.user is not None else self.owner(new) or self.owner(old)
        if old is not None and (old in self._superseded or self._gone.get(old) == REPLACED):
            return ()  # already known, from another source or because the client saw it first
        opened_old = self.opened(old)
        if old is not None and old not in self._gone:
            # Before the new one opens: the record speaks of one moment, in which they never were two.
            self._release(old)
            self._bound(self._superseded, old, user)
        changes = self._open_unannounced(new, user, event)
        if user is not None:
            self._own_tally(user).replacements += 1
        told = Superseded(user, old, new, event, True, Confidence.HIGH, self.held(user), opened_old, self.opened(new))
        return (*changes, told)

    def _open_unannounced(self, sid: str | None, user: str | None, event: Replaced) -> tuple[Transition, ...]:
        """Open a connection known only from the record of its replacing another; its own record may follow."""
        if sid is None or sid in self._owner or sid in self._gone or sid in self._superseded:
            return ()
        changes = self._open(sid, user, event, None)
        if user is not None:
            self._unannounced.add(sid)
            self._own_tally(user).connects -= 1  # counted when its own record comes
        return changes

    def _disconnected(self, event: Disconnected) -> tuple[Transition, ...]:
        sid = event.sid
        if sid is None:
            if event.user is not None:
                self._own_tally(event.user).disconnects += 1
            return ()
        if sid in self._superseded:
            return self._end_superseded(sid, event)
        if sid in self._gone:
            return ()
        connection = self._ends(sid, event.eio)
        if connection is None:
            return ()
        if connection not in self._owner:
            self._bound(self._gone, sid, None)
            return ()
        return self._close(connection, event, event.reason)

    def _end_superseded(self, sid: str, event: Disconnected) -> tuple[Transition, ...]:
        user = self._superseded.pop(sid)
        self._bound(self._gone, sid, REPLACED)
        if user is not None:
            self._own_tally(user).disconnects += 1
        return (Closed(user, sid, event, event.reason, True, self.held(user), None),)

    def _ends(self, sid: str, eio: str | None) -> str | None:
        """The connection that ends with `sid`, None while another namespace of the same session keeps it open."""
        first = self._session.get(eio, sid) if eio is not None else sid
        sids = self._namespaces.get(first)
        if sids is None:
            return sid
        sids.discard(sid)
        if sids:
            return None
        del self._namespaces[first]
        return first

    def _close(self, sid: str, event: Event, reason: str | None) -> tuple[Transition, ...]:
        user = self._owner[sid]
        opened = self._evidence.get(sid)
        inferred = self._infer_replacement(sid, user, event, reason)
        self._release(sid)
        self._bound(self._gone, sid, REPLACED if inferred is not None else None)
        if user is not None:
            tally = self._own_tally(user)
            tally.disconnects += 1
            if inferred is not None and event.source != "server-log":
                tally.replacements += 1
        held = self.held(user)
        closed = Closed(user, sid, event, reason, inferred is not None, held, opened)
        return (closed,) if inferred is None else (inferred, closed)

    def _infer_replacement(self, sid: str, user: str | None, event: Event, reason: str | None) -> Superseded | None:
        """A server that ends a connection while the user holds a newer one has replaced it."""
        held = self.held(user)
        if len(held) < 2 or held[-1] == sid or reason is None:
            return None
        opened, newest = self._evidence.get(sid), self._evidence.get(held[-1])
        if reason in KICKED or reason == "forced close":
            confidence = Confidence.HIGH
        elif reason in CUT and event.source != "server-log" and _soon_after(newest, event):
            confidence = Confidence.MEDIUM
        else:
            return None
        if event.source == "server-log":
            if self._worded:
                return None  # a log that words its replacements needs no inference
            confidence = Confidence.MEDIUM
        rest = tuple(other for other in held if other != sid)
        return Superseded(user, sid, held[-1], event, False, confidence, rest, opened, newest)

    def _restarted(self, event: Restarted) -> tuple[Transition, ...]:
        """Expire what the restarted process held. One log without a node name speaks for every connection."""
        gone = [sid for sid in self._owner if event.node is None or self._node.get(sid) == event.node]
        return tuple(change for sid in gone for change in self._expire(sid, event, RESTART))

    def expire(self, sid: str, event: Event) -> tuple[Transition, ...]:
        """Give up a connection that nothing was heard of for too long; visible, never silent."""
        return self._expire(sid, event, STALE) if sid in self._owner else ()

    def _expire(self, sid: str, event: Event, reason: str) -> tuple[Transition, ...]:
        user, opened = self._owner[sid], self._evidence.get(sid)
        self._release(sid)
        return (Closed(user, sid, event, reason, False, self.held(user), opened),)

    # --- bookkeeping -------------------------------------------------------------------------------------------

    def _own_tally(self, user: str) -> Tally:
        tally = self._tallies.get(user)
        if tally is None:
            tally = self._tallies[user] = self.tally(user)
        return tally

    def _release(self, sid: str) -> None:
        user = self._owner.pop(sid, None)
        self._unannounced.discard(sid)
        opened = self._evidence.pop(sid, None)
        if opened is not None and opened.eio is not None:
            self._session.pop(opened.eio, None)
        self._node.pop(sid, None)
        if user is None:
            return
        # Whoever held one only because nothing was ever counted gets a tally before the holding goes.
        self._own_tally(user)
        held = self._held.get(user)
        if held == sid:
            del self._held[user]
        elif isinstance(held, tuple):
            rest = tuple(other for other in held if other != sid)
            self._held[user] = rest[0] if len(rest) == 1 else rest

    def _remember(self, sid: str, event: Connected) -> None:
        self._evidence[sid] = event
        if len(self._evidence) > self._evidence_limit:
            self._evidence.popitem(last=False)

    def _bound(self, memory: OrderedDict[str, Any], sid: str, value: str | None) -> None:
        memory[sid] = value
        if len(memory) > self._memory_limit:
            memory.popitem(last=False)


def _soon_after(newest: Connected | None, event: Event) -> bool:
    if newest is None or newest.at is None or event.at is None:
        return False
    return event.at - newest.at <= COINCIDENCE_S
