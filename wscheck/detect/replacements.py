"""Replacements: inference of those that no event reports, and pages whose connections are replaced in a loop."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.model.disconnect_reasons import CLIENT_OR_NETWORK_ENDED, SERVER_ENDED
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event
from wscheck.model.findings import Confidence
from wscheck.model.replacement import CROSSING_S, replacement_confidence

SAME_MOMENT_S = 0.01
"""Longest time from a logged end to a logged opening that caused it (seconds).

A client that reconnects after a disconnect needs longer.
"""

PROMPT_S = 0.025
"""Longest time from an opening to the logged end of the user's older connection that the opening caused (seconds).

A page that closes its own old connection, for example on a reload, takes longer.
"""

MIN_PROMPT_ENDS = 3
"""Number of consecutive overlaps of a user that end within `PROMPT_S`, from which on they count as replacements."""

LOOP_END_S, MAX_LIFE_S = 0.25, 60.0
"""Longest time from an opening to the end of the older connection, and longest life of this one, in a loop (seconds).

A client that renews its connection also opens the new one first, but less often.
"""

MIN_LOOP_ENDS = 10
"""Number of consecutive overlaps of a user that end within `LOOP_END_S`, from which on they count as replacements."""

MAX_UNEXPLAINED_ENDS = 1_000

MIN_REPLACEMENTS = 2
"""Replacements of connections of one page from which on the page is in a loop."""


class PromptEnds(BoundedDict[str, list[ReplacedChange]]):
    """Ends of connections that may be replacements, as one series per user.

    A connection in a series ended soon after a newer one of the user opened. Once a series has `least` ends, they count
    as replacements.
    """

    def __init__(self, least: int) -> None:
        super().__init__(MAX_UNEXPLAINED_ENDS)
        self._least = least

    def add(self, user: str, change: ReplacedChange, *, counts: bool) -> tuple[ReplacedChange, ...]:
        """Add an end to the user's series, and return the replacements to report now.

        If `counts` is False, do not add the end, and start a new series.
        """
        if not counts:
            self.pop(user, None)
            return ()
        if (earlier := self.get(user)) is None:
            earlier = []
            self.put(user, earlier)
        if len(earlier) >= self._least:
            return (change,)
        earlier.append(change)
        return tuple(earlier) if len(earlier) == self._least else ()


class ReplacementInference:
    """Inference of replacements from the order of ends and openings.

    A server that ends a connection while the user has a newer one has replaced the older one. If several times in a row
    an older connection ends within milliseconds of the opening of a newer one, the ends are replacements too, even if
    the log gives another reason: see `on_unexplained_overlap_end`.

    has_logged_replacements  the server's log reports replacements, so that none are inferred from the log
    unexplained_ends         dict of user to an end of the user's only connection by the server; an opening just after
                             it may show that it was a replacement
    """

    def __init__(self) -> None:
        self.has_logged_replacements = False
        self.unexplained_ends = BoundedDict[str, ClosedChange](MAX_UNEXPLAINED_ENDS)
        self._prompt_ends = PromptEnds(MIN_PROMPT_ENDS)
        self._loop_ends = PromptEnds(MIN_LOOP_ENDS)

    def on_logged_replacement(self) -> None:
        """Stop the inference for the server's log, because the log reports replacements."""
        if not self.has_logged_replacements:
            self.has_logged_replacements = True
            self.unexplained_ends.clear()
            self._prompt_ends.clear()
            self._loop_ends.clear()

    def on_disconnect(
        self, event: Disconnected, sid: str, user: str, open_sids: tuple[str, ...], openings: Mapping[str, Connected]
    ) -> ReplacedChange | None:
        """Return the replacement that the end of the connection `sid` implies, None if it implies none.

        Args:
            event: the end of the connection.
            sid: socket id of the ended connection.
            user: user of the connection.
            open_sids: socket ids of the user's connections before the end, oldest first.
            openings: socket id to the event that opened the connection, as far as known.
        """
        if self.has_logged_replacements and event.source == SOURCE_SERVER_LOG:
            return None
        ended, index = openings.get(sid), open_sids.index(sid)
        new_sid = _replacing_sid(ended, open_sids, index, openings)
        newest = openings.get(new_sid)
        if sid == open_sids[-1] and not _acknowledgements_crossed(event, ended, newest):
            return None
        confidence = replacement_confidence(
            event.reason,
            logged=event.source == SOURCE_SERVER_LOG,
            ended_at=event.at,
            newer_opened_at=newest.at if newest is not None else None,
        )
        if confidence is None:
            return None
        remaining = open_sids[:index] + open_sids[index + 1 :]
        return ReplacedChange(user, sid, new_sid, event, False, confidence, remaining, ended, newest)

    def on_unexplained_overlap_end(
        self, event: Disconnected, sid: str, user: str, open_sids: tuple[str, ...], openings: Mapping[str, Connected]
    ) -> tuple[ReplacedChange, ...]:
        """Return the replacements to report after one of a user's several connections ended for an unclear reason.

        A single such end proves nothing. After `MIN_PROMPT_ENDS` ends in a row, each directly after the opening of a
        newer connection, return all of them as replacements. From then on, return each further one. If the ends follow
        less directly, `MIN_LOOP_ENDS` ends of short connections are needed.

        Args:
            event: the end of the connection.
            sid: socket id of the ended connection.
            user: user of the connection.
            open_sids: socket ids of the user's connections before the end, oldest first.
            openings: socket id to the event that opened the connection, as far as known.
        """
        if self.has_logged_replacements or event.source != SOURCE_SERVER_LOG:
            return ()
        newest = openings.get(open_sids[-1])
        if sid == open_sids[-1] or newest is None or not _ended_within(LOOP_END_S, event, newest):
            self._prompt_ends.pop(user, None)
            self._loop_ends.pop(user, None)
            return ()
        index = open_sids.index(sid)
        remaining = open_sids[:index] + open_sids[index + 1 :]
        change = ReplacedChange(
            user, sid, open_sids[-1], event, False, Confidence.MEDIUM, remaining, openings.get(sid), newest
        )
        is_prompt = _ended_within(PROMPT_S, event, newest)
        if found := self._prompt_ends.add(user, change, counts=is_prompt):
            self._loop_ends.pop(user, None)
            return found
        opened_at = change.old.at if change.old is not None else None
        is_short = opened_at is not None and event.at is not None and event.at - opened_at <= MAX_LIFE_S
        return self._loop_ends.add(user, change, counts=is_short)

    def remember(self, closed: ClosedChange) -> None:
        """Store the end of a user's only connection: a server may log this end before the opening that caused it."""
        if closed.user is not None and closed.reason in SERVER_ENDED and not self.has_logged_replacements:
            self.unexplained_ends.put(closed.user, closed)

    def on_connect(self, opened: OpenedChange) -> ReplacedChange | None:
        """Return the replacement if `opened` replaced a connection whose end was logged just before it."""
        closed = self.unexplained_ends.pop(opened.user, None)
        if closed is None or not _at_the_same_moment(closed.event, opened.event):
            return None
        new = opened.event if isinstance(opened.event, Connected) else None
        remaining, confidence = (opened.sid,), Confidence.MEDIUM
        return ReplacedChange(
            opened.user, closed.sid, opened.sid, closed.event, False, confidence, remaining, closed.opening, new
        )


