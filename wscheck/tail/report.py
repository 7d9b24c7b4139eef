"""From a watch to its report: what the logs came to, and what they could not show."""

import time
from collections.abc import Sequence

import msgspec

from wscheck.findings import Bar, Finding, Verdict
from wscheck.judge import Judge
from wscheck.report import Holdings, LogsReport
from wscheck.tail.watch import Watch

SCHEMA = "wscheck.logs/1"


def conclude(
    watch: Watch, bar: Bar, *, users: int | None = None, interrupted: bool = False, partial: bool = False
) -> LogsReport:
    """All that was seen and found; nothing may be read afterwards.

    users        bounds the table of users, the most telling ones first; None for all
    interrupted  somebody ended the run
    partial      logs that were to be read were not read to their end
    """
    findings = watch.judge.conclude()
    verdict, reason = _verdict(watch, findings, bar, partial=partial)
    ledger = watch.judge.ledger
    everybody = list(ledger.users())
    shown = everybody if users is None else _most_telling(watch.judge)[:users]
    return LogsReport(
        schema=SCHEMA,
        target=", ".join(log.name for log in watch.logs),
        verdict=verdict,
        reason=reason,
        started_at=watch.began,
        duration_s=round(time.time() - watch.began, 3),
        interrupted=interrupted,
        options={**msgspec.structs.asdict(watch.options), **msgspec.structs.asdict(bar)},
        findings=findings,
        sources=[log.name for log in watch.logs],
        lines=sum(log.lines for log in watch.logs),
        bytes=watch.bytes,
        events={"connected": 0, "replaced": 0, "disconnected": 0, **watch.pulse.events},
        unreadable=sum(log.unreadable for log in watch.logs),
        untimed=watch.pulse.untimed,
        levels=_levels(watch),
        users_seen=len(everybody),
        most_open=max((ledger.tally(user).max_open for user in everybody), default=0),
        users={user: _holdings(watch.judge, user) for user in shown},
    )


def _levels(watch: Watch) -> dict[str, int]:
    total: dict[str, int] = {}
    for log in watch.logs:
        for level, count in log.levels.items():
            total[level] = total.get(level, 0) + count
    return total


def _verdict(watch: Watch, findings: Sequence[Finding], bar: Bar, *, partial: bool) -> tuple[Verdict, str]:
    failing = [finding for finding in findings if finding.severity.rank >= bar.fail_on.rank]
    if failing:
        return Verdict.FAILED, f"{failing[0].user or 'somebody'}: {failing[0].message}"
    unsure = "the run was interrupted before the logs were read to their end" if partial else _unsure(watch)
    if unsure:
        return (Verdict.FAILED if bar.strict else Verdict.INCONCLUSIVE), unsure
    return Verdict.PASSED, ""


def _unsure(watch: Watch) -> str:
    """Why nothing was proven although nothing was found; empty when it was."""
    return _unread(watch) or _untold(watch)


def _unread(watch: Watch) -> str:
    """What could not be read, or was not there to be read."""
    if (damaged := next((path for log in watch.logs for path in log.damaged), None)) is not None:
        return f"{damaged} is no whole gzip file and could not be read to its end"
    if not any(count for kind, count in watch.pulse.events.items() if kind not in ("unreadable", "restarted")):
        return "no connection event was seen: nothing in the logs speaks of one"
    if unreadable := sum(log.unreadable for log in watch.logs):
        return f"{unreadable} of the lines that look like events could not be read"
    return ""


def _untold(watch: Watch) -> str:
    """What the logs do not say."""
    if not watch.pulse.named:
        return "the logs count connections and say neither whose they are nor which"
    if watch.pulse.untimed == watch.pulse.events.total():
        return "no line has a time, so overlaps and attempts per second could not be judged"
    if (user := next(iter(watch.pulse.over_one), None)) is not None:
        held = len(watch.judge.ledger.held(user))
        return f"the logs end while {user} holds {held} connections, too early to tell whether one is being replaced"
    return ""


def _holdings(judge: Judge, user: str) -> Holdings:
    tally = judge.ledger.tally(user)
    return Holdings(
        connects=tally.connects,
        replacements=tally.replacements,
        disconnects=tally.disconnects,
        open=list(judge.ledger.held(user)),
        max_open=tally.max_open,
    )


def _most_telling(judge: Judge) -> list[str]:
    """Users by how much there is to say of them: the most replacements and connections first."""

    def weight(user: str) -> tuple[int, int]:
        tally = judge.ledger.tally(user)
        return -tally.replacements, -tally.connects

    return sorted(judge.ledger.users(), key=weight)
