"""Load reports with round numbers: the known fault, and the fixed application."""

from typing import Any

from wscheck.model.findings import Confidence, Finding, Severity, Verdict
from wscheck.model.load_report import SCHEMA, EventCounts, LoadReport, Second, ServerSide, check_thresholds
from wscheck.model.load_statistics import Percentiles

START = 1_795_000_000.0
USERS, SECONDS = 50, 20


def duplicated(**changes: Any) -> LoadReport:
    """Return a run of 50 users whose two components replace each other three times a second."""
    series = [
        Second(
            second=n,
            users=USERS,
            open=USERS + 3,
            connects=150,
            disconnects=147,
            replaced=147,
            received=70,
            duplicated=20,
            heartbeat_lag_ms=4.0,
        )
        for n in range(SECONDS)
    ]
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "target": "embedded backend",
        "verdict": Verdict.FAILED,
        "reason": "the documented fault",
        "started_at": START,
        "duration_s": float(SECONDS),
        "profile": "duplicated",
        "users": USERS,
        "connects": 3000,
        "disconnects": {"io server disconnect": 2940, "io client disconnect": 60},
        "replaced": 2940,
        "connections_open": 53,
        "connections_peak": 61,
        "connections_per_user": 2.0,
        "churn_per_user_s": 6.0,
        "lifetime_ms": Percentiles(300.0, 340.0, 360.0),
        "connect_ms": Percentiles(2.0, 9.0, 14.0),
        "ack_ms": Percentiles(1.0, 4.0, 6.0),
        "events": EventCounts(received=1400, duplicated=400),
        "heartbeat_lag_ms": Percentiles(0.2, 1.0, 4.0),
        "series": series,
        "findings": [
            Finding(
                rule="connection-replaced",
                severity=Severity.ERROR,
                confidence=Confidence.HIGH,
                user=None,
                message="the server replaced 2,940 connections of 50 users",
                count=2940,
                first_at=START,
                last_at=START + SECONDS,
                rate=147.0,
            )
        ],
        "server": ServerSide(connects=3000, replaced=2940, refused=0, peak=61, emitted=1400, cpu_s=8.0, rss_mb=60.0),
    }
    return LoadReport(**(fields | changes))


def unified(**changes: Any) -> LoadReport:
    """Return a run of the same users with one connection each."""
    series = [
        Second(second=n, users=USERS, open=USERS, connects=USERS if n == 0 else 0, received=100, heartbeat_lag_ms=1.0)
        for n in range(SECONDS)
    ]
    fields: dict[str, Any] = {
        "verdict": Verdict.PASSED,
        "reason": "",
        "profile": "unified",
        "connects": USERS,
        "disconnects": {"io client disconnect": USERS},
        "replaced": 0,
        "connections_open": USERS,
        "connections_peak": USERS,
        "connections_per_user": 1.0,
        "churn_per_user_s": 0.1,
        "lifetime_ms": Percentiles(20_000.0, 20_100.0, 20_100.0),
        "events": EventCounts(received=2000),
        "series": series,
        "findings": [],
        "server": ServerSide(connects=USERS, replaced=0, refused=0, peak=USERS, emitted=2000, cpu_s=0.8, rss_mb=55.0),
    }
    return duplicated(**(fields | changes))


def limited() -> LoadReport:
    """Return the run with the fault, with one threshold crossed and one not."""
    report = duplicated()
    report.thresholds = check_thresholds(report, {"max-replaced": 0.0, "max-connect-p95": 50.0})
    return report
