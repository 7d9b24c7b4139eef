"""Reports of logs that may lack the ends of connections."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from wscheck.detect.rules import RuleOptions
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import LogsReport
from wscheck.observe.logs.options import ReaderFactory
from wscheck.observe.logs.sources import FollowedLog
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.run.tail.report import build_logs_report
from wscheck.run.tail.watch import LogWatch


def written(path: Path, users: int, rounds: int, *, ends: bool, others: Sequence[str] = ()) -> LogsReport:
    """Return the report of a log in its own words: each user connects in each round."""
    lines = list(others)
    for number in range(rounds):
        for user in range(users):
            at, sid = f"2026-04-02T{10 + number}:{5 * user:02}:00.250Z", f"AA{number:08}bb_{user:07}"
            if number and ends:
                lines.append(f"{at} user u{user} disconnected from socket AA{number - 1:08}bb_{user:07}")
            lines.append(f"{at} user u{user} connected on socket {sid}")
    lines.append("2026-04-02T19:59:59.250Z user z disconnected from socket AAaaaaaaaabb_0000000")
    path.write_text("\n".join(lines) + "\n")
    log = FollowedLog(path, ReaderFactory(LogVocabulary(), None))
    log.begin()
    watch = LogWatch([log], RuleOptions(), complete=True)
    watch.poll(final=True)
    return build_logs_report(watch, Bar())


def test_ends_that_were_not_read_are_likelier_than_that_everybody_leaks(tmp_path: Path) -> None:
    report = written(tmp_path / "app.log", users=6, rounds=3, ends=False)
    assert (report.verdict, report.findings) == (Verdict.INCONCLUSIVE, [])
    assert report.reason.startswith("6 of 6 users who connected again have several open connections at the end")
    assert written(tmp_path / "app.log", users=6, rounds=3, ends=True).verdict is Verdict.PASSED
    report = written(tmp_path / "app.log", users=2, rounds=3, ends=False)
    assert {finding.rule for finding in report.findings} == {"multiple-connections"}


@pytest.mark.parametrize(
    ("line", "is_loss"),
    [
        ("log sampling is on: one of four info records is written", True),
        ("Suppressed 1204 messages from realtime.service", True),
        ("rsyslogd: imuxsock lost 200 messages from pid 41 due to rate-limiting", True),
        ("17 log lines were dropped because the buffer was full", True),
        ("log sampling is off", False),
        ("dropped 17 messages for a slow consumer", False),
    ],
)
def test_a_log_that_lacks_records_shows_no_second_connection(tmp_path: Path, line: str, *, is_loss: bool) -> None:
    report = written(tmp_path / "app.log", users=2, rounds=3, ends=False, others=[f"2026-04-02T10:00:00.250Z {line}"])
    assert report.verdict is (Verdict.INCONCLUSIVE if is_loss else Verdict.FAILED)
    assert (line in report.reason) == is_loss
