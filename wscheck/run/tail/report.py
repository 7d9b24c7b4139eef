"""The report of a run over logs, with proposed options for lines that no known marker reads."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from wscheck.detect.allowed_findings import allow_notes
from wscheck.detect.engine import Judge
from wscheck.detect.verdict import Evidence, evidence_gaps, verdict
from wscheck.model.findings import Bar
from wscheck.model.gaps import Gap
from wscheck.model.report import AccessClient, LogsReport, LogUserSummary, Scope
from wscheck.observe.logs.access_log import LONG_S
from wscheck.observe.logs.event_builder import ANONYMOUS
from wscheck.observe.logs.extractor import read_events
from wscheck.observe.logs.proposals import excerpt, guessable, proposals, sentences
from wscheck.observe.logs.sources import FollowedLog
from wscheck.observe.logs.wording.scout import WordingScout
from wscheck.report.formatting import plural
from wscheck.run.tail.watch import LogWatch

SCHEMA = "wscheck.logs/1"

SCOPE = Scope(
    checked="the connections that the logs report",
    not_checked="the code that opens them",
    closes_with="wscheck browser URL",
)


def build_logs_report(
    watch: LogWatch, bar: Bar, *, users: int | None = None, interrupted: bool = False, partial: bool = False
) -> LogsReport:
    """Return the report of everything that was read. No log may be read afterwards.

    Args:
        watch: the logs, their events and their findings.
        bar: the lowest severity that fails the run.
        users: the most users to list, those with the most replacements and connections first; None for all.
        interrupted: the run was stopped.
        partial: the logs were not read to their end, although they should have been.
    """
    scouts = watch.scouts
    doubts = _doubts(watch, scouts)
    findings = [each for each in watch.judge.finish() if not any(each.rule in gap.rules for gap in doubts)]
    requests = _requests(watch)
    decision = verdict(
        findings,
        [
            *_unread(watch, partial=partial),
            *doubts,
            *_access_gaps(watch, requests),
            *_span_gaps(watch),
            *_format_gaps(watch),
            *evidence_gaps(_evidence(watch)),
        ],
        bar,
    )
    ledger = watch.judge.ledger
    everyone = list(ledger.users())
    listed = everyone if users is None else _busiest_first(watch.judge)[:users]
    most_open = ledger.most_open_per_user
    levels = Counter[str]()
    for log in watch.logs:
        levels.update(log.levels)
    return LogsReport(
        schema=SCHEMA,
        target=", ".join(log.name for log in watch.logs),
        verdict=decision.verdict,
        reason=decision.reason,
        scope=SCOPE,
        gaps=list(decision.gaps),
        started_at=watch.started_at,
        duration_s=round(time.time() - watch.started_at, 3),
        interrupted=interrupted,
        options=watch.options.to_dict(bar),
        findings=list(decision.findings),
        allowed=list(decision.allowed),
        allow_notes=allow_notes(findings, bar.allow),
        sources=[log.name for log in watch.logs],
        lines=watch.lines,
        bytes=watch.bytes,
        events={"connected": 0, "replaced": 0, "disconnected": 0, **watch.counts.by_type},
        unreadable=watch.unreadable,
        untimed=watch.counts.untimed,
        levels=levels,
        users_seen=len(everyone),
        connections=ledger.connection_count,
        most_open=most_open,
        users={user: _holdings(watch.judge, user) for user in listed},
        suggested=proposals(scouts, read_events),
        assumed=sentences((scout.redactor, scout.wording.all_readings()) for scout in scouts),
        guessable=guessable(scouts),
        access=sorted(requests.clients, key=lambda client: -client.handshakes)[:users],
        polling_share=round(requests.polling_share, 3),
    )


_OVERLAPS = ("multiple-connections", "connection-leaked")
MIN_RETURNING, MOST_RETURNING, MOST_OPEN = 5, 0.6, 0.4
"""Users who connected again, the share of them with several open connections, and the share of the earlier connections
without an end, from which on it is likelier that ends were not read than that everybody's page leaks."""


