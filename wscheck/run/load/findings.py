"""Findings of a load run, computed from its statistics by the documented rules, with cause and fix."""

from wscheck.config.load_profiles import LOAD_PROFILES
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import REGISTRY
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from wscheck.model.findings import Cause, Confidence, Finding
from wscheck.model.load_statistics import LoadStatistics
from wscheck.run.load.plan import LoadPlan

# A generator that is this late causes ping timeouts and slow connects itself.
LAG_LIMIT_MS = 500.0

_PROFILE_CAUSES = {"duplicated": "two-openers", "tabs": "several-tabs", "strict-mode": "effect-without-cleanup"}
"""The cause that each faulty profile reproduces; the other profiles have none."""

_RECONNECTING_PROFILES = ("duplicated", "tabs")
"""The profiles that reconnect when the server ends their connection."""


def load_findings(plan: LoadPlan, statistics: LoadStatistics) -> list[Finding]:
    """Return the findings, the worst first. If the load generator was late, their confidence is lower."""
    findings = [
        *_multiple_connections(plan, statistics),
        *_replaced_connections(plan, statistics),
        *_excessive_attempts(plan, statistics),
        *_duplicated_events(plan, statistics),
    ]
    delay = generator_delay(statistics)
    for finding in findings if delay else ():
        finding.confidence = Confidence.LOW if finding.confidence is Confidence.LOW else Confidence.MEDIUM
        finding.message = f"{finding.message}; {delay}, which may have caused some of it"
    return findings


def generator_delay(statistics: LoadStatistics) -> str:
    """Return how the load generator was late, as a clause; "" if it was not."""
    worst = statistics.lag.percentile(99)
    if statistics.stalled:
        return f"the load generator stalled and let {statistics.stalled:,} connections run into a ping timeout"
    if worst is not None and worst >= LAG_LIMIT_MS:
        return f"the load generator lagged by {worst:,.0f} ms (p99)"
    return ""


def _multiple_connections(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    if not s.users_multiple:
        return []
    each = f"{s.connections_per_user or 0:.2f}"
    message = f"{s.users_multiple:,} of {s.users:,} users held more than one connection at once, {each} on average"
    return [_finding("multiple-connections", message, s.users_multiple, _profile_cause(plan, s))]


def _replaced_connections(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    if not s.replaced:
        return []
    message = f"the server replaced {s.replaced:,} connections of {s.users:,} users, {s.replaced / s.users:.1f} each"
    finding = _finding("connection-replaced", message, s.replaced, _loop_cause(plan, s) or _profile_cause(plan, s))
    finding.first_at, finding.last_at = s.first_replaced_at, s.last_replaced_at
    if finding.first_at is not None and finding.last_at is not None and finding.last_at > finding.first_at:
        finding.rate = (s.replaced - 1) / (finding.last_at - finding.first_at)
    return [finding]


def _excessive_attempts(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    allowed, window = plan.max_attempts
    if not s.users or not s.user_s or s.attempts / s.users <= allowed:
        return []
    pace = s.attempts / s.user_s * window
    if pace <= allowed:
        return []
    message = f"{pace:.1f} connection attempts of a user in {window:g} s on average (allowed: {allowed})"
    return [_finding("excessive-attempts", message, s.attempts, _loop_cause(plan, s))]


def _duplicated_events(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    """Return the finding about events that several connections of one page received. Tabs may each receive an event."""
    if not s.duplicated or plan.profile == "tabs":
        return []
    share = s.duplicated / s.received * 100 if s.received else 100.0
    message = f"{s.duplicated:,} of {s.received:,} events ({share:.0f} %) reached a second connection of their user"
    return [_finding("event-duplicated", message, s.duplicated, _profile_cause(plan, s))]


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


def _profile_cause(plan: LoadPlan, s: LoadStatistics) -> Cause | None:
    """Return the fault of the profile. Without one, ping timeouts point to dead connections that stayed open."""
    if (name := _PROFILE_CAUSES.get(plan.profile)) is not None:
        return _cause(name, Confidence.HIGH, f"the profile `{plan.profile}`: {LOAD_PROFILES[plan.profile]}")
    if silent := s.disconnects.get(PING_TIMEOUT, 0):
        return _cause("zombie", Confidence.MEDIUM, f"{silent:,} connections ended with a ping timeout")
    return None


def _loop_cause(plan: LoadPlan, s: LoadStatistics) -> Cause | None:
    """Return the cause of a loop of replacements: the server closes the transport, or the client reconnects."""
    if not s.replaced or plan.profile not in _RECONNECTING_PROFILES:
        return None
    closed = s.disconnects.get(TRANSPORT_CLOSE, 0) + s.disconnects.get(TRANSPORT_ERROR, 0)
    if closed >= s.replaced > s.disconnects.get(IO_SERVER_DISCONNECT, 0):
        return _cause("transport-closed", Confidence.HIGH, f'{closed:,} connections ended with "{TRANSPORT_CLOSE}"')
    if s.replaced / s.users < 2:
        return None
    lifetime_ms = s.lifetime.percentile(50)
    because = f"{s.replaced / s.users:.1f} replacements per user" + (
        f"; a connection lives {lifetime_ms:,.0f} ms" if lifetime_ms else ""
    )
    return _cause("reconnect-on-kick", Confidence.HIGH, because)


def _cause(name: str, confidence: Confidence, because: str) -> Cause:
    doc = CATALOGUE[name]
    return Cause(doc.id, doc.name, doc.fix, confidence, because)
