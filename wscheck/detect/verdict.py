"""Verdict of a run: the only module that decides whether a run passed, failed or is inconclusive."""

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from wscheck.detect.allowed_findings import split_findings
from wscheck.detect.ledger import Ledger
from wscheck.model.findings import Bar, Finding, Verdict
from wscheck.model.gaps import Gap, NotTried


class Ground(StrEnum):
    """The kind of evidence that decided a verdict."""

    FINDING = "finding"
    LIMIT = "limit"
    GAP = "gap"
    PART = "part"
    NOTHING_WRONG = "nothing wrong"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with its reason ("" if PASSED), the kind of evidence that decided it, and the missing evidence.

    findings  the findings that count
    allowed   the findings that the allow-list or the baseline permits
    """

    verdict: Verdict
    reason: str = ""
    ground: Ground = Ground.NOTHING_WRONG
    gaps: tuple[Gap, ...] = ()
    findings: tuple[Finding, ...] = ()
    allowed: tuple[Finding, ...] = ()


NOTHING_TRIED = Gap(id="no-scenario-run", reason="no scenario could be tried")

Describe = Callable[[Sequence[Finding]], str]


def first_finding(failing: Sequence[Finding]) -> str:
    """Return the user and the message of the first finding."""
    return f"{failing[0].user or 'unknown user'}: {failing[0].message}"


def first_message(failing: Sequence[Finding]) -> str:
    """Return the message of the first finding."""
    return failing[0].message


def verdict(
    findings: Iterable[Finding],
    gaps: Iterable[Gap],
    bar: Bar,
    *,
    limits: Sequence[str] = (),
    describe: Describe = first_finding,
) -> Decision:
    """Return the verdict of one run or one scenario.

    The first condition that applies decides:

    1. A finding that is not allowed has the severity that fails the run: failed.
    2. A measurement is beyond its limit: failed.
    3. There is a blocking gap (missing evidence that could have produced a finding). With a strict bar: failed.
       Otherwise inconclusive, or skipped if the first blocking gap is a check that was not tried. A gap that concerns
       only allowed rules does not block.
    4. None of these: passed.

    Args:
        findings: all findings; those below the severity in `bar` do not fail the run.
        gaps: missing evidence, the most important first. The first blocking gap provides the reason.
        bar: criteria by which the run fails.
        limits: measurements beyond their limit, as sentences.
        describe: function that composes the reason from the findings that fail the run.
    """
    counted, allowed = split_findings(findings, bar.allow)
    decision = Decision(
        verdict=Verdict.PASSED,
        gaps=tuple(_unblocked(gap, bar.allow.whole_rules) for gap in gaps),
        findings=tuple(counted),
        allowed=tuple(allowed),
    )
    if failing := bar.failing(counted):
        return replace(decision, verdict=Verdict.FAILED, reason=describe(failing), ground=Ground.FINDING)
    if limits:
        return replace(decision, verdict=Verdict.FAILED, reason="; ".join(limits), ground=Ground.LIMIT)
    gap = next((gap for gap in decision.gaps if gap.blocks), None)
    if gap is None:
        return decision
    return replace(decision, verdict=_without_evidence(gap, bar), reason=gap.reason, ground=Ground.GAP)


def _unblocked(gap: Gap, allowed_rules: Collection[str]) -> Gap:
    """Return `gap`. If it concerns only allowed rules, return a copy that does not block the verdict."""
    if gap.blocks and gap.rules and set(gap.rules) <= set(allowed_rules):
        return replace(gap, blocks=False)
    return gap


def _without_evidence(gap: Gap, bar: Bar) -> Verdict:
    if bar.strict:
        return Verdict.FAILED
    return Verdict.SKIPPED if isinstance(gap, NotTried) else Verdict.INCONCLUSIVE


def run_verdict(parts: Sequence[tuple[str, Decision]], gaps: Sequence[Gap], bar: Bar) -> Decision:
    """Return the verdict of a run of several scenarios.

    The run fails if a scenario failed, is inconclusive if a scenario was inconclusive, and passes if at least one
    passed. If all scenarios were skipped, a further gap states this.

    Args:
        parts: (scenario id, decision) of each scenario, in the order of the run.
        gaps: missing evidence that concerns the run as a whole.
        bar: criteria by which the run fails.
    """
    missing = [gap for _, part in parts for gap in part.gaps]
    for worst in (Verdict.FAILED, Verdict.INCONCLUSIVE):
        for name, part in parts:
            if part.verdict is worst:
                return Decision(
                    verdict=worst, reason=f"{name}: {part.reason}", ground=Ground.PART, gaps=(*missing, *gaps)
                )
    nothing_passed = [] if any(part.verdict is Verdict.PASSED for _, part in parts) else [NOTHING_TRIED]
    limits_of_scope = [gap for gap in dict.fromkeys(missing) if not gap.blocks]
    return verdict([], [*nothing_passed, *gaps, *limits_of_scope], bar)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence about connections that wscheck observed but did not open.

    connections  number of events about connections
    unreadable   number of lines that look like an event but cannot be read
    ledger       open connections per user at the end
    timed        at least one event has a time
    ordered      without times, the order of the events is that in which they happened
    max_attempts  connection attempts of one user that are permitted in a short time
    anonymous    number of connections for which the source says that nobody is their user ("anonymous")
    empty        the source contained nothing at all, for example a log without a line
    gaps         missing evidence that the source or the rules reported
    """

    connections: int
    unreadable: int
    ledger: Ledger
    timed: bool
    ordered: bool = False
    max_attempts: int = 0
    anonymous: int = 0
    empty: bool = False
    gaps: Sequence[Gap] = ()


