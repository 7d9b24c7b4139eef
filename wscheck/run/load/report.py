"""Report of a load run, computed from its statistics: figures, findings with cause and fix, and the verdict."""

from typing import Any

import msgspec

from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES
from wscheck.detect.allowed_findings import allow_notes, split_findings
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import REGISTRY
from wscheck.detect.verdict import Decision, first_message, verdict
from wscheck.model.disconnect_reasons import (
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
)
from wscheck.model.findings import Cause, Confidence, Finding, Severity, Verdict
from wscheck.model.gaps import INTERRUPTED, Gap
from wscheck.model.load_report import SCHEMA, EventCounts, LoadReport, Second, ServerSide, check_thresholds
from wscheck.model.load_statistics import LoadStatistics, SecondCounts
from wscheck.model.policy import UNDECIDED
from wscheck.model.report import Scope
from wscheck.report.formatting import plural
from wscheck.report.load_figures import format_counts, format_threshold
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress

PROFILE_OPTIONS = {
    "duplicated": ("reconnect_delay",),
    "tabs": ("tabs", "reconnect_delay"),
    "storm": ("backoff", "jitter"),
    "soak": ("backoff", "jitter"),
}
"""Dict of profile to the options that only this profile uses. The report lists these options with their defaults."""

# A load generator with this delay causes ping timeouts and slow connects by itself.
LAG_LIMIT_MS = 500.0

_PROFILE_CAUSES = {"duplicated": "two-openers", "tabs": "several-tabs", "strict-mode": "effect-without-cleanup"}
"""Dict of profile to the id of the cause that it simulates. All other profiles are without a fault."""

