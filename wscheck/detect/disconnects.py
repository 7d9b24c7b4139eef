"""HOW A CONNECTION ENDED: which reasons say that the server ended it, and when that means it was replaced."""

from itertools import pairwise
from typing import cast

from wscheck.detect.bounded_dict import Remembered
from wscheck.model.events import Connected, Event
from wscheck.model.findings import Confidence

RESTART = "expired: the server restarted"
STALE = "expired: nothing heard of it for too long"
UNTOLD = "expired: the server speaks of another one as the user's, and tells of no connection's beginning"

# How a client's own library words it: the server ended it, it left by itself, its transport is gone.
KICK, LEFT, LOST = "io server disconnect", "io client disconnect", "transport close"

UNKNOWN_SESSION = "Session ID unknown"
"""How a process answers that has never heard of a session: another one has it."""

SHUT_DOWN = "server shutting down"

# What a client sees, and what a server logs, when it was the server that ended a connection.
KICKED = frozenset({KICK, "server namespace disconnect", "server disconnect"})
CUT = frozenset({LOST, "transport error", "forced close"})

# What either side ended by saying so. What was lost in another way a server may recover, under the same socket id.
ON_PURPOSE = KICKED | {LEFT, "client namespace disconnect"}

# A transport that closes this soon after the user's next connection was most likely closed because of it.
COINCIDENCE_S = 1.0

# Two answers that a server sent in one breath may arrive so far apart, and in either order: long-polling fetches each.
CROSSING_S = 0.25


class Ended(Remembered[str, str | None]):
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


def replaced(event: Event, reason: str | None, newest: Connected | None) -> Confidence | None:
    """How surely `event` ended a connection in favour of the user's `newest` one; None when it did not.

    Ask only while the user holds a newer connection. A log's word for it counts less than what a client felt.
    """
    logged = event.source == "server-log"
    if reason in KICKED or reason == "forced close":
        return Confidence.MEDIUM if logged else Confidence.HIGH
    if reason in CUT and not logged and _soon_after(newest, event):
        return Confidence.MEDIUM
    return None


def _soon_after(newest: Connected | None, event: Event) -> bool:
    if newest is None or newest.at is None or event.at is None:
        return False
    return event.at - newest.at <= COINCIDENCE_S


def crossed(event: Event, reason: str | None, ended: Connected | None, other: Connected | None) -> bool:
    """Whether `ended` only seems newer than `other`: both acknowledgements and the kick came at one moment.

    A server ends the older of two connections; what is kicked as soon as it was acknowledged was the older one.
    """
    if event.source == "server-log" or reason not in KICKED or ended is None or other is None:
        return False
    times = (other.at, ended.at, event.at)
    if None in times:
        return False
    return all(later - earlier <= CROSSING_S for earlier, later in pairwise(cast("tuple[float, ...]", times)))
