"""HOW A CONNECTION ENDED: which reasons say that the server ended it, and when that means it was replaced."""

from itertools import pairwise
from typing import cast

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.model.disconnect_reasons import FORCED_CLOSE, SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Event
from wscheck.model.findings import Confidence

UNKNOWN_SESSION = "Session ID unknown"
"""How a process answers that has never heard of a session: another one has it."""

# A transport that closes this soon after the user's next connection was most likely closed because of it.
COINCIDENCE_S = 1.0

# Two answers that a server sent in one breath may arrive so far apart, and in either order: long-polling fetches each.
CROSSING_S = 0.25


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


def replaced(event: Event, reason: str | None, newest: Connected | None) -> Confidence | None:
    """How surely `event` ended a connection in favour of the user's `newest` one; None when it did not.

    Ask only while the user holds a newer connection. A log's word for it counts less than what a client felt.
    """
    logged = event.source == SOURCE_SERVER_LOG
    if reason in SERVER_ENDED or reason == FORCED_CLOSE:
        return Confidence.MEDIUM if logged else Confidence.HIGH
    if reason in TRANSPORT_ENDED and not logged and _soon_after(newest, event):
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
    if event.source == SOURCE_SERVER_LOG or reason not in SERVER_ENDED or ended is None or other is None:
        return False
    times = (other.at, ended.at, event.at)
    if None in times:
        return False
    return all(later - earlier <= CROSSING_S for earlier, later in pairwise(cast("tuple[float, ...]", times)))
