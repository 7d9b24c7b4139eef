"""Overlaps of connections in a server's log that have an explanation other than a second opener."""

from wscheck.detect.causes.history import UserHistory
from wscheck.model.disconnect_reasons import PING_TIMEOUT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected
from wscheck.model.gaps import Gap

OPENED_TOGETHER_S, ENDED_TOGETHER_S = 0.25, 0.002
"""Longest time between the openings, and between the ends, of sockets that may be namespaces of one connection."""

MAX_PING_TIMEOUT_S = 60.0
"""Longest time for a server to notice that a client lost its network (seconds): 45 s with Socket.IO's defaults."""

MIN_BUNDLES = 2
"""Number of overlaps that must look like namespaces. A single one may be a coincidence."""


def outlived_lost_network(history: UserHistory) -> bool:
    """Return whether in each overlap the older connection was lost and the newer one is the client's reconnection.

    The older connection ends with a ping timeout soon after the newer one opened: the client had lost it before.
    """
    timed_out = {c.sid: c.event.at for c in history.closings if c.reason == PING_TIMEOUT}
    return bool(history.met) and all(
        _is_logged(old)
        and _is_logged(new)
        and new.at is not None
        and (ended_at := timed_out.get(old.sid or "")) is not None
        and ended_at - new.at <= MAX_PING_TIMEOUT_S
        for old, new in history.met
    )


def may_be_namespaces(history: UserHistory) -> bool:
    """Return whether all overlapping sockets opened together and ended together, as namespaces of one connection do."""
    ends = {closing.sid: closing for closing in history.closings}
    for old, new in history.met:
        if not _is_alike(old, new) or old.at is None or new.at is None or new.at - old.at > OPENED_TOGETHER_S:
            return False
        first, second = ends.get(old.sid or ""), ends.get(new.sid or "")
        if first is None or second is None or first.reason != second.reason:
            return False
        if first.event.at is None or second.event.at is None or first.event.resolution or second.event.resolution:
            return False
        if abs(second.event.at - first.event.at) > ENDED_TOGETHER_S:
            return False
    return bool(history.met)


def namespace_gap(users: int) -> Gap:
    """Return the gap (missing evidence) for `users` whose sockets may be namespaces of one connection per user."""
    whose = "1 user" if users == 1 else f"{users} users"
    reason = (
        f"the simultaneous sockets of {whose} opened together and ended together: they may be namespaces of one "
        "connection. Log the namespace (`nsp`) with each socket"
    )
    return Gap(reason=reason, closes_with="--key namespace=NAME", rules=("multiple-connections",))


def _is_alike(old: Connected, new: Connected) -> bool:
    """Return whether nothing but the socket id distinguishes two connections in a log."""
    unnamed = all(one.namespace is None and one.eio is None for one in (old, new))
    return unnamed and _is_logged(old) and _is_logged(new) and old.node == new.node


def _is_logged(opening: Connected) -> bool:
    return opening.source == SOURCE_SERVER_LOG and opening.page is None
