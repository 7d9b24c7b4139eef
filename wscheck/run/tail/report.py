"""From a watch to its report: what the logs came to, and what they could not show."""

import time
from collections import Counter
from collections.abc import Sequence

from wscheck.detect import verdict as proof
from wscheck.detect.engine import Judge
from wscheck.model.findings import Bar, Finding, Verdict
from wscheck.model.report import LogsReport, LogUserSummary
from wscheck.run.tail.marker_hints import suggested
from wscheck.run.tail.watch import LogWatch

SCHEMA = "wscheck.logs/1"


def conclude(
    watch: LogWatch, bar: Bar, *, users: int | None = None, interrupted: bool = False, partial: bool = False
) -> LogsReport:
    """All that was seen and found; nothing may be read afterwards.

    users        bounds the table of users, the most telling ones first; None for all
    interrupted  somebody ended the run
    partial      logs that were to be read were not read to their end
    """
    findings = watch.judge.finish()
    verdict, reason = _verdict(watch, findings, bar, partial=partial)
    ledger = watch.judge.ledger
    everybody = list(ledger.users())
    shown = everybody if users is None else _most_telling(watch.judge)[:users]
    most_open = ledger.most_open_per_user
    levels = Counter[str]()
    for log in watch.logs:
        levels.update(log.levels)
    return LogsReport(
        schema=SCHEMA,
        target=", ".join(log.name for log in watch.logs),
        verdict=verdict,
        reason=reason,
        started_at=watch.started_at,
        duration_s=round(time.time() - watch.started_at, 3),
        interrupted=interrupted,
        options=watch.options.to_dict(bar),
        findings=findings,
        sources=[log.name for log in watch.logs],
        lines=sum(log.lines for log in watch.logs),
        bytes=watch.bytes,
        events={"connected": 0, "replaced": 0, "disconnected": 0, **watch.counts.by_type},
        unreadable=sum(log.unreadable for log in watch.logs),
        untimed=watch.counts.untimed,
        levels=levels,
        users_seen=len(everybody),
        most_open=most_open,
        users={user: _holdings(watch.judge, user) for user in shown},
        suggested=suggested(watch.logs, watch.counts.by_type, most_open),
    )


def _verdict(watch: LogWatch, findings: Sequence[Finding], bar: Bar, *, partial: bool) -> tuple[Verdict, str]:
    unread = "the run was interrupted before the logs were read to their end" if partial else _damaged(watch)
    return proof.verdict(findings, bar, unread or proof.doubt(_seen(watch)))


def _damaged(watch: LogWatch) -> str:
    return next((f"{path} {why}" for log in watch.logs for path, why in log.read_errors.items()), "")


def _seen(watch: LogWatch) -> proof.Watched:
    kinds = watch.counts.by_type
    return proof.Watched(
        connections=sum(count for kind, count in kinds.items() if kind not in ("unreadable", "restarted")),
        unreadable=sum(log.unreadable for log in watch.logs),
        ledger=watch.judge.ledger,
        timed=watch.counts.untimed < kinds.total(),
        unjudged=watch.judge.inconclusive_reason,
    )


def _holdings(judge: Judge, user: str) -> LogUserSummary:
    tally = judge.ledger.counts_for(user)
    return LogUserSummary(
        connects=tally.connects,
        replacements=tally.replacements,
        disconnects=tally.disconnects,
        open=list(judge.ledger.open_connections(user)),
        max_open=tally.max_open,
    )


def _most_telling(judge: Judge) -> list[str]:
    """Users by how much there is to say of them: the most replacements and connections first."""

    def weight(user: str) -> tuple[int, int]:
        tally = judge.ledger.counts_for(user)
        return -tally.replacements, -tally.connects

    return sorted(judge.ledger.users(), key=weight)
