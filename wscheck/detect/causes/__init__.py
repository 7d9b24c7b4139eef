"""WHY: from a finding and what led up to it to the probable cause and the accepted fix (docs/causes.md)."""

from wscheck.detect.causes import framework_fixes as words
from wscheck.detect.causes.browser import HANDLERS, LOOKS, back_after_kick, no_sticky_session, off_without_handler
from wscheck.detect.causes.catalogue import CATALOGUE, CONFIRM_IN_BROWSER, CauseDoc
from wscheck.detect.causes.framework_fixes import FRAMEWORK_FIXES
from wscheck.detect.causes.history import Signature, UserHistories, UserHistory
from wscheck.detect.causes.signatures import PAGE_SIGNATURES, SERVER_SIGNATURES, kept_elsewhere, newcomer_ended
from wscheck.model.findings import Cause, Confidence

# The most telling first: what the page itself shows, then who opened what, then what a server log can show as well.
_OF_A_PAGE: tuple[tuple[str, Signature], ...] = (
    ("token-refresh", PAGE_SIGNATURES["token-refresh"]),
    *LOOKS.items(),
    *PAGE_SIGNATURES.items(),
)
_TABS = ("several-tabs", SERVER_SIGNATURES["several-tabs"])
_INSIDE = frozenset(signature for _, signature in (*_OF_A_PAGE, _TABS))
_LOOPS: tuple[tuple[str, Signature], ...] = (
    ("transport-closed", SERVER_SIGNATURES["transport-closed"]),
    ("reconnect-on-kick", SERVER_SIGNATURES["reconnect-on-kick"]),
)

KEPT = ("lookup-race", "map-per-process")
"""Why a server replaces some and not others: no reason for those that it did replace."""

_BY_RULE: dict[str, tuple[tuple[str, Signature], ...]] = {
    "multiple-connections": (*_OF_A_PAGE, *SERVER_SIGNATURES.items()),
    "connection-replaced": (
        *_OF_A_PAGE,
        *((cause, signature) for cause, signature in SERVER_SIGNATURES.items() if cause not in KEPT),
    ),
    # Whoever attempts too often loops: the delay between attempts says more than who opened the first.
    "excessive-attempts": (
        ("no-sticky-session", no_sticky_session),
        ("unstable-dependency", LOOKS["unstable-dependency"]),
        ("io-in-render", LOOKS["io-in-render"]),
        ("hot-reload", LOOKS["hot-reload"]),
        ("reconnect-on-kick", back_after_kick),
        *_LOOPS,
        ("two-openers", PAGE_SIGNATURES["two-openers"]),
    ),
    "connection-missing": (("no-sticky-session", no_sticky_session), ("newcomer-ended", newcomer_ended)),
    "event-missing": (("two-openers", kept_elsewhere),),
    "event-duplicated": (*HANDLERS.items(), *_OF_A_PAGE),
    "event-unheard": (("off-without-handler", off_without_handler),),
    "connection-leaked": _OF_A_PAGE,
    "tab-displaced": (_LOOPS[0], _TABS),
}
"""Which signatures can explain which rule's findings, the most telling first."""


def probable_cause(rule: str, trail: UserHistory, known: Confidence = Confidence.HIGH) -> Cause | None:
    """The first cause whose signature the trail shows, None when the evidence points nowhere. `known`: how surely there
    were several connections, for why there were is no surer."""
    outside = not trail.inside
    for cause, signature in _BY_RULE.get(rule, ()):
        if outside and signature in _INSIDE:
            continue
        clue = signature(trail)
        if clue is not None:
            confidence, because = clue
            if rule == "multiple-connections" and known.rank < confidence.rank:
                confidence = known
            return _cause(CATALOGUE[cause], trail, confidence, because)
    return None


def causes_of_rule(rule: str) -> list[CauseDoc]:
    """Every cause that can be behind findings of `rule`, the most telling first."""
    return [CATALOGUE[cause] for cause in dict(_BY_RULE.get(rule, ()))]


def _cause(doc: CauseDoc, trail: UserHistory, confidence: Confidence, because: str) -> Cause:
    settled = any(opened.opener for opened in trail.openings)  # a browser named the lines, and can say no more
    settle_by = (
        "" if confidence is Confidence.HIGH or (settled and doc.settle_by == CONFIRM_IN_BROWSER) else doc.settle_by
    )
    return Cause(doc.id, doc.name, words.fix(doc.id, trail, doc.fix), confidence, because, settle_by)


__all__ = [
    "CATALOGUE",
    "FRAMEWORK_FIXES",
    "CauseDoc",
    "UserHistories",
    "UserHistory",
    "causes_of_rule",
    "probable_cause",
]