_RECONNECTING_PROFILES = ("duplicated", "tabs")
"""Profiles whose pages reconnect when the server ends their connection."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """End of a load run.

    broken  why the run ended early, "" if it did not
    lost    why the server does not answer after the run, "" if it does
    server  what the embedded backend counted
    """

    started_at: float
    duration_s: float
    interrupted: bool = False
    broken: str = ""
    lost: str = ""
    server: ServerSide | None = None


class LoadOutcome(msgspec.Struct, frozen=True):
    """Report of a load run, and the reasons for its verdict."""

    report: LoadReport
    decision: Decision


def evaluate_load_run(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadOutcome:
    """Return the report of a run and the reasons for its verdict. The run may have ended early."""
    report = _figures(plan, progress, ending)
    report.findings = load_findings(plan, progress.statistics)
    report.thresholds = check_thresholds(report, plan.limits)
    report.notes = _notes(progress, ending)
    decision = _decide(plan, report, progress, ending)
    report.verdict, report.reason, report.gaps = decision.verdict, decision.reason, list(decision.gaps)
    report.allow_notes = allow_notes(report.findings, plan.bar.allow)
    report.findings, report.allowed = split_findings(report.findings, plan.bar.allow)
    return LoadOutcome(report, decision)


def _figures(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadReport:
    s, ended, totals = progress.statistics, progress.ended, progress.totals
    return LoadReport(
        schema=SCHEMA,
        target=plan.target_name,
        scope=_scope(plan),
        verdict=Verdict.INCONCLUSIVE,
        started_at=ending.started_at,
        duration_s=round(ended.duration_s if ended else ending.duration_s, 3),
        interrupted=ending.interrupted,
        options=_options(plan, progress),
        profile=plan.profile,
        users=s.users,
        workers=max((progress.run.workers if progress.run else 0), 1),
        workers_lost=len(progress.lost_workers),
        connects=s.connects,
        refused=_hidden(plan, s.refused),
        disconnects=s.disconnects,
        replaced=s.replaced,
        connections_open=_open_at_end(progress),
        connections_peak=ended.connections_peak if ended else totals.peak if totals else 0,
        connections_per_user=round(s.connections_per_user or 0.0, 4),
        churn_per_user_s=round(s.churn_per_user_s or 0.0, 4),
        lifetime_ms=s.lifetime.percentiles,
        connect_ms=s.connect.percentiles,
        ack_ms=s.ack.percentiles,
        ack_timeouts=s.ack_timeouts,
        events=EventCounts(received=s.received, duplicated=s.duplicated, greetings=s.greetings),
        heartbeat_lag_ms=s.lag.percentiles,
        series=_series(progress.seconds),
        server=ending.server,
    )


def _scope(plan: LoadPlan) -> Scope:
    server = f"the {plan.target_name}" if plan.embedded else "the server"
    return Scope(
        checked=f"{server}, with simulated users",
        not_checked="your server and your frontend"
        if plan.embedded
        else "tabs, reconnects and logins of one user, and your frontend",
        closes_with="wscheck verify URL",
    )


def _hidden(plan: LoadPlan, kinds: dict[str, int]) -> dict[str, int]:
    """Return the number of refusals per kind, without tokens.

    The kind of a refusal contains the message of the server, which may contain a token.
    """
    redacted: dict[str, int] = {}
    for kind, count in kinds.items():
        text = plan.redactor.redact(kind)
        redacted[text] = redacted.get(text, 0) + count
    return redacted


def _open_at_end(progress: RunProgress) -> int:
    """Return the number of open connections in the last second with all users, before users start to leave."""
    most_users = max((second.users for second in progress.seconds), default=0)
    return next((second.open for second in reversed(progress.seconds) if second.users == most_users), 0)


def _options(plan: LoadPlan, progress: RunProgress) -> dict[str, Any]:
    """Return the options of the run without credentials, with the defaults of the profile."""
    secret = {option.name for option in LOAD_OPTIONS if option.secret}
    size = {
        "users": plan.users,
        "connections": plan.policy.connections,
        "spawn_rate": plan.spawn_rate,
        "run_time_s": plan.run_time_s,
    }
    effective = progress.run.options if progress.run else {}
    defaults = {name: effective[name] for name in PROFILE_OPTIONS.get(plan.profile, ()) if name in effective}
    public = {name: value for name, value in plan.options.items() if name not in secret and value is not None}
    policy = {"connections": plan.policy.connections} if plan.policy.is_set else {}
    return {**size, "processes": plan.processes, **policy, **defaults, **public}


def _series(seconds: list[SecondCounts]) -> list[Second]:
    if not seconds:
        return []
    start = next((index for index, counts in enumerate(seconds) if counts.attempts), 0)
    first = seconds[start].at
    return [
        Second(
            second=counts.at - first,
            users=counts.users,
            open=counts.open,
            connects=counts.connects,
            refused=counts.refused,
            disconnects=counts.disconnects,
            replaced=counts.replaced,
            received=counts.received,
            duplicated=counts.duplicated,
            heartbeat_lag_ms=round(counts.heartbeat_lag_ms, 2),
        )
        for counts in seconds[start:]
    ]


def _notes(progress: RunProgress, ending: Ending) -> list[str]:
    notes = []
    for lost in progress.lost_workers:
        counted = "its reports until then are counted" if lost.last_report_at else "it never reported"
        load = f"{lost.users:,} users and {lost.open:,} connections" if lost.users else "its users"
        notes.append(f"worker {lost.index} died during the run with {load}: {counted}, later events are not")
    if progress.statistics.ack_timeouts:
        sent = progress.statistics.acks + progress.statistics.ack_timeouts
        notes.append(f"{progress.statistics.ack_timeouts:,} of {sent:,} events were not acknowledged in time")
    elif progress.statistics.unanswered and not progress.statistics.acks:
        notes.append(f"none of the {plural(progress.statistics.unanswered, 'event')} that users sent was acknowledged")
    if delay := generator_delay(progress.statistics):
        notes.append(f"{delay}: the times that were measured then depend on this machine more than on the server")
    if ending.interrupted:
        notes.append("the run was interrupted: the figures are partial")
    return notes


def _decide(plan: LoadPlan, report: LoadReport, progress: RunProgress, ending: Ending) -> Decision:
    """Return the verdict of a load run.

    If the figures prove nothing (see `_void`), findings and exceeded thresholds are ignored.
    """
    void = _void(report, progress.statistics, ending)
    if void:
        return verdict([], void, plan.bar)
    crossed = [format_threshold(threshold) for threshold in report.thresholds if threshold.crossed]
    gaps = _gaps(plan, report, progress.statistics)
    return verdict(report.findings, gaps, plan.bar, limits=crossed, describe=first_message)


def _void(report: LoadReport, s: LoadStatistics, ending: Ending) -> list[Gap]:
    """Return a list of one gap (missing evidence) if the figures prove nothing, or an empty list otherwise.

    They prove nothing if no user connected, the run ended early, or the server does not answer any more.
    """
    if ending.broken:
        return [Gap(id="load-generator-failed", reason=ending.broken)]
    if not s.connects:
        return [Gap(id="no-connection", reason=f"nothing connected: {_why_nothing_connected(report, s, ending)}")]
    if ending.lost:
        return [Gap(id="server-lost", reason=f"the server was lost during the run: {ending.lost}")]
    return []


def _why_nothing_connected(report: LoadReport, s: LoadStatistics, ending: Ending) -> str:
    if ending.lost:
        return ending.lost
    if s.refused:
        refused = sum(s.refused.values())
        return f"{refused:,} of {s.attempts:,} attempts were refused ({format_counts(report.refused)})"
    if s.attempts:
        return f"{s.attempts:,} attempts were not answered before the run ended"
    return "no user started"


def _gaps(plan: LoadPlan, report: LoadReport, s: LoadStatistics) -> list[Gap]:
    """Return the gaps (missing evidence) of a run in which users connected, the most important first."""
    gaps = [INTERRUPTED] if report.interrupted else []
    if report.workers_lost:
        workers = f"{report.workers_lost} of {report.workers} workers"
        gaps.append(
            Gap(id="workers-lost", reason=f"{workers} died during the run: what their users did then is not known")
        )
    if s.users < plan.users:
        reason = f"only {s.users:,} of {plan.users:,} users started before the run ended"
        gaps.append(Gap(id="users-not-started", reason=reason, closes_with="--run-time"))
    if s.connects < s.users:
        refused = f": {format_counts(report.refused)}" if report.refused else ""
        gaps.append(
            Gap(
                id="users-without-connection",
                reason=f"{s.users - s.connects:,} of {s.users:,} users never connected{refused}",
            )
        )
    if plan.expects_answers and (silent := _unanswered_events(plan, s)):
        reason = f"the server answered none of the {plural(silent, 'event')} that users sent before the run ended"
        closes_with = "--emit-event and --emit-payload of an event that it answers, or --emit-every 0"
        gaps.append(Gap(id="event-unanswered", reason=reason, closes_with=closes_with))
    away = s.users - report.connections_open
    if away > 0 and s.disconnected > s.disconnects.get(IO_CLIENT_DISCONNECT, 0):
        gaps.append(_away(plan, away, s.users))
    if report.findings and not plan.policy.is_set:
        gaps.append(UNDECIDED)
    return gaps


def _unanswered_events(plan: LoadPlan, s: LoadStatistics) -> int:
    """Return the number of events that users sent if the server answered none of them, 0 if it answered any.

    An answer is an acknowledgement, or any event from the server except greetings (events for each new connection).
    Events that are sent as steps after connecting are not counted: a connection opens only when they are answered.
    """
    steps = sum(step.emit is not None for step in plan.target.connect.steps)
    is_silent = not s.acks and s.received <= s.greetings
    return max(0, s.sent - steps * s.attempts) if is_silent else 0


def _away(plan: LoadPlan, away: int, users: int) -> Gap:
    reason = f"{away:,} of {users:,} users had no connection when the run ended"
    if not plan.has_shared_token:
        return Gap(id="users-without-connection", reason=reason)
    closes_with = "write {user} in the token, or give each user a token (--users-file)"
    return Gap(
        id="users-without-connection", reason=f"{reason}: they share one token; {closes_with}", closes_with=closes_with
    )


def load_findings(plan: LoadPlan, statistics: LoadStatistics) -> list[Finding]:
    """Return the findings, the worst first. If the load generator was late, their confidence is lower.

    Without a policy (--connections) they are notes: the profile, not the server, determines how many connections a user
    opens.
    """
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
    for finding in findings if not plan.policy.is_set else ():
        finding.severity = Severity.NOTE
    return findings


def generator_delay(statistics: LoadStatistics) -> str:
    """Return a clause about the delay of the load generator, "" if it was on time."""
    worst = statistics.lag.percentile(99)
    if statistics.stalled:
        return f"the load generator stalled and let {statistics.stalled:,} connections run into a ping timeout"
    if worst is not None and worst >= LAG_LIMIT_MS:
        return f"the load generator lagged by {worst:,.0f} ms (p99)"
    return ""


def _multiple_connections(plan: LoadPlan, s: LoadStatistics) -> list[Finding]:
    limit = plan.policy.limit or (plan.pages_per_user if plan.policy.is_per_page else 1)
    above = s.users_above(limit)
    if not above:
        return []
    each = f"{s.connections_per_user or 0:.2f}"
    most = "one connection" if limit == 1 else f"{limit} connections"
    message = f"{above:,} of {s.users:,} users had more than {most} at once, {each} on average"
    return [_finding("multiple-connections", message, above, _profile_cause(plan, s))]


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
    """Return the finding about events that several connections of one page received.

    Several tabs of a user may each receive an event, which is no fault.
    """
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
    """Return the cause of the run's findings, None if it is unknown.

    The cause is the fault that the profile simulates. With a profile without a fault, ping timeouts point to dead
    connections that the server kept open.
    """
    if (name := _PROFILE_CAUSES.get(plan.profile)) is not None:
        return _cause(name, Confidence.HIGH, f"the profile `{plan.profile}`: {LOAD_PROFILES[plan.profile]}")
    if silent := s.disconnects.get(PING_TIMEOUT, 0):
        return _cause("zombie", Confidence.MEDIUM, f"{silent:,} connections ended with a ping timeout")
    return None


def _loop_cause(plan: LoadPlan, s: LoadStatistics) -> Cause | None:
    """Return the cause of a loop of replacements, None if there is no loop.

    The cause is either that the server closes the transport, or that the client reconnects after each replacement.
    """
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
