"""Measures by which two load reports or two verify reports are compared, under the benefit that each stands for.

The benefits are the headings of the document that wscheck grew out of (docs/origin.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from wscheck.model.findings import Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, VerifyReport

PERFORMANCE = "Performance"
SERVER_LOAD = "Server load"
RESOURCES = "Resource efficiency"
EXPERIENCE = "User experience"

ReportKind = TypeVar("ReportKind", bound=Report)


@dataclass(frozen=True)
class Measure(Generic[ReportKind]):
    """One number of a report.

    read     returns the number, None if the run did not measure it
    divisor  divides the number before runs of different size are compared
    floor    smaller values count as this: a user without a connection saves nothing
    """

    id: str
    benefit: str
    name: str
    read: Callable[[ReportKind], float | None]
    unit: str = ""
    more_is_better: bool = False
    divisor: Callable[[ReportKind], float] = lambda report: 1.0
    floor: float = 0.0


def _user_seconds(report: LoadReport) -> float:
    return max(report.users, 1) * _seconds(report)


def _seconds(report: LoadReport) -> float:
    return max(report.duration_s, 0.001)


def _users(report: LoadReport) -> float:
    return max(report.users, 1)


def _mean_open(report: LoadReport) -> float | None:
    """Return the open connections per user, averaged over the seconds that had users."""
    shares = [second.open / second.users for second in report.series if second.users]
    return sum(shares) / len(shares) if shares else None


def _received_per_user(report: LoadReport) -> float | None:
    """Return the events received per user, without duplicates; None if no event arrived."""
    if not report.users or not report.events.received:
        return None
    return (report.events.received - report.events.duplicated) / report.users


def _opened_per_user(report: LoadReport) -> float | None:
    return report.connects / report.users if report.users else None


def _server_cpu(report: LoadReport) -> float | None:
    return report.server.cpu_s if report.server else None


LOAD_MEASURES: tuple[Measure[LoadReport], ...] = (
    Measure(
        "connections_per_user", PERFORMANCE, "connections per user, most at once",
        lambda report: report.connections_per_user, "/user",
    ),
    Measure("connects_per_user", PERFORMANCE, "connections opened per user", _opened_per_user, "/user"),
    Measure(
        "churn_per_user_s", SERVER_LOAD, "connects and disconnects per user",
        lambda report: report.churn_per_user_s, "/s",
    ),
    Measure("replaced", SERVER_LOAD, "connections replaced", lambda report: report.replaced, divisor=_user_seconds),
    Measure("connects", SERVER_LOAD, "handshakes completed", lambda report: report.connects, divisor=_users),
    Measure(
        "connections_peak", RESOURCES, "open connections, peak", lambda report: report.connections_peak, divisor=_users,
    ),
    Measure("open_per_user", RESOURCES, "open connections per user, mean", _mean_open, "/user", floor=1.0),
    Measure("server_cpu_s", RESOURCES, "CPU time of the server", _server_cpu, "s", divisor=_user_seconds),
    Measure("connect_p95_ms", EXPERIENCE, "time to connect, p95", lambda report: report.connect_ms.p95, "ms"),
    Measure(
        "lifetime_p50_ms", EXPERIENCE, "connection lifetime, median", lambda report: report.lifetime_ms.p50, "ms", True,
    ),
    Measure("ack_p95_ms", EXPERIENCE, "time to acknowledgement, p95", lambda report: report.ack_ms.p95, "ms"),
    Measure(
        "received_per_user", EXPERIENCE, "events received per user", _received_per_user, "/user", True,
        divisor=_seconds,
    ),
    Measure("duplicated", EXPERIENCE, "events delivered twice", lambda report: report.events.duplicated,
            divisor=_user_seconds),
)  # fmt: skip


def _peak(report: VerifyReport) -> float | None:
    return max((scenario.connections_peak for scenario in report.scenarios), default=None)


def _findings_of(rule: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(finding.count for finding in report.findings if finding.rule == rule)


def _total(field: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(getattr(scenario, field) for scenario in report.scenarios) if report.scenarios else None


def _scenarios_passed(report: VerifyReport) -> float | None:
    return sum(scenario.verdict is Verdict.PASSED for scenario in report.scenarios) if report.scenarios else None


VERIFY_MEASURES: tuple[Measure[VerifyReport], ...] = (
    Measure("connections_peak", PERFORMANCE, "connections of one user, most at once", _peak),
    Measure(
        "multiple_connections", PERFORMANCE, "times a user had several connections",
        _findings_of("multiple-connections"),
    ),
    Measure("connects", SERVER_LOAD, "connections opened", _total("connections_opened")),
    Measure("replaced", SERVER_LOAD, "connections replaced", _total("replacements")),
    Measure("excessive_attempts", SERVER_LOAD, "times the limit of attempts was exceeded",
            _findings_of("excessive-attempts")),
    Measure("connection_leaked", RESOURCES, "connections leaked", _findings_of("connection-leaked")),
    Measure("duplicated", EXPERIENCE, "events delivered or handled twice", _findings_of("event-duplicated")),
    Measure("missing", EXPERIENCE, "events that did not arrive", _findings_of("event-missing")),
    Measure("passed", EXPERIENCE, "scenarios passed", _scenarios_passed, "", True),
)  # fmt: skip
"""Only the scenarios that both runs contain are counted."""
