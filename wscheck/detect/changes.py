"""Changes of the ledger: the effects of one event on the open connections of a user."""

import msgspec

from wscheck.model.events import Connected, Event
from wscheck.model.findings import Confidence


class UserCounts(msgspec.Struct, gc=False):
    """Numbers of the events of one user, per kind of event.

    `max_open` is the most connections that were open at once, even if for less than the grace period.
    """

    connects: int = 0
    replacements: int = 0
    disconnects: int = 0
    max_open: int = 0


class OpenedChange(msgspec.Struct, frozen=True, gc=False):
    """A connection opened. `others` are the connections of `user` that were already open, oldest first."""

    user: str
    sid: str
    event: Event
    others: tuple[str, ...]


class ReplacedChange(msgspec.Struct, frozen=True, gc=False):
    """The server closed `old_sid` in favour of `new_sid`. An id that the evidence does not contain is None.

    explicit   the server reported the replacement; otherwise it is inferred with `confidence`
    remaining  socket ids of the user's open connections afterwards
    old, new   the events that opened the two connections, None where no longer stored
    """

    user: str | None
    old_sid: str | None
    new_sid: str | None
    event: Event
    explicit: bool
    confidence: Confidence
    remaining: tuple[str, ...]
    old: Connected | None
    new: Connected | None


class ClosedChange(msgspec.Struct, frozen=True, gc=False):
    """A connection ended.

    replaced   the connection had been replaced
    remaining  socket ids of the user's open connections afterwards
    opening    the event that opened the connection, None if no longer stored
    """

    user: str | None
    sid: str
    event: Event
    reason: str | None
    replaced: bool
    remaining: tuple[str, ...]
    opening: Connected | None


class SurvivedChange(msgspec.Struct, frozen=True, gc=False):
    """A connection was believed to have ended with its server process, but its end is logged now, so it was still open.

    newer     the event that opened the user's first later connection, None if the user opened none
    until     end of the time during which both connections were open (epoch seconds), None without a newer connection
    returned  number of users who connected again within seconds of the assumed restart of the process; 0 if a log line
              reported the restart
    """

    user: str
    sid: str
    event: Event
    opening: Connected | None
    newer: Connected | None
    until: float | None
    returned: int = 0


LedgerChange = OpenedChange | ReplacedChange | ClosedChange | SurvivedChange
