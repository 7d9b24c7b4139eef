"""WHAT CHANGED: what one event meant for who holds which connection, as the ledger tells the rules."""

import msgspec

from wscheck.model.events import Connected, Event
from wscheck.model.findings import Confidence


class UserCounts(msgspec.Struct, gc=False):
    """What one user did: counts of records, and the most connections held at once (without any grace)."""

    connects: int = 0
    replacements: int = 0
    disconnects: int = 0
    max_open: int = 0


class OpenedChange(msgspec.Struct, frozen=True, gc=False):
    """`user` now also holds `sid`; `others` are the connections the user held already."""

    user: str
    sid: str
    event: Event
    others: tuple[str, ...]


class ReplacedChange(msgspec.Struct, frozen=True, gc=False):
    """The server closed `old_sid` in favour of `new_sid`; each is None where the evidence does not say.

    explicit  the server said so itself; otherwise it follows from what the client saw, as surely as `confidence`
    remaining the user's connections afterwards
    old, new  how each was opened, where that evidence is still at hand
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
    """`sid` ended. `replaced` says that it had been replaced; `remaining` are the user's connections afterwards."""

    user: str | None
    sid: str
    event: Event
    reason: str | None
    replaced: bool
    remaining: tuple[str, ...]
    opening: Connected | None


LedgerChange = OpenedChange | ReplacedChange | ClosedChange