def _doubts(watch: LogWatch, scouts: Sequence[WordingScout]) -> list[Gap]:
    """Return a gap (missing evidence) for each sign that the log does not report the ends of all connections.

    With such a gap, several open connections of a user prove nothing, because some of them may have ended.
    """
    loser = next((scout for scout in scouts if scout.loss), None)
    gaps = []
    if loser is not None:
        quoted = excerpt(loser.loss, loser.redactor)
        reason = f"the log says that records of it are missing, so ends of connections may be, too: {quoted}"
        gaps.append(Gap(id="records-missing", reason=reason, closes_with="a log with all records", rules=_OVERLAPS))
    ledger = watch.judge.ledger
    returning = [
        (counts.connects, len(ledger.open_connections(user)))
        for user, counts in ledger.stored_counts.items()
        if counts.connects > 1
    ]
    several = [count for _, count in returning if count > 1]
    earlier = sum(connects - 1 for connects, _ in returning)
    shows_life = any(reading.shows_life for scout in scouts for reading in scout.wording.all_readings())
    is_learned = any(scout.wording for scout in scouts) and not shows_life
    if (
        is_learned
        and len(returning) >= MIN_RETURNING
        and len(several) >= MOST_RETURNING * len(returning)
        and sum(count - 1 for count in several) >= MOST_OPEN * earlier
    ):
        reason = (
            f"{len(several)} of {len(returning)} users who connected again have several open connections at the end: "
            "the log probably reports ends in words that were not read. Name them (--marker disconnected=TEXT)"
        )
        gaps.append(Gap(id="ends-unread", reason=reason, closes_with="--marker disconnected=TEXT", rules=_OVERLAPS))
    return gaps


class Requests(NamedTuple):
    """Clients in all access logs of a run.

    polling_share  share (0 to 1) of the clients' sessions that used only long-polling, without a WebSocket
    """

    clients: list[AccessClient]
    polling_share: float


def _requests(watch: LogWatch) -> Requests:
    """Return the clients in the access logs. Return none if any log line reports a connection itself."""
    logs = [log for each in watch.logs for log in each.access_logs]
    if any(watch.counts.by_type.get(kind) for kind in ("connected", "replaced", "disconnected")):
        return Requests([], 0.0)
    clients = [client for log in logs for client in log.clients.values()]
    return Requests(clients, max((log.polling_share for log in logs), default=0.0))


def _format_gaps(watch: LogWatch) -> list[Gap]:
    """Return a gap for logs that are one JSON document over several lines, from which nothing could be read."""
    if any(watch.counts.by_type.get(kind) for kind in ("connected", "replaced", "disconnected")):
        return []
    return [
        Gap(
            id="json-over-several-lines",
            reason=f"{log.name} is JSON over several lines: print each record on a line with `jq -c`"
            " (see the recipes in `wscheck docs logs`)",
            closes_with="jq -c",
        )
        for log in watch.logs
        if log.is_printed_json
    ]


def _access_gaps(watch: LogWatch, requests: Requests) -> list[Gap]:
    """Return a gap for access logs that do not show which connections each user had open."""
    if any(watch.counts.by_type.get(kind) for kind in ("connected", "replaced", "disconnected")):
        return []
    logs = [log for each in watch.logs for log in each.access_logs]
    if not logs:
        return []
    if not requests.clients:
        reason = (
            "this is an access log, and none of its requests is one of Socket.IO, a WebSocket (status 101) or, by its "
            "content type, an event stream"
        )
        return [Gap(id="access-log-only", reason=reason, closes_with="the log of the application")]
    clients = requests.clients
    handshakes = sum(client.handshakes for client in clients)
    if any(client.most_open for client in clients):
        missing = "it does not show whose the connections of an address are, nor which are still open"
    else:
        missing = "it shows HTTP requests per client, not which connections are open at the same time"
    told = f"{plural(handshakes, 'handshake')} of {plural(len(clients), 'client')}"
    only = Gap(
        id="access-log-only",
        reason=f"this is an access log with {told}: {missing}",
        closes_with="the log of the application, with a line for each connect and disconnect",
    )
    paths = sorted({path for log in logs for path in log.long_paths})
    long = sum(client.long_requests for client in clients)
    if not long:
        return [only]
    reason = (
        f"{plural(long, 'request')} of {', '.join(paths[:3])} lasted {LONG_S:g} s or longer and may be event streams, "
        "long polls or downloads: the access log has no content type"
    )
    closes = "the content type of the response in the log format (nginx: $sent_http_content_type)"
    unknown = Gap(id="access-log-fields", reason=reason, closes_with=closes)
    return [only, unknown] if handshakes else [unknown]


