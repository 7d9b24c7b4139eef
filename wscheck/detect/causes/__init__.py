"""Probable causes of findings, determined from the history of a user, and the fix of each cause (docs/causes.md).

history    latest openings, replacements and ends of a user's connections
signature  evidence in a history by which a cause is recognised; a function that returns this evidence
clue       evidence for the cause of one pair of connections
opener     call site (file, line, component) that opened a connection
"""

from itertools import islice
from typing import NamedTuple

from wscheck.detect import stack_frames
from wscheck.detect.causes.browser_signatures import (
    HANDLER_SIGNATURES,
    RERUN_SIGNATURES,
    no_sticky_session,
    off_without_handler,
    opened_per_action,
    reconnect_after_kick,
    reopened_by_its_own_end,
)
from wscheck.detect.causes.catalogue import CATALOGUE, CONFIRM_IN_BROWSER, FRAMEWORK_FIXES, CauseDoc
from wscheck.detect.causes.client_words import SUBSCRIPTION_FIXES, fix_for_client
from wscheck.detect.causes.connection_signatures import (
    PAGE_SIGNATURES,
    SERVER_SIGNATURES,
    client_id_reused,
    client_id_taken,
    newcomer_ended,
    session_inherited,
    transport_closed_first,
    two_openers_one_kept,
)
from wscheck.detect.causes.history import Explanation, Signature, UserHistories, UserHistory
from wscheck.detect.causes.pair_causes import PAIR_CAUSES, explain_pairs, same_page_pairs
from wscheck.detect.causes.subscription_causes import SUBSCRIPTION_SIGNATURES, left_behind
from wscheck.model.code_facts import Patch
from wscheck.model.events import SOURCE_BROWSER, SOURCE_HAR
from wscheck.model.findings import Cause, Confidence, Finding

_INHERITED = ("session-inherited", session_inherited)
_CLIENT_ID = ("client-id-reused", client_id_reused)
_SEVERAL_TABS = ("several-tabs", SERVER_SIGNATURES["several-tabs"])
_LOOPS: tuple[tuple[str, Signature], ...] = (
    ("transport-closed", SERVER_SIGNATURES["transport-closed"]),
    ("reconnect-on-kick", SERVER_SIGNATURES["reconnect-on-kick"]),
)

EXPLAIN_KEPT_ONLY = ("lookup-race", "map-per-process")
"""Causes of several connections that the server left open. They do not explain connections that it replaced."""


class _PairCauses(NamedTuple):
    """Step of the search for a finding's cause that explains each pair of connections of one page separately.

    causes  ids of the causes that this step may return
    """

    causes: tuple[str, ...]


_ALL_PAIRS = _PairCauses(tuple(PAIR_CAUSES))
_Step = tuple[str, Signature] | _PairCauses
"""Step of a rule's search for a cause: one signature with its cause id, or the pairs of connections."""

_IN_PAGE: tuple[_Step, ...] = (*RERUN_SIGNATURES.items(), _ALL_PAIRS, *PAGE_SIGNATURES.items())

_NEED_PAGE_DATA = frozenset(
    {signature for _, signature in (*RERUN_SIGNATURES.items(), *PAGE_SIGNATURES.items(), _SEVERAL_TABS)}
)

_BY_RULE: dict[str, tuple[_Step, ...]] = {
    "multiple-connections": (_CLIENT_ID, *_IN_PAGE, *SERVER_SIGNATURES.items()),
    "connection-replaced": (
        _INHERITED,
        _CLIENT_ID,
        *_IN_PAGE,
        *((cause, signature) for cause, signature in SERVER_SIGNATURES.items() if cause not in EXPLAIN_KEPT_ONLY),
    ),
    "excessive-attempts": (
        ("no-sticky-session", no_sticky_session),
        _INHERITED,
        _CLIENT_ID,
        *RERUN_SIGNATURES.items(),
        ("opened-on-disconnect", reopened_by_its_own_end),
        _PairCauses(
            ("opened-on-disconnect", "io-in-render", "hot-reload", "script-ran-twice", "reopened-without-closing")
        ),
        ("reconnect-on-kick", reconnect_after_kick),
        ("opened-per-action", opened_per_action),
        _PairCauses(("two-openers",)),
        *_LOOPS,
        ("two-openers", PAGE_SIGNATURES["two-openers"]),
    ),
    "connection-missing": (("no-sticky-session", no_sticky_session), ("newcomer-ended", newcomer_ended)),
    "event-missing": (("two-openers", two_openers_one_kept),),
    "event-duplicated": (*SUBSCRIPTION_SIGNATURES.items(), *HANDLER_SIGNATURES.items(), *_IN_PAGE),
    "handler-leaked": tuple(HANDLER_SIGNATURES.items()),
    "event-unheard": (("off-without-handler", off_without_handler),),
    # A view that leaks beside a connection of the whole page: two openers are no fault, so this cause is the last one.
    "connection-leaked": (
        *RERUN_SIGNATURES.items(),
        _PairCauses(tuple(cause for cause in PAIR_CAUSES if cause != "two-openers")),
        *((cause, signature) for cause, signature in PAGE_SIGNATURES.items() if cause != "two-openers"),
        _PairCauses(("two-openers",)),
        ("two-openers", PAGE_SIGNATURES["two-openers"]),
    ),
    "subscription-duplicated": (*SUBSCRIPTION_SIGNATURES.items(), *_IN_PAGE),
    "subscription-leaked": (("subscription-without-end", left_behind),),
    "client-id-shared": (_INHERITED, ("client-id-reused", client_id_taken)),
    "tab-displaced": (_INHERITED, _LOOPS[0], ("transport-closed", transport_closed_first), _SEVERAL_TABS),
}
"""Rule id to the search for the causes that can explain its findings, the most specific first."""

