"""WHAT WAS PROVEN where connections were only watched: the same words for a log and for the recording of it; pure."""

from collections.abc import Sequence

import msgspec

from wscheck.detect.ledger import Ledger
from wscheck.model.findings import Bar, Finding, Verdict


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, as far as it decides whether nothing found means that nothing is wrong.

    connections  events that tell of a connection
    unreadable   lines that looked like one and could not be read
    ledger       who held what
    timed        whether any had a time
    unjudged     why something could not be judged; empty when everything could
    """

    connections: int
    unreadable: int
    ledger: Ledger
    timed: bool
    unjudged: str = ""


def verdict(findings: Sequence[Finding], bar: Bar, doubt: str) -> tuple[Verdict, str]:
    """The verdict and its reason. `doubt` says why nothing was proven even without a finding; empty when it was."""
    if failing := bar.failing(findings):
        return Verdict.FAILED, f"{failing[0].user or 'somebody'}: {failing[0].message}"
    if doubt:
        return (Verdict.FAILED if bar.strict else Verdict.INCONCLUSIVE), doubt
    return Verdict.PASSED, ""


def doubt(seen: Watched) -> str:
    """Why nothing was proven although nothing was found; empty when it was."""
    if not seen.connections:
        return "no connection event was seen: nothing that was read speaks of one"
    if seen.unreadable:
        return f"{seen.unreadable} of the lines that look like events could not be read"
    if not seen.ledger.most_open_per_user:
        return "no connection is known with both its user and its socket, so nobody's connections could be counted"
    if not seen.timed:
        return "no event has a time, so overlaps and attempts per second could not be judged"
    return seen.unjudged or overlapping(seen.ledger) or _uncounted(seen.ledger.unattributed)


def _uncounted(connections: int) -> str:
    if not connections:
        return ""
    told = "1 connection is" if connections == 1 else f"{connections} connections are"
    how = "log both with each, or name their keys (--key)"
    return f"{told} not known with both user and socket, and may be a second one of somebody's: {how}"


def overlapping(ledger: Ledger) -> str:
    """That somebody held several connections in the end, for too short a time to be found; empty when nobody did. Ask
    only where nothing was found."""
    user = next(iter(ledger.users_over_one), None)
    if user is None:
        return ""
    held = len(ledger.open_connections(user))
    return f"the end comes while {user} holds {held} connections, too early to tell whether one is being replaced"