def _span_gaps(watch: LogWatch) -> list[Gap]:
    """Return a gap for each kind of evidence that access logs lack: open connections, users, ends of long-polling."""
    logs = [log for each in watch.logs for log in each.access_logs if log.connections]
    if not logs:
        return []
    gaps = [
        Gap(id="access-log-only", reason="connections that were open at the end are not in an access log", blocks=False)
    ]
    if unattributed := sum(log.unattributed for log in logs):
        reason = f"{unattributed} WebSockets or event streams in the access log have no user or no duration"
        gaps.append(
            Gap(id="access-log-fields", reason=reason, closes_with="the user and the duration in the log format")
        )
    if any(log.has_polling_sessions for log in logs):
        reason = "the access log contains sessions with polling alone, whose ends no request shows"
        gaps.append(Gap(id="access-log-only", reason=reason, closes_with="the log of the application"))
    return gaps


def _unread(watch: LogWatch, *, partial: bool) -> list[Gap]:
    gaps = (
        [Gap(id="run-interrupted", reason="the run was interrupted before the logs were read to their end")]
        if partial
        else []
    )
    gaps += [
        Gap(id="log-unread", reason=f"{path} {why}") for log in watch.logs for path, why in log.read_errors.items()
    ]
    gaps += [_loss(*loss) for log in watch.logs if isinstance(log, FollowedLog) for loss in log.losses]
    return [*gaps, *watch.gaps]


def _loss(reason: str, missing: int | None) -> Gap:
    """Return the gap (missing evidence) for `missing` bytes of a log that were lost before they were read.

    If `missing` is None, perhaps nothing was lost. The gap then does not prevent a verdict.
    """
    if missing is None:
        return Gap(id="bytes-lost", reason=f"{reason}: what was written after the last read is lost", blocks=False)
    return Gap(id="bytes-lost", reason=f"{reason}: {missing} bytes are lost")


def _evidence(watch: LogWatch) -> Evidence:
    kinds = watch.counts.by_type
    return Evidence(
        connections=sum(count for kind, count in kinds.items() if kind not in ("unreadable", "restarted", "expired")),
        unreadable=watch.unreadable,
        ledger=watch.judge.ledger,
        timed=watch.counts.are_timed,
        ordered=len(watch.logs) == 1,
        max_attempts=watch.judge.max_attempts,
        anonymous=sum(log.levels[ANONYMOUS] for log in watch.logs),
        empty=not watch.bytes,
        gaps=watch.judge.gaps,
    )


def _holdings(judge: Judge, user: str) -> LogUserSummary:
    counts = judge.ledger.counts_for(user)
    return LogUserSummary(
        connects=counts.connects,
        replacements=counts.replacements,
        disconnects=counts.disconnects,
        open=list(judge.ledger.open_connections(user)),
        max_open=counts.max_open,
    )


def _busiest_first(judge: Judge) -> list[str]:
    """Return all users, sorted by the number of replacements and then of connections, the highest first."""

    def order(user: str) -> tuple[int, int]:
        counts = judge.ledger.counts_for(user)
        return -counts.replacements, -counts.connects

    return sorted(judge.ledger.users(), key=order)
