"""The report and the verdict of a load run, from its statistics."""

from typing import Any

import msgspec

from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.detect.verdict import Decision, first_message, verdict
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.findings import Verdict
from wscheck.model.gaps import INTERRUPTED, Gap
from wscheck.model.load_report import SCHEMA, EventCounts, LoadReport, Second, ServerSide, check_thresholds
from wscheck.model.load_statistics import LoadStatistics, SecondCounts
from wscheck.report.formatting import plural
from wscheck.report.load_figures import format_counts, format_threshold
from wscheck.run.load.findings import generator_delay, load_findings
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress

PROFILE_OPTIONS = {
    "duplicated": ("reconnect_delay",),
    "tabs": ("tabs", "reconnect_delay"),
    "storm": ("backoff", "jitter"),
    "soak": ("backoff", "jitter"),
}
"""The options that shape each profile; the report lists them with their defaults."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """End of a load run.

    broken  what went wrong with the run itself, "" if nothing did
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
    """Report of a load run, and the decision behind its verdict."""

    report: LoadReport
    decision: Decision


def evaluate_load_run(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadOutcome:
    """Return the report of a run, complete or not."""
    report = _figures(plan, progress, ending)
    report.findings = load_findings(plan, progress.statistics)
    report.thresholds = check_thresholds(report, plan.limits)
    report.notes = _notes(progress, ending)
    decision = _decide(plan, report, progress, ending)
    report.verdict, report.reason, report.gaps = decision.verdict, decision.reason, list(decision.gaps)
    return LoadOutcome(report, decision)


def _figures(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadReport:
    s, ended, totals = progress.statistics, progress.ended, progress.totals
    return LoadReport(
        schema=SCHEMA,
        target=plan.target_name,
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
        events=EventCounts(received=s.received, duplicated=s.duplicated),
        heartbeat_lag_ms=s.lag.percentiles,
        series=_series(progress.seconds),
        server=ending.server,
    )


def _hidden(plan: LoadPlan, kinds: dict[str, int]) -> dict[str, int]:
    """Return the refusals by kind, without tokens: a kind contains the server's message, which may repeat a token."""
    redacted: dict[str, int] = {}
    for kind, count in kinds.items():
        text = plan.redactor.redact(kind)
        redacted[text] = redacted.get(text, 0) + count
    return redacted


def _open_at_end(progress: RunProgress) -> int:
    """Return the open connections in the last second with all users. Later the users leave."""
    most_users = max((second.users for second in progress.seconds), default=0)
    return next((second.open for second in reversed(progress.seconds) if second.users == most_users), 0)


def _options(plan: LoadPlan, progress: RunProgress) -> dict[str, Any]:
    """Return the options of the run without credentials, with the defaults of the profile."""
    secret = {option.name for option in LOAD_OPTIONS if option.secret}
    size = {"users": plan.users, "spawn_rate": plan.spawn_rate, "run_time_s": plan.run_time_s}
    effective = progress.run.options if progress.run else {}
    defaults = {name: effective[name] for name in PROFILE_OPTIONS.get(plan.profile, ()) if name in effective}
    public = {name: value for name, value in plan.options.items() if name not in secret and value is not None}
    return {**size, "processes": plan.processes, **defaults, **public}


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
    """Return the verdict. The findings and limits of a run that has no evidence prove nothing."""
    void = _void(report, progress.statistics, ending)
    if void:
        return verdict([], void, plan.bar)
    crossed = [format_threshold(threshold) for threshold in report.thresholds if threshold.crossed]
    gaps = _gaps(plan, report, progress.statistics)
    return verdict(report.findings, gaps, plan.bar, limits=crossed, describe=first_message)


def _void(report: LoadReport, s: LoadStatistics, ending: Ending) -> list[Gap]:
    """Return why the figures of the run prove nothing: nothing connected, the run broke, or the server was lost."""
    if ending.broken:
        return [Gap(reason=ending.broken)]
    if not s.connects:
        return [Gap(reason=f"nothing connected: {_why_nothing_connected(report, s, ending)}")]
    if ending.lost:
        return [Gap(reason=f"the server was lost during the run: {ending.lost}")]
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
    """Return what is missing from a run in which users connected, the most important gap first."""
    gaps = [INTERRUPTED] if report.interrupted else []
    if report.workers_lost:
        workers = f"{report.workers_lost} of {report.workers} workers"
        gaps.append(Gap(reason=f"{workers} died during the run: what their users did then is not known"))
    if s.users < plan.users:
        reason = f"only {s.users:,} of {plan.users:,} users started before the run ended"
        gaps.append(Gap(reason=reason, closes_with="--run-time"))
    if s.connects < s.users:
        refused = f": {format_counts(report.refused)}" if report.refused else ""
        gaps.append(Gap(reason=f"{s.users - s.connects:,} of {s.users:,} users never connected{refused}"))
    away = s.users - report.connections_open
    if away > 0 and s.disconnected > s.disconnects.get(IO_CLIENT_DISCONNECT, 0):
        gaps.append(_away(plan, away, s.users))
    return gaps


def _away(plan: LoadPlan, away: int, users: int) -> Gap:
    reason = f"{away:,} of {users:,} users had no connection when the run ended"
    if not plan.has_shared_token:
        return Gap(reason=reason)
    closes_with = "write {user} in it, or give each their own (--users-file)"
    return Gap(reason=f"{reason}: they share one token; {closes_with}", closes_with=closes_with)
