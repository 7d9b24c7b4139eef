"""From what a run's progress told to its report and verdict; pure: time comes in."""

from typing import Any

import msgspec

from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.findings import Verdict
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


def report(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadReport:
    """The report of a run, whole or not."""
    told = _told(plan, progress, ending)
    told.findings = found(plan, progress.statistics)
    told.thresholds = check_thresholds(told, plan.limits)
    told.notes = _notes(progress, ending)
    told.verdict, told.reason = _verdict(plan, told, progress, ending)
    return told


def _told(plan: LoadPlan, progress: RunProgress, ending: Ending) -> LoadReport:
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


def _verdict(plan: LoadPlan, told: LoadReport, progress: RunProgress, ending: Ending) -> tuple[Verdict, str]:
    """A run in which nothing connected shows nothing, however clean its statistics."""
    s = progress.statistics
    if not s.connects:
        return Verdict.INCONCLUSIVE, ending.broken or _nothing(told, s, ending)
    if ending.lost or ending.broken:
        return Verdict.INCONCLUSIVE, ending.broken or f"the server was lost on the way: {ending.lost}"
    if crossed := [limit for limit in told.thresholds if limit.crossed]:
        return Verdict.FAILED, "; ".join(map(format_threshold, crossed))
    if failing := plan.bar.failing(told.findings):
        return Verdict.FAILED, failing[0].message
    doubt = _doubt(plan, told, s)
    return (Verdict.INCONCLUSIVE, doubt) if doubt else (Verdict.PASSED, "")


def _nothing(told: LoadReport, s: LoadStatistics, ending: Ending) -> str:
    if ending.lost:
        return f"nothing connected: {ending.lost}"
    if s.refused:
        refused = sum(s.refused.values())
        return f"nothing connected: {refused:,} of {s.attempts:,} attempts were refused ({format_counts(told.refused)})"
    if s.attempts:
        return f"nothing connected: {s.attempts:,} attempts were not answered before the run ended"
    return "nothing connected: no user began"


def _doubt(plan: LoadPlan, told: LoadReport, s: LoadStatistics) -> str:
    """Why a run without findings is no pass either; empty when it is one."""
    if told.interrupted:
        return "the run was interrupted"
    if told.workers_lost:
        return f"{told.workers_lost} of {told.workers} workers died on the way: what their users did then is not known"
    if s.users < plan.users:
        return f"only {s.users:,} of {plan.users:,} users began before the run ended"
    if s.connects < s.users:
        refused = f": {format_counts(told.refused)}" if told.refused else ""
        return f"{s.users - s.connects:,} of {s.users:,} users never connected{refused}"
    away = s.users - told.connections_open
    if away > 0 and s.disconnected > s.disconnects.get(IO_CLIENT_DISCONNECT, 0):
        why = ": they share one token; write {user} in it, or give each their own (--users-file)"
        told_why = why if plan.has_shared_token else ""
        return f"{away:,} of {s.users:,} users had no connection when the run ended{told_why}"
    return ""