_BESIDE_PAIRS: dict[str, tuple[tuple[str, Signature], ...]] = {"excessive-attempts": _LOOPS}
"""Rule id to causes of which the first that matches is reported beside those of pairs of connections of one page.

Two openers of a page end each other's connections for ever only if the client connects again each time.
"""


def probable_cause(rule: str, history: UserHistory, confidence: Confidence = Confidence.HIGH) -> Cause | None:
    """Return the most specific cause of a finding of `rule`, None if no signature matches `history`.

    `confidence` is the confidence of the finding.
    """
    return next(iter(probable_causes(rule, history, confidence)), None)


def probable_causes(rule: str, history: UserHistory, confidence: Confidence = Confidence.HIGH) -> list[Cause]:
    """Return the causes whose signatures match `history`, the most specific first, none if no signature matches.

    There are several if different connections have different causes. `confidence` is the confidence of the finding. The
    cause of several connections is never more certain than the finding.
    """
    for step in _BY_RULE.get(rule, ()):
        found = _explain(step, history)
        if found and isinstance(step, _PairCauses):
            beside = (each for other in _BESIDE_PAIRS.get(rule, ()) for each in _explain(other, history))
            found = [*found, *islice(beside, 1)]
        if found:
            limit = confidence if rule in ("multiple-connections", "subscription-leaked") else Confidence.HIGH
            return [_cause(each, history, min(each.confidence, limit, key=lambda one: one.rank)) for each in found]
    return []


def cleanup_patch(finding: Finding, history: UserHistory) -> Patch | None:
    """Return the patch that adds the missing cleanup, if that removes the finding.

    Return None if the finding has another cause. If several openers of the user lack a cleanup, only those in the
    finding's evidence count; return None unless exactly one patch remains.
    """
    if finding.cause is None or finding.cause.id not in _MISSING_CLEANUP:
        return None
    patches = {one.opener: one.code.patch for one in history.openings if one.code is not None and one.code.patch}
    if len(patches) > 1:
        evidence = {getattr(event, "opener", None) for event in finding.evidence}
        patches = {opener: patch for opener, patch in patches.items() if opener in evidence}
    return next(iter(patches.values())) if len(patches) == 1 else None


_MISSING_CLEANUP = frozenset({"unmount-without-cleanup", "effect-without-cleanup"})


def _explain(step: _Step, history: UserHistory) -> list[Explanation]:
    if isinstance(step, _PairCauses):
        return explain_pairs(history, frozenset(step.causes)) if history.has_page_data else []
    cause, signature = step
    if not history.has_page_data and signature in _NEED_PAGE_DATA:
        return []
    if cause in EXPLAIN_KEPT_ONLY and _overlap_in_page(history):
        return []
    clue = signature(history)
    if clue is None:
        return []
    return [clue if isinstance(clue, Explanation) else Explanation(cause, *clue)]


def _overlap_in_page(history: UserHistory) -> bool:
    """Return whether an observed page opened several connections.

    If so, the page must be changed, not the server.
    """
    return any(pair.new.source in (SOURCE_BROWSER, SOURCE_HAR) for pair in same_page_pairs(history))


def causes_for_rule(rule: str) -> list[CauseDoc]:
    """Return every cause that can explain findings of `rule`, the most specific first."""
    steps = _BY_RULE.get(rule, ())
    causes = (cause for step in steps for cause in (step.causes if isinstance(step, _PairCauses) else step[:1]))
    return [CATALOGUE[cause] for cause in dict.fromkeys(causes)]


def _cause(explanation: Explanation, history: UserHistory, confidence: Confidence) -> Cause:
    doc = CATALOGUE[explanation.cause]
    openers_known = any(opening.opener for opening in history.openings)  # a browser run would add nothing
    is_settled = confidence is Confidence.HIGH or (openers_known and doc.settle_by == CONFIRM_IN_BROWSER)
    settle_by = "" if is_settled else doc.settle_by
    fix = explanation.fix or _fix(doc, history)
    if history.openings and doc.id not in SUBSCRIPTION_FIXES:
        fix = fix_for_client(history.openings[-1], doc.id, fix)
    return Cause(doc.id, doc.name, fix, confidence, explanation.because, settle_by)


def _fix(doc: CauseDoc, history: UserHistory) -> str:
    """Return the catalogue's fix of the cause `doc` for the framework of the code that opened the latest connection.

    If the catalogue has none for this framework, return the general fix.
    """
    stack = next((opening.stack for opening in reversed(history.openings) if opening.stack), ())
    return FRAMEWORK_FIXES.get(stack_frames.framework_name(stack) or "", {}).get(doc.id, doc.fix)


__all__ = [
    "CATALOGUE",
    "FRAMEWORK_FIXES",
    "CauseDoc",
    "UserHistories",
    "UserHistory",
    "causes_for_rule",
    "cleanup_patch",
    "probable_cause",
    "probable_causes",
]
