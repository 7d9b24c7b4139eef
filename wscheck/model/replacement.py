"""The rule for a replacement: the server ended a connection in favour of a newer one of the same user.

The ledger, the traffic of pages and the load generator decide by the same reasons and the same times.
"""

from wscheck.model.disconnect_reasons import FORCED_CLOSE, SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.findings import Confidence

REPLACED_WITHIN_S = 1.0
"""A connection that ends this soon after the user's next one opened most likely ended because of it (seconds)."""

CROSSING_S = 0.25
"""Two answers that a server sends together may arrive this far apart, in either order (seconds).

They travel on two connections, and long-polling fetches each by itself.
"""


def replacement_confidence(
    reason: str | None, *, logged: bool, ended_at: float | None, newer_opened_at: float | None
) -> Confidence | None:
    """Return how surely a connection that ended for `reason` was replaced by the user's newer open one.

    `logged` means that the end comes from the server's log, which is weaker evidence than a client's own. Times are in
    seconds since the epoch, None where they are unknown. Return None when the connection was not replaced.
    """
    if reason in SERVER_ENDED or reason == FORCED_CLOSE:
        return Confidence.MEDIUM if logged else Confidence.HIGH
    if reason not in TRANSPORT_ENDED or logged or ended_at is None or newer_opened_at is None:
        return None
    return Confidence.MEDIUM if ended_at - newer_opened_at <= REPLACED_WITHIN_S else None


def may_have_replaced(newer_opened_at: float | None, ended_at: float | None) -> bool:
    """Return whether a connection that opened at the one time may be the reason for an end at the other.

    The end may be observed up to `CROSSING_S` before the opening.
    """
    if newer_opened_at is None or ended_at is None:
        return False
    return -CROSSING_S <= ended_at - newer_opened_at <= REPLACED_WITHIN_S
