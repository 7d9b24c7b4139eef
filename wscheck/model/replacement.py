"""Definition of a replacement: the server ended a connection in favour of a newer one of the same user.

The ledger, the code that reads a page's traffic, and the load generator recognise replacements by the same reasons and
times.
"""

from wscheck.model.disconnect_reasons import FORCED_CLOSE, SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.findings import Confidence

REPLACED_WITHIN_S = 1.0
"""Longest time from the opening of a connection to the end of the older one that it replaced (seconds)."""

CROSSING_S = 0.25
"""Longest time between the arrivals of two answers that a server sends together, in either order (seconds).

The answers travel on two connections, and long-polling fetches each one separately.
"""


def replacement_confidence(
    reason: str | None, *, logged: bool, ended_at: float | None, newer_opened_at: float | None
) -> Confidence | None:
    """Return the confidence that a newer connection replaced one of the same user that ended for `reason`.

    Return None if the evidence does not show a replacement. `logged` means that only the server's log reports the end,
    which is weaker evidence than a client's report. Times are in seconds since the epoch, None where unknown.
    """
    if reason in SERVER_ENDED or reason == FORCED_CLOSE:
        return Confidence.MEDIUM if logged else Confidence.HIGH
    if reason not in TRANSPORT_ENDED or logged or ended_at is None or newer_opened_at is None:
        return None
    return Confidence.MEDIUM if ended_at - newer_opened_at <= REPLACED_WITHIN_S else None


def may_have_replaced(newer_opened_at: float | None, ended_at: float | None) -> bool:
    """Return whether a connection that opened at `newer_opened_at` may have replaced one that ended at `ended_at`.

    The two are observed on different transports, so the end may be observed up to `CROSSING_S` before the opening.
    """
    if newer_opened_at is None or ended_at is None:
        return False
    return -CROSSING_S <= ended_at - newer_opened_at <= REPLACED_WITHIN_S
