"""Signatures of causes in the openings, replacements and ends of a user's connections.

A signature (see `history.Signature`) returns the evidence for its cause that a user's history contains, if any.
"""

from collections.abc import Iterator, Mapping
from math import dist, fsum, sqrt

from wscheck.detect.causes.history import Clue, Signature, UserHistory
from wscheck.detect.changes import ReplacedChange
from wscheck.detect.rules.rule import are_separate_connections, opener_label
from wscheck.model.disconnect_reasons import (
    FORCED_CLOSE,
    IO_SERVER_DISCONNECT,
    SERVER_ENDED,
    TRANSPORT_ENDED,
    reports_silent_client,
)
from wscheck.model.events import SOURCE_CLIENT, Connected
from wscheck.model.findings import Confidence

SAME_COMMIT_S = 0.05
"""Longest time between the two mounts of StrictMode in one commit (seconds).

Measured were at most 5 ms. A slow machine may need ten times that.
"""

MAX_RELATIVE_DEVIATION = 0.35
"""Largest standard deviation of the intervals of a reconnect timer, relative to their mean."""

SIMULTANEOUS_S, MIN_STORM = 0.02, 10
"""Fewer than `MIN_STORM` replacements, less than `SIMULTANEOUS_S` seconds apart on average, are no loop.

They come from pages that connect at the same moment.
"""

ACKNOWLEDGED_WITHIN_S = 5.0
"""Longest time from the end of a replaced connection to the client's knowledge of the newer one (seconds)."""

RACE_S = 0.25
"""Longest time for a server to look a user up before it stores the user's new socket (seconds)."""


