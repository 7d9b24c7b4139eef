"""WHAT NO RECORD SAYS: replacements that follow from how connections end and begin; pure."""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event
from wscheck.model.findings import Confidence
from wscheck.model.replacement import CROSSING_S, replacement_confidence

BREATH_S = 0.01
"""Whoever is kicked and connects again needs more time: the server ended the old one because this one had come."""

MOST_KICKS = 1_000


class ReplacementInference:
    """A server that ends a connection while the user has a newer one has replaced it, said or not.

    has_logged_replacements  the server logs its replacements, so that none need be inferred from its log
    unexplained_ends         by user, the user's only connection when the log says that the server ended it; the latest
    """

    def __init__(self) -> None:
        self.has_logged_replacements = False
        self.unexplained_ends = BoundedDict[str, ClosedChange](MOST_KICKS)

    def on_logged_replacement(self) -> None:
        """A record says of a replacement that it was one."""
        if not self.has_logged_replacements:
            self.has_logged_replacements = True
            self.unexplained_ends.clear()

    def on_disconnect(
        self, event: Disconnected, sid: str, user: str, held: tuple[str, ...], opened: Mapping[str, Connected]
    ) -> ReplacedChange | None:
        """What the end of `sid` means, one of the connections that `user` held; `opened`: how some of them were."""
        if self.has_logged_replacements and event.source == SOURCE_SERVER_LOG:
            return None
        rest = tuple(other for other in held if other != sid)
        ended = opened.get(sid)
        for_which = _for_which(ended, held[held.index(sid) + 1 :] or rest, opened)
        newest = opened.get(for_which)
        if sid == held[-1] and not crossed(event, event.reason, ended, newest):
            return None
        confidence = replacement_confidence(
            event.reason,
            logged=event.source == SOURCE_SERVER_LOG,
            ended_at=event.at,
            newer_opened_at=newest.at if newest is not None else None,
        )
        if confidence is None:
            return None
        return ReplacedChange(user, sid, for_which, event, False, confidence, rest, ended, newest)

    def remember(self, closed: ClosedChange) -> None:
        """A user's only connection ended: a server may tell of the end before it tells of what it was for."""
        if closed.user is not None and closed.reason in SERVER_ENDED and not self.has_logged_replacements:
            self.unexplained_ends.put(closed.user, closed)

    def on_connect(self, opened: OpenedChange) -> ReplacedChange | None:
        """What the first connection of a user means who was kicked from one before."""
        closed = self.unexplained_ends.pop(opened.user, None)
        if closed is None or not _in_one_breath(closed.event, opened.event):
            return None
        new = opened.event if isinstance(opened.event, Connected) else None
        held = (opened.sid,)
        return ReplacedChange(
            opened.user, closed.sid, opened.sid, closed.event, False, Confidence.MEDIUM, held, closed.opening, new
        )


def _for_which(ended: Connected | None, newer: tuple[str, ...], opened: Mapping[str, Connected]) -> str:
    """The newest of `newer`, and first of those that the same process has: what others have it need not know of."""
    node = ended.node if ended is not None else None
    if node is None:
        return newer[-1]
    own = (sid for sid in reversed(newer) if (other := opened.get(sid)) is not None and other.node == node)
    return next(own, newer[-1])


def _in_one_breath(ended: Event, begun: Event) -> bool:
    """Whether a log tells of both at one moment. Of whole seconds that cannot be said."""
    if ended.at is None or begun.at is None or begun.source != ended.source or begun.node != ended.node:
        return False
    return 0 <= begun.at - ended.at <= BREATH_S and not ended.at.is_integer()


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
