"""WHAT TWO RUNS ARE COMPARED BY: the documented benefits, each as measures of a load or of a verify report; pure."""

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

Kind = TypeVar("Kind", bound=Report)


@dataclass(frozen=True)
class Row(Generic[Kind]):
    """A measure to take.

    per       what it must be divided by for two runs of different size to be compared
    at_least  less than this is no better: a user without a connection saves nothing
    """

    id: str
    benefit: str
    name: str
    take: Callable[[Kind], float | None]
    unit: str = ""
    more_is_better: bool = False
    per: Callable[[Kind], float] = lambda report: 1.0
    at_least: float = 0.0


def _user_seconds(report: LoadReport) -> float:
    return max(report.users, 1) * max(report.duration_s, 0.001)


def _users(report: LoadReport) -> float:
    return max(report.users, 1)


def _mean_open(report: LoadReport) -> float | None:
    """Connections open per user, over the seconds in which users were there."""
    shares = [second.open / second.users for second in report.series if second.users]
    return sum(shares) / len(shares) if shares else None


def _received_per_user(report: LoadReport) -> float | None:
    """Events that reached a user, each counted once; what a user sent while kicked out was never answered."""
    if not report.users or not report.events.received:
        return None
    return (report.events.received - report.events.duplicated) / report.users


def _per_user(report: LoadReport) -> float | None:
    return report.connects / report.users if report.users else None


LOAD: tuple[Row[LoadReport], ...] = (
    Row(
        "connections_per_user", PERFORMANCE, "connections per user, most at once",
        lambda r: r.connections_per_user, "/user",
    ),
    Row("connects_per_user", PERFORMANCE, "connections opened per user", _per_user, "/user"),
    Row("churn_per_user_s", SERVER_LOAD, "connects and disconnects per user", lambda r: r.churn_per_user_s, "/s"),
    Row("replaced", SERVER_LOAD, "connections replaced", lambda r: r.replaced, per=_user_seconds),
    Row("connects", SERVER_LOAD, "handshakes served", lambda r: r.connects, per=_users),
    Row("connections_peak", RESOURCES, "connections open at the peak", lambda r: r.connections_peak, per=_users),
    Row("open_per_user", RESOURCES, "connections open per user, mean", _mean_open, "/user", at_least=1.0),
    Row(
        "server_cpu_s", RESOURCES, "processor time of the server", lambda r: r.server.cpu_s if r.server else None, "s",
        per=_user_seconds,
    ),
    Row("connect_p95_ms", EXPERIENCE, "time to connect, p95", lambda r: r.connect_ms.p95, "ms"),
    Row("lifetime_p50_ms", EXPERIENCE, "a connection lives, median", lambda r: r.lifetime_ms.p50, "ms", True),
    Row("ack_p95_ms", EXPERIENCE, "time to an answer, p95", lambda r: r.ack_ms.p95, "ms"),
    Row(
        "received_per_user", EXPERIENCE, "events received per user", _received_per_user, "/user", True,
        per=lambda r: max(r.duration_s, 0.001),
    ),
    Row("duplicated", EXPERIENCE, "events delivered twice", lambda r: r.events.duplicated, per=_user_seconds),
)  # fmt: skip
"""What two load runs are compared by, in the order of the documented benefits."""


def _peak(report: VerifyReport) -> float | None:
    return max((scenario.connections_peak for scenario in report.scenarios), default=None)


def _of_rule(rule: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(finding.count for finding in report.findings if finding.rule == rule)


def _total(field: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(getattr(scenario, field) for scenario in report.scenarios) if report.scenarios else None


def _share_passed(report: VerifyReport) -> float | None:
    return sum(scenario.verdict is Verdict.PASSED for scenario in report.scenarios) if report.scenarios else None


VERIFY: tuple[Row[VerifyReport], ...] = (
    Row("connections_peak", PERFORMANCE, "connections of one user, most at once", _peak),
    Row("multiple_connections", PERFORMANCE, "times a user held several", _of_rule("multiple-connections")),
    Row("connects", SERVER_LOAD, "connections opened", _total("connections_opened")),
    Row("replaced", SERVER_LOAD, "connections replaced", _total("replacements")),
    Row("excessive_attempts", SERVER_LOAD, "attempts over the limit", _of_rule("excessive-attempts")),
    Row("connection_leaked", RESOURCES, "connections left behind", _of_rule("connection-leaked")),
    Row("duplicated", EXPERIENCE, "events delivered or handled twice", _of_rule("event-duplicated")),
    Row("missing", EXPERIENCE, "events that did not arrive", _of_rule("event-missing")),
    Row("passed", EXPERIENCE, "scenarios passed", _share_passed, "", True),
)
"""What two verify runs are compared by; only the scenarios that both ran count."""