def _met_pairs(history: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Yield the (older, newer) connections that were open together or replaced each other.

    In each pair, the newer connection replaced the older one, or opened while the older one was open.
    """
    yield from history.replaced_pairs()
    yield from history.met


def session_inherited(history: UserHistory) -> Clue | None:
    """Detect tabs that all sent the same value from their session storage, such as a copied session id.

    The server must have ended the connection of at least one of these tabs.
    """
    ended = (closed.opening for closed in history.closings if closed.reason in (*SERVER_ENDED, *TRANSPORT_ENDED))
    for old in ended:
        if old is None or old.shared_key is None:
            continue
        tabs = {each.page for each in history.openings if each.shared_key == old.shared_key}
        if len(tabs) > 1:
            names = " and ".join(sorted(filter(None, tabs)))
            return Confidence.HIGH, f"{names} sent the same value of `{old.shared_key}` in their session storage"
    return None


def client_id_reused(history: UserHistory) -> Clue | None:
    """Detect two connections of a user with the same client id, of which the newer one replaced the older one."""
    for old, new in history.replaced_pairs():
        if old.client_id is not None and old.client_id == new.client_id:
            return Confidence.HIGH, f"both connections have the client id {old.client_id}, and the server keeps one"
    return None


def client_id_taken(history: UserHistory) -> Clue | None:
    """Detect connections that end each other because two clients, possibly of two users, have the same client id."""
    found = client_id_reused(history)
    names = [opening.client_id for opening in history.openings if opening.client_id is not None]
    if found is not None or not names:
        return found
    return Confidence.HIGH, f"another client has the client id {names[-1]} too, and the server keeps one connection"


def two_openers(history: UserHistory) -> Clue | None:
    for old, new in _met_pairs(history):
        if old.page is None or old.page != new.page:
            continue
        first, second = sorted((opener_label(old), opener_label(new)))
        if first and second and first != second:
            return Confidence.HIGH, f"one page opened one connection in {first} and one in {second}"
    return None


def two_openers_one_kept(history: UserHistory) -> Clue | None:
    """Detect two openers of which one misses an event: the server sends it only to the connection that it kept."""
    clue = two_openers(history) if history.replacements else None
    return (Confidence.MEDIUM, f"{clue[1]}; the server sends to the one that it kept") if clue is not None else None


def effect_without_cleanup(history: UserHistory) -> Clue | None:
    """Detect two connections of one opener within one React commit, if their stacks are unknown.

    If the stacks are known, `strict_mode` detects this more reliably: times mislead on a slow machine.
    """
    for old, new in _met_pairs(history):
        if old.at is None or new.at is None or new.stack or not _have_same_opener(old, new):
            continue
        if abs(new.at - old.at) <= SAME_COMMIT_S:
            interval = abs(new.at - old.at) * 1000
            return Confidence.HIGH, f"{opener_label(old)} opened two connections {interval:.0f} ms apart"
    return None


def unmount_without_cleanup(history: UserHistory) -> Clue | None:
    for old, new in _met_pairs(history):
        if _have_same_opener(old, new):
            return Confidence.MEDIUM, f"{opener_label(old)} opened another connection while its first was still open"
    return None


def _have_same_opener(old: Connected, new: Connected) -> bool:
    same_page = old.page is not None and old.page == new.page
    return same_page and bool(opener_label(old)) and opener_label(old) == opener_label(new)


def token_refresh(history: UserHistory) -> Clue | None:
    for old, new in _met_pairs(history):
        if old.page == new.page and old.fingerprint and new.fingerprint and old.fingerprint != new.fingerprint:
            return Confidence.HIGH, "the two connections of one page presented different tokens"
    return None


def several_tabs(history: UserHistory) -> Clue | None:
    for old, new in _met_pairs(history):
        if old.page is not None and new.page is not None and old.page != new.page:
            pages = ", ".join(sorted((old.page, new.page)))  # which of the two is older may differ from run to run
            return Confidence.HIGH, f"the connections belong to different pages ({pages})"
    return None


def transport_closed(history: UserHistory) -> Clue | None:
    ends = [c for c in history.closings if c.replaced and c.reason in TRANSPORT_ENDED and not _is_plain(c.opening)]
    if not ends:
        return None
    is_certain = any(c.reason == FORCED_CLOSE for c in ends)
    confidence = Confidence.HIGH if is_certain else Confidence.MEDIUM
    return confidence, f'the replaced connection ended with "{ends[0].reason}"'


def _is_plain(opening: Connected | None) -> bool:
    """Return whether a connection belongs to a protocol without namespaces.

    A server can end such a connection only by closing its transport.
    """
    return opening is not None and opening.protocol is not None


def transport_closed_first(history: UserHistory) -> Clue | None:
    """Detect a replacement in which the older connection ended just before the newer one was acknowledged.

    The two connections belong to different pages.
    """
    for closing in history.closings:
        old, at = closing.opening, closing.event.at
        if closing.replaced or closing.reason not in TRANSPORT_ENDED or old is None or at is None:
            continue
        others = (new for new in history.openings if new.page != old.page and new.at is not None)
        if not _is_plain(old) and any(0 <= (new.at or 0.0) - at <= ACKNOWLEDGED_WITHIN_S for new in others):
            return Confidence.MEDIUM, f'the first connection ended with "{closing.reason}" as the second one opened'
    return None


def reconnect_on_kick(history: UserHistory) -> Clue | None:
    intervals = history.replacement_intervals()
    if len(intervals) < 2 or (mean := fsum(intervals) / len(intervals)) <= 0:
        return None
    if mean < SIMULTANEOUS_S and len(intervals) < MIN_STORM:
        return None
    deviation = dist(intervals, [mean] * len(intervals)) / sqrt(len(intervals))
    if deviation > MAX_RELATIVE_DEVIATION * mean:
        return None
    # A timer or a component that opens one more connection at each tick or render produces the same intervals.
    has_one_opener = any(_have_same_opener(old, new) for old, new in history.replaced_pairs())
    confidence = Confidence.HIGH if len(intervals) >= 5 and not has_one_opener else Confidence.MEDIUM
    return confidence, f"{len(intervals) + 1} replacements, one every {_format_seconds(mean)}"


def map_per_process(history: UserHistory) -> Clue | None:
    """Detect connections to two server processes that did not replace each other.

    Each process then has its own map of users to connections. If the log reports that a connection to one process
    replaced a connection to another, the processes share the map, so this is not the cause.
    """
    across_nodes = [change for change in history.replacements if not _is_on_one_node(change)]
    if any(change.explicit for change in across_nodes):
        return None
    # In an inferred replacement, the new connection is only assumed, and so are the two processes.
    confidence = Confidence.MEDIUM if across_nodes else Confidence.HIGH
    successors = {change.old_sid: change.new for change in history.replacements if change.new is not None}
    for pair in history.met:
        # A process may have replaced its own connection since: its newest connection counts.
        old, new = (_newest(connection, successors) for connection in pair)
        if old.node is not None and new.node is not None and old.node != new.node:
            return confidence, f"{old.node} and {new.node} each have a connection and neither replaced the other"
    return _some_replaced_some_kept(history)


def _newest(connection: Connected, successors: Mapping[str | None, Connected]) -> Connected:
    """Return the connection at the end of a chain of replacements that starts with `connection`.

    Return `connection` itself if it was not replaced. `successors` maps a sid to the connection that replaced it.
    """
    for _ in range(len(successors)):  # a bound, in case that the evidence contains a cycle
        if connection.sid not in successors:
            break
        connection = successors[connection.sid]
    return connection


def _is_on_one_node(change: ReplacedChange) -> bool:
    return change.old is not None and change.new is not None and change.old.node == change.new.node


def _some_replaced_some_kept(history: UserHistory) -> Clue | None:
    """Detect a server that replaced some of the user's connections, but kept two that opened clearly apart in time.

    Server processes of which each replaces only its own connections do this. The check also works for a log whose
    lines do not name the process.
    """
    replaced = len(history.replacements)
    late = [interval for pair in _kept_pairs(history) if (interval := _interval(pair)) > RACE_S + _resolution(pair)]
    if not replaced or not late:
        return None
    kept = f"kept others, one of them {_format_seconds(max(late))} after another"
    return Confidence.MEDIUM, f"the server replaced {replaced} of the user's connections and {kept}"


def lookup_race(history: UserHistory) -> Clue | None:
    """Detect two connections that opened at nearly the same time, if the server replaced neither of them.

    Likely, the server looked up the user's connections for the second one before it had stored the first.

    If the server replaced other connections of the user, it allows one per user, and a race is the likely cause. If it
    replaced none, it may allow several on purpose. Two connections of different pages are then no race.

    Two server processes that each have their own map of users cause the same evidence. The cause is therefore certain
    only if the log shows that one process has both connections.
    """
    for pair in _kept_pairs(history):
        old, new = pair
        if not history.replacements and old.source != SOURCE_CLIENT and old.page != new.page:
            continue
        if 0 <= _interval(pair) <= RACE_S - _resolution(pair) and old.node == new.node:
            opened = f"two connections opened {_interval(pair) * 1000:.0f} ms apart"
            is_certain = bool(history.replacements) and old.node is not None and are_separate_connections(old, new)
            others = ", although it replaced others" if history.replacements else ""
            confidence = Confidence.HIGH if is_certain else Confidence.MEDIUM
            return confidence, f"{opened}, and the server replaced neither{others}"
    return None


def _kept_pairs(history: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Return the (older, newer) pairs of connections that were open together, if the server replaced neither."""
    replaced = {change.old_sid for change in history.replacements}
    return (pair for pair in history.met if replaced.isdisjoint(one.sid for one in pair))


def _interval(pair: tuple[Connected, Connected]) -> float:
    """Return the seconds between the openings of a pair, -1 if a time is unknown."""
    old, new = pair
    return new.at - old.at if old.at is not None and new.at is not None else -1.0


def _resolution(pair: tuple[Connected, Connected]) -> float:
    """Return the largest possible error of the interval of a pair in seconds, given the resolution of the times."""
    return max(one.resolution for one in pair)


def zombie(history: UserHistory) -> Clue | None:
    timed_out = [c for c in history.closings if reports_silent_client(c.reason)]
    for old, new in history.met if timed_out else ():
        if any(c.sid == old.sid and new.sid in c.remaining for c in timed_out):
            return Confidence.HIGH, "the older connection ended with a ping timeout after the newer one opened"
    return None


def newcomer_ended(history: UserHistory) -> Clue | None:
    """Detect a user who has no connection left, because the server also ended the newest one."""
    last = history.closings[-1] if history.closings else None
    if last is None or last.reason != IO_SERVER_DISCONNECT or last.replaced or last.remaining:
        return None
    if any(change.new_sid == last.sid for change in history.replacements):
        return Confidence.HIGH, "the server replaced a connection and ended the newer one as well: none is left"
    return Confidence.MEDIUM, "the server ended the user's only connection, and there was no newer one"


def _format_seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


PAGE_SIGNATURES: dict[str, Signature] = {
    "token-refresh": token_refresh,
    "two-openers": two_openers,
    "effect-without-cleanup": effect_without_cleanup,
    "unmount-without-cleanup": unmount_without_cleanup,
}
"""Cause id to signature, for signatures that need the page and the opener of each connection."""

SERVER_SIGNATURES: dict[str, Signature] = {
    "transport-closed": transport_closed,
    "zombie": zombie,
    "map-per-process": map_per_process,
    "reconnect-on-kick": reconnect_on_kick,
    "lookup-race": lookup_race,
    "several-tabs": several_tabs,
}
"""Cause id to signature, for signatures that need only the openings, replacements and ends of a server's log."""
