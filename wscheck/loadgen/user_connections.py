"""WHO HOLDS WHAT: one user's connections, which of them was replaced, and which events came twice."""

import time
from typing import TYPE_CHECKING

from wscheck.loadgen.callbacks import State
from wscheck.loadgen.connection import Connection
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.replacement import REPLACED_WITHIN_S

if TYPE_CHECKING:
    from wscheck.loadgen.endpoint import Presence
    from wscheck.loadgen.swarm import Swarm

DUPLICATE_WITHIN_S = 2.0
REMEMBERED = 64
"""Payloads per user that are compared, so that memory follows the number of users."""


class _Sighting:
    """One payload: when it first came, and how often on which connection."""

    __slots__ = ("at", "counts")

    def __init__(self, at: float) -> None:
        self.at = at
        self.counts: dict[str | None, int] = {}


class Holding:
    """One user. A connection is held from when its CONNECT was sent until it ended or the page dropped it; one that
    the server never acknowledged was not.

    A server replaces by ending the old one, and its DISCONNECT may be read before or after the new one's CONNECT:
    the two travel on different connections. So a kick waits for the answers to what was asked by then.
    """

    __slots__ = ("_asking", "_counted", "_kicks", "_most", "_opened", "_seen", "_swarm", "held", "presence", "user")

    def __init__(self, swarm: "Swarm", user: str, presence: "Presence") -> None:
        self._swarm, self.user, self.presence = swarm, user, presence
        self.held: list[Connection] = []
        self._most, self._counted = 0, False
        self._asking: tuple[Connection, ...] = ()
        """Those that made it more than ever, and are not answered yet."""
        self._opened: list[Connection] = []
        self._kicks: list[tuple[Connection, float]] = []
        self._seen: dict[str, _Sighting] | None = None

    def asked(self, connection: Connection) -> None:
        """The server may count it from now on."""
        self.held.append(connection)
        if len(self.held) <= self._most or sum(not each.is_leaving for each in self.held) <= self._most:
            return
        self._asking = (*self._asking, connection)
        self._reach(self._most + 1)
        if not self._counted:
            self._counted = True
            self._swarm.tally.now.users += 1
            self._swarm.tally.users += 1

    def _reach(self, most: int) -> None:
        """So many at once were the most."""
        now = self._swarm.tally.now
        now.held += most - self._most
        now.users_multiple += (most > 1) - (self._most > 1)
        self._most = most

    def opened(self, connection: Connection) -> None:
        """It opened; what was kicked while it was asked for was replaced by it."""
        tally, at = self._swarm.tally, connection.opened_at
        self._answered(connection)
        tally.now.connects += 1
        tally.now.connect.add((at - connection.begun_at) * 1000)
        tally.opened()
        self._opened = [each for each in self._opened if at - each.opened_at <= REPLACED_WITHIN_S]
        self._opened.append(connection)
        waiting, self._kicks = self._kicks, []
        for old, ended_at in waiting:
            if connection.asked_at <= ended_at:
                self._replaced()
            else:
                self._kicks.append((old, ended_at))
        self._drop_kicks()

    def refused(self, connection: Connection, kind: str) -> None:
        """It never opened."""
        refused = self._swarm.tally.now.refused
        refused[kind] = refused.get(kind, 0) + 1
        self._never_held(connection)
        self._let_go(connection)

    def given_up(self, connection: Connection) -> None:
        """We left before the server knew."""
        self._never_held(connection)
        self._let_go(connection)

    def ended(self, connection: Connection, reason: str) -> None:
        """It was open, and ended for `reason`."""
        tally, at = self._swarm.tally, time.monotonic()
        tally.open -= 1
        tally.now.disconnects[reason] = tally.now.disconnects.get(reason, 0) + 1
        tally.now.lifetime.add((at - connection.opened_at) * 1000)
        if reason in (IO_SERVER_DISCONNECT, TRANSPORT_CLOSE):
            if self._was_replaced(connection, at):
                self._replaced()
            else:
                self._kicks.append((connection, at))
        self._let_go(connection)

    def stopped(self) -> None:
        """The user leaves the run."""
        if self._counted:
            self._swarm.tally.users -= 1
            self._most, self._counted, self._asking = 0, False, ()

    def _answered(self, connection: Connection) -> None:
        if self._asking:
            self._asking = tuple(each for each in self._asking if each is not connection)

    def _never_held(self, connection: Connection) -> None:
        if connection in self._asking:
            self._answered(connection)
            self._reach(self._most - 1)

    def _was_replaced(self, old: Connection, at: float) -> bool:
        """Whether another connection opened that the server took after `old`: it had not answered it before."""
        return any(
            each is not old and each.opened_at >= old.asked_at and at - each.opened_at <= REPLACED_WITHIN_S
            for each in self._opened
        )

    def _replaced(self) -> None:
        now = self._swarm.tally.now
        now.replaced += 1
        now.last_replaced_at = time.time()
        now.first_replaced_at = now.first_replaced_at or now.last_replaced_at

    def _let_go(self, connection: Connection) -> None:
        if connection in self.held:
            self.held.remove(connection)
        self._drop_kicks()

    def _drop_kicks(self) -> None:
        """A kick that no unanswered CONNECT can explain was none."""
        if self._kicks:
            asked = [each.asked_at for each in self.held if each.state is State.ASKED]
            self._kicks = [kick for kick in self._kicks if any(at <= kick[1] for at in asked)]

    # --- events ------------------------------------------------------------------------------------------------

    def event(self, connection: Connection, text: str) -> None:
        """An event arrived: did it come on another connection, too?"""
        if len(self.held) < 2 and self._seen is None:
            return
        at = time.monotonic()
        seen = self._seen = self._fresh(at)
        sighting = seen.get(text)
        if sighting is None:
            if len(seen) >= REMEMBERED:
                del seen[next(iter(seen))]
            sighting = seen[text] = _Sighting(at)
        counts = sighting.counts
        times = counts[connection.sid] = counts.get(connection.sid, 0) + 1
        if any(count >= times for sid, count in counts.items() if sid != connection.sid):
            self._swarm.tally.now.duplicated += 1
        if len(self.held) < 2 and at - next(iter(seen.values())).at > DUPLICATE_WITHIN_S:
            self._seen = None

    def _fresh(self, at: float) -> dict[str, _Sighting]:
        """What was seen not too long ago; a payload that comes again later is a repetition."""
        seen = self._seen if self._seen is not None else {}
        while seen:
            text, oldest = next(iter(seen.items()))
            if at - oldest.at <= DUPLICATE_WITHIN_S:
                break
            del seen[text]
        return seen
