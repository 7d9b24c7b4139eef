"""Changes of the ledger: what one event means for the open connections of a user."""

import msgspec

from wscheck.model.events import Connected, Event
from wscheck.model.findings import Confidence


class UserCounts(msgspec.Struct, gc=False):
    """Counts of one user's records, and the most connections that were open at once (without any grace)."""

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
    """The server closed `old_sid` in favour of `new_sid`; each is None where the evidence does not name it.

    explicit   the server said that it was a replacement; otherwise it is inferred, as surely as `confidence`
    remaining  the user's open connections afterwards
    old, new   the event that opened each, where it is still known
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
    remaining  the user's open connections afterwards
    opening    the event that opened the connection, where it is still known
    """

    user: str | None
    sid: str
    event: Event
    reason: str | None
    replaced: bool
    remaining: tuple[str, ...]
    opening: Connected | None


LedgerChange = OpenedChange | ReplacedChange | ClosedChange
