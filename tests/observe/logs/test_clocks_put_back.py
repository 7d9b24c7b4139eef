"""Tests of the hour that local time has twice in autumn: the order of the lines decides."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.cli import wscheck
from tests.observe.logs.reading import read
from wscheck.observe.logs.formats.timestamps import TimestampParser

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""03:00 in Berlin becomes 02:00."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def on_the_wall(at: datetime) -> datetime:
    return at.astimezone(timezone(timedelta(hours=2 if at < BACK else 1))).replace(tzinfo=None)


FORMS = {
    "ISO 8601": "%Y-%m-%d %H:%M:%S.%f",
    "syslog": "%b %d %Y %H:%M:%S",
    "American": "%m/%d/%Y, %I:%M:%S %p",
    "web server": "[%d/%b/%Y:%H:%M:%S]",
}


def opened(sid: str, at: datetime, user: str = "ada", form: str = FORMS["ISO 8601"]) -> str:
    told = on_the_wall(at).strftime(form)
    return f"{told} WebSocket client connected {{ socketId: '{sid}', userId: '{user}' }}\n"


def closed(sid: str, at: datetime) -> str:
    told = on_the_wall(at).strftime(FORMS["ISO 8601"])
    return f"{told} WebSocket client disconnected {{ socketId: '{sid}', reason: 'transport close' }}\n"


def found_in(log: Path) -> list[dict[str, Any]]:
    ran = wscheck("tail-logs", "--no-follow", "--format", "json", log, TZ=BERLIN)
    findings: list[dict[str, Any]] = json.loads(ran.out)["findings"]
    return findings


def minutes(*after: float) -> Sequence[datetime]:
    return [BACK + timedelta(minutes=each) for each in after]


@pytest.mark.parametrize("form", FORMS)
def test_every_time_is_the_one_at_which_it_was_written(form: str) -> None:
    written = [BACK + timedelta(seconds=40 * step) for step in range(-200, 200)]
    events = read("".join(opened(f"s{n}", at, form=FORMS[form]) for n, at in enumerate(written)))
    assert [event.at for event in events] == [at.timestamp() for at in written]


def test_a_bare_clock_goes_on_as_well(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.touch()
    day = datetime.fromtimestamp(log.stat().st_mtime)
    timestamps = TimestampParser(str(log))
    timestamps._log_date = day.replace(year=2026, month=10, day=25)
    written = minutes(-170, -61, -59, -1, 1, 59, 61, 1200, 1400)
    told = [timestamps.find(on_the_wall(at).strftime("[%H:%M:%S]")) for at in written]
    assert told == [at.timestamp() for at in written]


def test_lines_a_little_out_of_order_do_not_jump_by_an_hour() -> None:
    written = [BACK + timedelta(seconds=each) for each in (-1800, -1804, -1790, -1, 1, -2, 2, 0, 1800, 1796)]
    events = read("".join(opened(f"s{n}", at) for n, at in enumerate(written)))
    assert [event.at for event in events] == [at.timestamp() for at in written]


def test_attempts_an_hour_apart_are_not_many_at_once_and_an_overlap_over_the_change_is_one(tmp_path: Path) -> None:
    first, again = minutes(-50, 10)
    steps = [timedelta(seconds=2 * each) for each in range(4)]
    often = [(f"{name}{n}", at + step) for name, at in (("a", first), ("b", again)) for n, step in enumerate(steps)]
    (tmp_path / "calm.log").write_text("".join(opened(sid, at) + closed(sid, at) for sid, at in often))
    assert found_in(tmp_path / "calm.log") == []
    begun, other, ended = minutes(-10, -5, 20)
    (tmp_path / "both.log").write_text(opened("s1", begun) + opened("s2", other) + closed("s1", ended))
    (found,) = found_in(tmp_path / "both.log")
    assert (found["rule"], found["first_at"]) == ("multiple-connections", other.timestamp())
