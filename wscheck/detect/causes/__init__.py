"""Probable causes of findings, determined from the history of a user, and the fix of each cause (docs/causes.md)."""

from wscheck.detect import stack_frames
from wscheck.detect.causes.browser_signatures import (
    HANDLER_SIGNATURES,
    OPENING_SIGNATURES,
    no_sticky_session,
    off_without_handler,
    reconnect_after_kick,
)
from wscheck.detect.causes.catalogue import CATALOGUE, CONFIRM_IN_BROWSER, FRAMEWORK_FIXES, CauseDoc
from wscheck.detect.causes.connection_signatures import (
    PAGE_SIGNATURES,
    SERVER_SIGNATURES,
    newcomer_ended,
    transport_closed_first,
    two_openers_one_kept,
)
from wscheck.detect.causes.history import Signature, UserHistories, UserHistory
from wscheck.model.findings import Cause, Confidence

# The most specific first: evidence that only a page has, then openers, then signatures that a server's log shows too.
_CAUSES_IN_PAGE: tuple[tuple[str, Signature], ...] = (
    ("token-refresh", PAGE_SIGNATURES["token-refresh"]),
    *OPENING_SIGNATURES.items(),
    *PAGE_SIGNATURES.items(),
)
_SEVERAL_TABS = ("several-tabs", SERVER_SIGNATURES["several-tabs"])
_NEED_PAGE_DATA = frozenset(signature for _, signature in (*_CAUSES_IN_PAGE, _SEVERAL_TABS))
_LOOPS: tuple[tuple[str, Signature], ...] = (
    ("transport-closed", SERVER_SIGNATURES["transport-closed"]),
    ("reconnect-on-kick", SERVER_SIGNATURES["reconnect-on-kick"]),
)

EXPLAIN_KEPT_ONLY = ("lookup-race", "map-per-process")
"""Causes of several connections that the server left open. They do not explain connections that it replaced."""

_BY_RULE: dict[str, tuple[tuple[str, Signature], ...]] = {
    "multiple-connections": (*_CAUSES_IN_PAGE, *SERVER_SIGNATURES.items()),
    "connection-replaced": (
        *_CAUSES_IN_PAGE,
        *((cause, signature) for cause, signature in SERVER_SIGNATURES.items() if cause not in EXPLAIN_KEPT_ONLY),
    ),
    # Too many attempts are a loop: the delay between the attempts identifies the cause better than the openers do.
    "excessive-attempts": (
        ("no-sticky-session", no_sticky_session),
        ("unstable-dependency", OPENING_SIGNATURES["unstable-dependency"]),
        ("io-in-render", OPENING_SIGNATURES["io-in-render"]),
        ("hot-reload", OPENING_SIGNATURES["hot-reload"]),
        ("reconnect-on-kick", reconnect_after_kick),
        *_LOOPS,
        ("two-openers", PAGE_SIGNATURES["two-openers"]),
    ),
    "connection-missing": (("no-sticky-session", no_sticky_session), ("newcomer-ended", newcomer_ended)),
    "event-missing": (("two-openers", two_openers_one_kept),),
    "event-duplicated": (*HANDLER_SIGNATURES.items(), *_CAUSES_IN_PAGE),
    "handler-leaked": tuple(HANDLER_SIGNATURES.items()),
    "event-unheard": (("off-without-handler", off_without_handler),),
    # A view that leaks beside a connection of the whole page: two openers are no fault, so this cause is the last one.
    "connection-leaked": tuple(sorted(_CAUSES_IN_PAGE, key=lambda each: each[0] == "two-openers")),
    "tab-displaced": (_LOOPS[0], ("transport-closed", transport_closed_first), _SEVERAL_TABS),
}
"""Rule id to the causes that can explain its findings, as (cause id, signature), the most specific first."""


def probable_cause(rule: str, history: UserHistory, confidence: Confidence = Confidence.HIGH) -> Cause | None:
    """Return the first cause whose signature matches `history`, None if no signature matches.

    `confidence` is the confidence of the finding. For several connections, the cause is never more certain than the
    finding.
    """
    has_page_data = history.has_page_data
    for cause, signature in _BY_RULE.get(rule, ()):
        if not has_page_data and signature in _NEED_PAGE_DATA:
            continue
        clue = signature(history)
        if clue is not None:
            cause_confidence, because = clue
            if rule == "multiple-connections" and confidence.rank < cause_confidence.rank:
                cause_confidence = confidence
            return _cause(CATALOGUE[cause], history, cause_confidence, because)
    return None


def causes_for_rule(rule: str) -> list[CauseDoc]:
    """Return every cause that can explain findings of `rule`, the most specific first."""
    return [CATALOGUE[cause] for cause in dict(_BY_RULE.get(rule, ()))]


def _cause(doc: CauseDoc, history: UserHistory, confidence: Confidence, because: str) -> Cause:
    openers_known = any(opening.opener for opening in history.openings)  # a browser run would add nothing
    is_settled = confidence is Confidence.HIGH or (openers_known and doc.settle_by == CONFIRM_IN_BROWSER)
    settle_by = "" if is_settled else doc.settle_by
    return Cause(doc.id, doc.name, _fix(doc, history), confidence, because, settle_by)


def _fix(doc: CauseDoc, history: UserHistory) -> str:
    """Return the fix of the cause, in the terms of the framework that opened the latest connection."""
    stack = next((opening.stack for opening in reversed(history.openings) if opening.stack), ())
    return FRAMEWORK_FIXES.get(stack_frames.framework_name(stack) or "", {}).get(doc.id, doc.fix)


__all__ = [
    "CATALOGUE",
    "FRAMEWORK_FIXES",
    "CauseDoc",
    "UserHistories",
    "UserHistory",
    "causes_for_rule",
    "probable_cause",
]
