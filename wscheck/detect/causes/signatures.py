"""Signatures: what in a user's trail points to which cause. Each returns the evidence in a sentence, or None."""

from collections.abc import Iterator
from math import dist, sqrt
from statistics import fmean

from wscheck.detect.causes.history import Clue, Signature, UserHistory
from wscheck.detect.changes import ReplacedChange
from wscheck.detect.rules.rule import apart, opened_by
from wscheck.model.disconnect_reasons import FORCED_CLOSE, IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_ENDED
from wscheck.model.events import SOURCE_CLIENT, Connected
from wscheck.model.findings import Confidence

# StrictMode mounts twice in one commit: measured within 5 ms, ten times that for slow machines.
SAME_COMMIT_S = 0.05
# How far a reconnect timer may stray and still be one.
STEADY = 0.35
# A few replacements this close are those of pages that connect at one moment; whoever loops does not stop at a few.
AT_ONCE_S, STORM = 0.02, 10
# For so long a server may look a user up before it stores the user's new socket.
RACE_S = 0.25


def _together(trail: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Pairs of connections that met: one replaced the other, or the second was opened while the first was held."""
    yield from trail.pairs()
    yield from trail.met


def two_openers(trail: UserHistory) -> Clue | None:
    for old, new in _together(trail):
        if old.page is None or old.page != new.page:
            continue
        first, second = opened_by(old), opened_by(new)
        if first and second and first != second:
            return Confidence.HIGH, f"one page opened one connection in {first} and one in {second}"
    return None


def kept_elsewhere(trail: UserHistory) -> Clue | None:
    """Why an event that was asked for on one connection never came there."""
    clue = two_openers(trail) if trail.replacements else None
    return (Confidence.MEDIUM, f"{clue[1]}; the server sends to the one it kept") if clue is not None else None


def effect_without_cleanup(trail: UserHistory) -> Clue | None:
    """Where nothing shows the stacks, in which StrictMode says so itself: there, answers that came together on a slow
    machine would mislead."""
    for old, new in _together(trail):
        if old.at is None or new.at is None or new.stack or not _same_opener(old, new):
            continue
        if abs(new.at - old.at) <= SAME_COMMIT_S:
            gap = abs(new.at - old.at) * 1000
            return Confidence.HIGH, f"{opened_by(old)} opened two connections {gap:.0f} ms apart"
    return None


def unmount_without_cleanup(trail: UserHistory) -> Clue | None:
    for old, new in _together(trail):
        if _same_opener(old, new):
            return Confidence.MEDIUM, f"{opened_by(old)} opened another connection while its first was still open"
    return None


def _same_opener(old: Connected, new: Connected) -> bool:
    return old.page is not None and old.page == new.page and bool(opened_by(old)) and opened_by(old) == opened_by(new)


def token_refresh(trail: UserHistory) -> Clue | None:
    for old, new in _together(trail):
        if old.page == new.page and old.fingerprint and new.fingerprint and old.fingerprint != new.fingerprint:
            return Confidence.HIGH, "the two connections of one page presented different tokens"
    return None


def several_tabs(trail: UserHistory) -> Clue | None:
    for old, new in _together(trail):
        if old.page is not None and new.page is not None and old.page != new.page:
            return Confidence.HIGH, f"the connections belong to different pages ({old.page}, {new.page})"
    return None


def transport_closed(trail: UserHistory) -> Clue | None:
    cut = [c for c in trail.closings if c.replaced and c.reason in TRANSPORT_ENDED]
    if not cut:
        return None
    certain = any(c.reason == FORCED_CLOSE for c in cut)
    return Confidence.HIGH if certain else Confidence.MEDIUM, f'the replaced connection ended with "{cut[0].reason}"'


def reconnect_on_kick(trail: UserHistory) -> Clue | None:
    gaps = trail.gaps()
    if len(gaps) < 2 or (mean := fmean(gaps)) <= 0 or (mean < AT_ONCE_S and len(gaps) < STORM):
        return None
    deviation = dist(gaps, [mean] * len(gaps)) / sqrt(len(gaps))
    if deviation > STEADY * mean:
        return None
    # Code that opens one more and again one more, with a timer or a render, looks just like it.
    alone = any(_same_opener(old, new) for old, new in trail.pairs())
    confidence = Confidence.HIGH if len(gaps) >= 5 and not alone else Confidence.MEDIUM
    return confidence, f"{len(gaps) + 1} replacements, one every {_seconds(mean)}"


def map_per_process(trail: UserHistory) -> Clue | None:
    """Each process replaces what it holds itself: that one replaced what another holds shows that they share."""
    shared = [change for change in trail.replacements if not _of_one_node(change)]
    if any(change.explicit for change in shared):
        return None
    sure = Confidence.MEDIUM if shared else Confidence.HIGH  # for which of several one was ended is only supposed
    for old, new in _kept(trail):
        if old.node is not None and new.node is not None and old.node != new.node:
            return sure, f"{old.node} and {new.node} each hold a connection and neither replaced the other"
    return _kept_by_chance(trail)


def _of_one_node(change: ReplacedChange) -> bool:
    return change.old is not None and change.new is not None and change.old.node == change.new.node


def _kept_by_chance(trail: UserHistory) -> Clue | None:
    """One log does not say whose lines are whose: but a server that replaces, and keeps what came long after, does so
    by where it came to."""
    replaced, late = len(trail.replacements), [gap for gap in map(_gap, _kept(trail)) if gap > RACE_S]
    if not replaced or not late:
        return None
    kept = f"kept others, also one {_seconds(max(late))} later"
    return Confidence.MEDIUM, f"the server replaced {replaced} of the user's connections and {kept}"


def lookup_race(trail: UserHistory) -> Clue | None:
    """A server that replaces others keeps one a user, and lost a race; one that replaces nobody may mean to, and with
    two real pages of one user before our eyes most likely does. Where it is not known that one process had both, each
    may have come to a process that keeps books of its own."""
    for pair in _kept(trail):
        old, new = pair
        if not trail.replacements and old.source != SOURCE_CLIENT and old.page != new.page:
            continue
        if 0 <= _gap(pair) <= RACE_S and old.node == new.node:
            told = f"two connections {_gap(pair) * 1000:.0f} ms apart, and the server replaced neither"
            sure = bool(trail.replacements) and old.node is not None and apart(old, new)
            others = ", as it did others" if trail.replacements else ""
            return (Confidence.HIGH if sure else Confidence.MEDIUM), told + others
    return None


def _kept(trail: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Pairs that met, of which the server replaced neither."""
    replaced = {change.old_sid for change in trail.replacements}
    return (pair for pair in trail.met if replaced.isdisjoint(one.sid for one in pair))


def _gap(pair: tuple[Connected, Connected]) -> float:
    """How long after the first the second came (seconds), -1 where that is not known."""
    old, new = pair
    return new.at - old.at if old.at is not None and new.at is not None else -1.0


def zombie(trail: UserHistory) -> Clue | None:
    silent = [c for c in trail.closings if c.reason == PING_TIMEOUT]
    for old, new in trail.met if silent else ():
        if any(c.sid == old.sid and new.sid in c.remaining for c in silent):
            return Confidence.HIGH, "the older connection ended with a ping timeout after the newer one began"
    return None


def newcomer_ended(trail: UserHistory) -> Clue | None:
    """The last thing that happened: the server ended a connection, and there was none for which it did."""
    last = trail.closings[-1] if trail.closings else None
    if last is None or last.reason != IO_SERVER_DISCONNECT or last.replaced or last.remaining:
        return None
    if any(change.new_sid == last.sid for change in trail.replacements):
        return Confidence.HIGH, "the server ended the connection for which it had replaced another, too: none is left"
    return Confidence.MEDIUM, "the server ended the user's only connection, and there was no newer one"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


PAGE_SIGNATURES: dict[str, Signature] = {
    "token-refresh": token_refresh,
    "two-openers": two_openers,
    "effect-without-cleanup": effect_without_cleanup,
    "unmount-without-cleanup": unmount_without_cleanup,
}
"""Need to know which page and which code opened what."""

SERVER_SIGNATURES: dict[str, Signature] = {
    "transport-closed": transport_closed,
    "zombie": zombie,
    "map-per-process": map_per_process,
    "reconnect-on-kick": reconnect_on_kick,
    "lookup-race": lookup_race,
    "several-tabs": several_tabs,
}
"""Need only connects, replacements and endings: a server log carries them."""