_OVERLAPS = ("multiple-connections",)


def evidence_gaps(evidence: Evidence) -> list[Gap]:
    """Return the gaps (missing evidence) of `evidence`, the most important first."""
    gaps = []
    if not evidence.connections:
        detail = "there was nothing to read" if evidence.empty else "nothing that was read is about a connection"
        gaps.append(Gap(id="no-connection-event", reason=f"no connection event was found: {detail}"))
    if evidence.unreadable:
        gaps.append(
            Gap(
                id="lines-unreadable",
                reason=f"{evidence.unreadable} of the lines that look like events could not be read",
            )
        )
    if not evidence.ledger.most_open_per_user:
        gaps.append(
            Gap(
                id="user-or-sid-unknown",
                reason="no connection is known with both its user and its socket id, so connections could not be "
                "counted for any user",
                closes_with="--key",
            )
        )
    if not evidence.timed:
        gaps.append(
            Gap(
                id="no-times",
                reason="no event has a time, so overlaps and attempts per second could not be checked",
                rules=(*_OVERLAPS, "excessive-attempts"),
                blocks=not _suffices_without_times(evidence),
            )
        )
    return [*gaps, *evidence.gaps, *_unattributed(evidence)]


MIN_WITHOUT_TIMES = 10
"""Smallest number of connections whose order alone shows that nothing is wrong."""


def _suffices_without_times(evidence: Evidence) -> bool:
    """Return whether the order of the events shows that no user had two connections or many attempts."""
    counts = [evidence.ledger.counts_for(user) for user in evidence.ledger.users()]
    are_harmless = all(each.max_open <= 1 and each.connects <= evidence.max_attempts for each in counts)
    return evidence.ordered and are_harmless and sum(each.connects for each in counts) >= MIN_WITHOUT_TIMES


def _unattributed(evidence: Evidence) -> list[Gap]:
    connections = evidence.ledger.unattributed - evidence.ledger.unattributed_and_brief
    if connections <= 0:
        return []
    count = "1 connection is" if connections == 1 else f"{connections} connections are"
    closes_with = "log both with each, or name their keys (--key)"
    if evidence.anonymous >= connections:
        known = "anonymous in the log, so nobody is known as the user"
    elif evidence.anonymous:
        known = f"not known with both user and socket id ({evidence.anonymous} are anonymous in the log)"
    else:
        known = "not known with both user and socket id"
    reason = f"{count} {known}, and may be a user's second one: {closes_with}"
    return [Gap(id="connections-unattributed", reason=reason, closes_with=closes_with, rules=_OVERLAPS)]
