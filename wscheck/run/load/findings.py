"""What a run's statistics show to be wrong, as findings of the documented rules, with cause and fix; pure."""

from wscheck.config.load_profiles import LOAD_PROFILES
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import REGISTRY
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from wscheck.model.findings import Cause, Confidence, Finding
from wscheck.model.load_statistics import LoadStatistics
from wscheck.run.load.plan import LoadPlan

# A generator this late makes ping timeouts and slow connects of its own.
LAGGED_MS = 500.0

_OPENERS = {"duplicated": "two-openers", "tabs": "several-tabs", "strict-mode": "effect-without-cleanup"}
"""What each profile does wrong, as the catalogue of causes names it; the others do nothing wrong."""

_LOOPS = ("duplicated", "tabs")
"""The profiles that answer a kick with a new connection."""


def found(plan: LoadPlan, statistics: LoadStatistics) -> list[Finding]:
    """The findings, the worst first. What our own lag may have caused is said with less confidence."""
    findings = [
        *_multiple(plan, statistics),
        *_replaced(plan, statistics),
        *_attempts(plan, statistics),
        *_duplicated(plan, statistics),
    ]
    late = lagged(statistics)
    for finding in findings if late else ():
        finding.confidence = Confidence.LOW if finding.confidence is Confidence.LOW else Confidence.MEDIUM
        finding.message = f"{finding.message}; {late}, so that some of it may be its own doing"
    return findings


def lagged(statistics: LoadStatistics) -> str:
    """How the generator itself stalled, in a clause; empty when it kept up."""
    worst = statistics.lag.percentile(99)
    if statistics.stalled:
        return f"the load generator stalled and let {statistics.stalled:,} connections run into a ping timeout"
    if worst is not None and worst >= LAGGED_MS:
        return f"the load generator lagged by {worst:,.0f} ms (p99)"
    return ""


def _multiple(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    if not s.users_multiple:
        return []
    each = f"{s.connections_per_user or 0:.2f}"
    message = f"{s.users_multiple:,} of {s.users:,} users held more than one connection at once, {each} on average"
    return [_finding("multiple-connections", message, s.users_multiple, _opener(plan, s))]


def _replaced(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    if not s.replaced:
        return []
    message = f"the server replaced {s.replaced:,} connections of {s.users:,} users, {s.replaced / s.users:.1f} each"
    finding = _finding("connection-replaced", message, s.replaced, _loop(plan, s) or _opener(plan, s))
    finding.first_at, finding.last_at = s.first_replaced_at, s.last_replaced_at
    if finding.first_at is not None and finding.last_at is not None and finding.last_at > finding.first_at:
        finding.rate = (s.replaced - 1) / (finding.last_at - finding.first_at)
    return [finding]


def _attempts(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    allowed, window = plan.max_attempts
    if not s.users or not s.user_s or s.attempts / s.users <= allowed:
        return []
    pace = s.attempts / s.user_s * window
    if pace <= allowed:
        return []
    message = f"{pace:.1f} connection attempts of a user in {window:g} s on average (allowed: {allowed})"
    return [_finding("excessive-attempts", message, s.attempts, _loop(plan, s))]


def _duplicated(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    """Two tabs that each receive an event are no duplicate; two connections of one page are."""
    if not s.duplicated or plan.profile == "tabs":
        return []
    share = s.duplicated / s.received * 100 if s.received else 100.0
    message = f"{s.duplicated:,} of {s.received:,} events ({share:.0f} %) reached a second connection of their user"
    return [_finding("event-duplicated", message, s.duplicated, _opener(plan, s))]


def _finding(rule: str, message: str, count: int, cause: Cause | None) -> Finding:
    return Finding(
        rule=rule,
        severity=REGISTRY[rule].severity,
        confidence=Confidence.HIGH,
        user=None,
        message=message,
        count=count,
        cause=cause,
    )


def _opener(plan: LoadPlan, s: LoadStatistics) -> Cause | None:
    """What the profile does wrong; for one that does nothing wrong, the old connection that nobody noticed was dead."""
    if (name := _OPENERS.get(plan.profile)) is not None:
        return _cause(name, Confidence.HIGH, f"the profile `{plan.profile}`: {LOAD_PROFILES[plan.profile]}")
    if silent := s.disconnects.get(PING_TIMEOUT, 0):
        return _cause("zombie", Confidence.MEDIUM, f"{silent:,} connections ended with a ping timeout")
    return None


def _loop(plan: LoadPlan, s: LoadStatistics) -> Cause | None:
    """Replacements that feed themselves: by whom the old connection is closed says whether the client or the server."""
    if not s.replaced or plan.profile not in _LOOPS:
        return None
    cut = s.disconnects.get(TRANSPORT_CLOSE, 0) + s.disconnects.get(TRANSPORT_ERROR, 0)
    if cut >= s.replaced > s.disconnects.get(IO_SERVER_DISCONNECT, 0):
        return _cause("transport-closed", Confidence.HIGH, f'{cut:,} connections ended with "{TRANSPORT_CLOSE}"')
    if s.replaced / s.users < 2:
        return None
    lived = s.lifetime.percentile(50)
    told = f"{s.replaced / s.users:.1f} replacements a user" + (
        f"; a connection lives {lived:,.0f} ms" if lived else ""
    )
    return _cause("reconnect-on-kick", Confidence.HIGH, told)


def _cause(name: str, confidence: Confidence, because: str) -> Cause:
    doc = CATALOGUE[name]
    return Cause(doc.id, doc.name, doc.fix, confidence, because)