def _replacing_sid(
    ended: Connected | None, open_sids: tuple[str, ...], index: int, openings: Mapping[str, Connected]
) -> str:
    """Return the sid that replaced the connection `ended`.

    This is the user's newest other connection, preferably one of the same server process: a process may not know the
    connections of other processes.

    index  position of the connection `ended` in `open_sids`
    """
    is_newest = index == len(open_sids) - 1
    newest = open_sids[-2] if is_newest else open_sids[-1]
    node = ended.node if ended is not None else None
    if node is None:
        return newest
    others = range(len(open_sids) - 2, -1, -1) if is_newest else range(len(open_sids) - 1, index, -1)
    same_node = (
        open_sids[at] for at in others if (other := openings.get(open_sids[at])) is not None and other.node == node
    )
    return next(same_node, newest)


def _ended_within(seconds: float, end: Disconnected, newest: Connected) -> bool:
    """Return whether `end` followed the opening of the newest connection within a number of seconds.

    Return False if the reason of the end already explains it (the client or the network), or for times in whole
    seconds.
    """
    if end.reason in CLIENT_OR_NETWORK_ENDED or end.at is None or newest.at is None or end.resolution:
        return False
    return 0 <= end.at - newest.at <= seconds


def _at_the_same_moment(end: Event, opening: Event) -> bool:
    """Return whether the same log reports both events, and the opening at most `SAME_MOMENT_S` seconds after the end.

    Return False for timestamps in whole seconds, which are too coarse to show this.
    """
    if end.at is None or opening.at is None or opening.source != end.source or opening.node != end.node:
        return False
    return 0 <= opening.at - end.at <= SAME_MOMENT_S and not end.at.is_integer() and not end.resolution


def _acknowledgements_crossed(event: Disconnected, ended: Connected | None, other: Connected | None) -> bool:
    """Return whether `ended` is the older of the two connections, although it was acknowledged last.

    A server ends the older connection of a user. If a connection ends as soon as it is acknowledged, it is therefore
    the older one, and the two acknowledgements arrived in reverse order.
    """
    if event.source == SOURCE_SERVER_LOG or event.reason not in SERVER_ENDED or ended is None or other is None:
        return False
    times = (other.at, ended.at, event.at)
    if None in times:
        return False
    return all(later - earlier <= CROSSING_S for earlier, later in pairwise(cast("tuple[float, ...]", times)))


class ReplacementLoops:
    """Replacements per user and page, to recognise pages that reconnect and are replaced again and again.

    In a loop, chance decides which connection is open at a moment and which one receives an event. A missing connection
    or event is then a consequence of the loop, which has a finding of its own.
    """

    def __init__(self) -> None:
        self._replacements = Counter[tuple[str | None, str | None]]()

    def observe(self, change: ReplacedChange) -> None:
        """Count a replacement."""
        if change.old is not None and change.old.page is not None:
            self._replacements[change.user, change.old.page] += 1

    def contains(self, user: str | None, page: str | None) -> bool:
        """Return whether the page is in a loop."""
        return self._replacements[user, page] >= MIN_REPLACEMENTS
