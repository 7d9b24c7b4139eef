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
from wscheck.run.load.findings import found, lagged
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress

HABITS = {
    "duplicated": ("reconnect_delay",),
    "tabs": ("tabs", "reconnect_delay"),
    "storm": ("backoff", "jitter"),
    "soak": ("backoff", "jitter"),
}
"""The options that make each profile what it is; the others do not need any."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `broken`: what went wrong with the run itself; `lost`: what is wrong with the server now."""

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
    report.findings = found(plan, progress.statistics)
    report.thresholds = check_thresholds(report, plan.limits)
    report.notes = _notes(progress, ending)
    decision = _decide(plan, report, progress, ending)
    report.verdict, report.reason = decision.verdict, decision.reason
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
        connections_open=_open_at_the_end(progress),
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
    """Without tokens: a refusal's kind carries what the server said, and servers repeat what they were told."""
    told: dict[str, int] = {}
    for kind, count in kinds.items():
        clean = plan.redactor.redact(kind)
        told[clean] = told.get(clean, 0) + count
    return told


def _open_at_the_end(progress: RunProgress) -> int:
    """In the last second that all users were there: what is open after they left tells nothing."""
    full = max((bucket.users for bucket in progress.seconds), default=0)
    return next((bucket.open for bucket in reversed(progress.seconds) if bucket.users == full), 0)


def _options(plan: LoadPlan, progress: RunProgress) -> dict[str, Any]:
    """How the run was asked to load, without credentials; what was left to the profile as the profile had it."""
    secret = {option.name for option in LOAD_OPTIONS if option.secret}
    asked = {"users": plan.users, "spawn_rate": plan.spawn_rate, "run_time_s": plan.run_time_s}
    had = progress.run.options if progress.run else {}
    habits = {name: had[name] for name in HABITS.get(plan.profile, ()) if name in had}
    shown = {name: value for name, value in plan.options.items() if name not in secret and value is not None}
    return {**asked, "processes": plan.processes, **habits, **shown}


def _series(seconds: list[SecondCounts]) -> list[Second]:
    if not seconds:
        return []
    begins = next((at for at, bucket in enumerate(seconds) if bucket.attempts), 0)
    first = seconds[begins].at
    return [
        Second(
            second=bucket.at - first,
            users=bucket.users,
            open=bucket.open,
            connects=bucket.connects,
            refused=bucket.refused,
            disconnects=bucket.disconnects,
            replaced=bucket.replaced,
            received=bucket.received,
            duplicated=bucket.duplicated,
            heartbeat_lag_ms=round(bucket.heartbeat_lag_ms, 2),
        )
        for bucket in seconds[begins:]
    ]


def _notes(progress: RunProgress, ending: Ending) -> list[str]:
    notes = []
    for lost in progress.lost_workers:
        kept = "what it reported until then is counted" if lost.last_report_at else "it never reported"
        held = f"{lost.users:,} users and {lost.open:,} connections" if lost.users else "its users"
        notes.append(f"worker {lost.index} died on the way with {held}: {kept}, what came after is not")
    if progress.statistics.ack_timeouts:
        asked = progress.statistics.acks + progress.statistics.ack_timeouts
        notes.append(f"{progress.statistics.ack_timeouts:,} of {asked:,} events were not acknowledged in time")
    elif progress.statistics.unanswered and not progress.statistics.acks:
        notes.append(f"none of the {plural(progress.statistics.unanswered, 'event')} that users sent was acknowledged")
    if late := lagged(progress.statistics):
        notes.append(f"{late}: times measured meanwhile say more of this machine than of the server")
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
        return [Gap(reason=f"the server was lost on the way: {ending.lost}")]
    return []


def _why_nothing_connected(report: LoadReport, s: LoadStatistics, ending: Ending) -> str:
    if ending.lost:
        return ending.lost
    if s.refused:
        refused = sum(s.refused.values())
        return f"{refused:,} of {s.attempts:,} attempts were refused ({format_counts(report.refused)})"
    if s.attempts:
        return f"{s.attempts:,} attempts were not answered before the run ended"
    return "no user began"


def _gaps(plan: LoadPlan, report: LoadReport, s: LoadStatistics) -> list[Gap]:
    """Return what is missing from a run in which users connected, the most important gap first."""
    gaps = [INTERRUPTED] if report.interrupted else []
    if report.workers_lost:
        workers = f"{report.workers_lost} of {report.workers} workers"
        gaps.append(Gap(reason=f"{workers} died on the way: what their users did then is not known"))
    if s.users < plan.users:
        reason = f"only {s.users:,} of {plan.users:,} users began before the run ended"
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
