"""WHY: from a finding and what led up to it to the probable cause and the accepted fix (docs/causes.md)."""

from wscheck.causes.catalogue import CATALOGUE, CauseDoc
from wscheck.causes.signatures import PAGE_SIGNATURES, SERVER_SIGNATURES, Signature
from wscheck.causes.trail import Trail, Trails
from wscheck.findings import Cause, Confidence

_BY_RULE: dict[str, dict[str, Signature]] = {
    "multiple-connections": {**PAGE_SIGNATURES, **SERVER_SIGNATURES},
    "connection-replaced": {**PAGE_SIGNATURES, **SERVER_SIGNATURES},
    # Whoever attempts too often loops: the delay between attempts says more than who opened the first.
    "excessive-attempts": {
        "transport-closed": SERVER_SIGNATURES["transport-closed"],
        "reconnect-on-kick": SERVER_SIGNATURES["reconnect-on-kick"],
    },
    "event-duplicated": PAGE_SIGNATURES,
    "connection-leaked": PAGE_SIGNATURES,
    "tab-displaced": {
        "transport-closed": SERVER_SIGNATURES["transport-closed"],
        "several-tabs": SERVER_SIGNATURES["several-tabs"],
    },
}
"""Which signatures can explain which rule's findings, the most telling first."""


def probable(rule: str, trail: Trail) -> Cause | None:
    """The first cause whose signature the trail shows, None when the evidence points nowhere."""
    for cause, signature in _BY_RULE.get(rule, {}).items():
        clue = signature(trail)
        if clue is not None:
            return _cause(CATALOGUE[cause], *clue)
    return None


def _cause(doc: CauseDoc, confidence: Confidence, because: str) -> Cause:
    settle_by = "" if confidence is Confidence.HIGH else doc.settle_by
    return Cause(doc.id, doc.name, doc.fix, confidence, because, settle_by)


__all__ = ["CATALOGUE", "CauseDoc", "Trail", "Trails", "probable"]
