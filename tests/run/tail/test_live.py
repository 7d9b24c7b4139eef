"""The live view on a terminal, and the lines without one."""

import io
import os
import pty
import re
import select
import signal
import struct
import time
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from rich.console import ConsoleDimensions

from tests import hostile
from tests.hostile import ci_commands, control_characters
from tests.run.tail.process import LoggingServer, TailProcess, wait_until
from wscheck.detect.changes import LedgerChange
from wscheck.detect.engine import RuleOptions
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.events import (
    Connected,
    ConnectionExpired,
    Disconnected,
    Event,
    Replaced,
    ServerRestarted,
    Unreadable,
)
from wscheck.model.findings import Confidence, Severity
from wscheck.model.secrets import Redactor
from wscheck.notify.lines import IncidentPrinter, NdjsonStream
from wscheck.notify.listener import WatchListener
from wscheck.notify.live_view import ConnectionRates, IncidentRates, RateHistory, render, sparkline
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.sources import FollowedLog
from wscheck.report.console import new_console
from wscheck.report.formatting import one_line
from wscheck.run.tail.loop import IDLE_S
from wscheck.run.tail.watch import LogWatch

T = 1_795_000_000.0


def watch_with(*events: Connected | Replaced) -> LogWatch:
    watch = LogWatch([], RuleOptions())
    watch._evaluate(events)
    watch.finish_poll()
    return watch


def draw(watch: LogWatch, width: int = 80, pulse: ConnectionRates | None = None, height: int = 24) -> list[str]:
    console = new_console(io.StringIO(), width=width, coloured=False)
    console.size = ConsoleDimensions(width, height)
    with console, console.capture() as captured:
        messages = ["12:00:00 resolved"]
        console.print(
            render(
                watch,
                pulse or ConnectionRates(),
                watch.clock.last,
                messages,
                height=height,
                width=width,
                redactor=Redactor(),
            )
        )
    return [line.rstrip() for line in captured.get().splitlines()]


def incident(user: str) -> Incident:
    return Incident(
        state=IncidentState.OPENED,
        rule="connection-replaced",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        user=user,
        message=user,
    )


def connected(user: str, sid: str, after: float) -> Connected:
    return Connected(at=T + after, source="server-log", user=user, sid=sid)


def test_a_warning_that_proves_to_be_an_error_is_announced_again() -> None:
    """The sockets of three users open and end together; those of the third do not, which is seen later."""
    events = list[Connected | Disconnected]()
    for at, user in ((0, "ada"), (100, "bob"), (200, "eve")):
        events += [connected(user, f"s-{user}{n}", at + n / 10) for n in range(2)]
        events += [ended(f"s-{user}{n}", at + 60 + n / 1000) for n in range(2)]
    del events[-1]  # the second socket of the last user stays open
    watch, seen = LogWatch([], RuleOptions()), list[tuple[str | None, str, str]]()
    watch.listeners.append(Announcements(seen))
    watch._evaluate([*events[:-1], connected("zoe", "z", 201)])
    watch.finish_poll()
    assert seen[-1] == ("eve", "opened", "warning")
    watch._evaluate([events[-1], connected("kim", "k", 262)])
    watch.finish_poll()
    assert seen[-1] == ("eve", "grew", "error")


def test_an_overlap_becomes_an_error_when_the_loss_of_a_network_no_longer_explains_it() -> None:
    watch, seen = LogWatch([], RuleOptions()), list[tuple[str | None, str, str]]()
    watch.listeners.append(Announcements(seen))
    watch._evaluate([connected("ada", "a1", 0), connected("ada", "a2", 30), connected("zoe", "z", 80)])
    watch.finish_poll()
    watch._evaluate([connected("bob", "b", 91)])
    watch.finish_poll()
    assert seen == [("ada", "opened", "warning"), ("ada", "grew", "error")]


def test_at_the_end_of_the_logs_an_overlap_is_as_severe_as_in_the_report() -> None:
    watch, seen = LogWatch([], RuleOptions()), list[tuple[str | None, str, str]]()
    watch.listeners.append(Announcements(seen))
    events = [
        connected("ada", "a1", 0),
        connected("bob", "b1", 0),
        connected("ada", "a2", 30),
        connected("bob", "b2", 31),
    ]
    silent = Disconnected(at=T + 40, source="server-log", sid="b1", reason="ping timeout")
    watch._evaluate([*events, silent])
    watch.poll(final=True)
    assert seen[-1] == ("ada", "grew", "error")
    assert [each for each in seen if each[0] == "bob"] == [("bob", "opened", "warning")]


def ended(sid: str, after: float) -> Disconnected:
    return Disconnected(at=T + after, source="server-log", sid=sid, reason="transport close")


class Announcements(WatchListener):
    """Listener that stores user, state and severity of each incident."""

    def __init__(self, seen: list[tuple[str | None, str, str]]) -> None:
        self._seen = seen

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        pass

    def on_poll_end(self, now: float | None) -> bool:
        return False

    def on_incident(self, incident: Incident) -> None:
        self._seen.append((incident.user, str(incident.state), str(incident.severity)))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_users_with_several_connections_and_incidents_are_shown(width: int) -> None:
    watch = watch_with(connected("ada", "a1", 0), connected("ada", "a2", 1), connected("bob", "b1", 4))
    lines = draw(watch, width)
    text = "\n".join(lines)
    assert any(line.split()[:4] == ["users", "over", "one", "1"] for line in lines)
    assert any(line.split() == ["ada", "2:", "a1,", "a2", "for", "3.0", "s"] for line in lines), text
    assert "multiple-connections  ada, once, since " in text
    assert max(map(len, lines)) <= width
    assert lines[-1] == "12:00:00 resolved"


@pytest.mark.parametrize("width", [32, 45, 80])
def test_rates_are_shown(width: int) -> None:
    events: list[Connected | Replaced] = []
    for n in range(40):
        events.append(connected("ada", f"s{n}", n / 4))
        if n:
            events.append(Replaced(at=T + n / 4, source="server-log", user="ada", old_sid=f"s{n - 1}", new_sid=f"s{n}"))
    pulse = ConnectionRates()
    for event in events:
        pulse.observe(event)
    lines = draw(watch_with(*events), width, pulse)
    [attempts] = [line for line in lines if line.startswith("attempts")]
    assert attempts.split()[1] == "4.0/s"
    assert attempts.endswith("█" * min(10, width - 23)), "the latest seconds are kept"
    assert any("connection-replaced  ada, 4.0/s, 39 times, since "[: width - 1] in line for line in lines)
    assert any(line.startswith("  probably ") for line in lines)


def watch_of(log: str, tmp_path: Path, *, guess: bool | None = None) -> LogWatch:
    path = tmp_path / "app.log"
    path.write_text(log)
    followed = FollowedLog(path, reader_factory((), (), {}, guess=guess))
    followed.begin()
    watch = LogWatch([followed], RuleOptions())
    watch.poll()
    return watch


GUESSED = ("[{}] connected", "[{}] disconnected")


def guessed_lines(count: int) -> str:
    users = ("ann", "bob", "eve")
    return "".join(f"2026-04-02 10:11:{n:02} INFO {GUESSED[n // 3 % 2].format(users[n % 3])}\n" for n in range(count))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 15)])
def test_options_are_proposed_after_20_lines_without_an_event(tmp_path: Path, width: int, height: int) -> None:
    assert watch_of(guessed_lines(19), tmp_path).proposal is None
    watch = watch_of(guessed_lines(24), tmp_path)
    lines = draw(watch, width, height=height)
    text = "\n".join(lines)
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert "Start again with --guess, or with" in text
    assert "--marker connected='[{user}] connected'" in " ".join(text.split())
    assert ("  connected user ann: 2026-04-02" in text) == (height == 24)
    assert watch_of(guessed_lines(24), tmp_path, guess=True).proposal is None


def test_a_log_without_any_such_line_gets_the_form_of_a_marker(tmp_path: Path) -> None:
    text = "\n".join(draw(watch_of("GET /health 200\n" * 24, tmp_path), 120))
    assert "--marker connected='user {user} came on {sid}'" in text
    assert "--guess" not in text


def storm() -> LogWatch:
    """Return a watch of 40 users whose connections replace each other, beside 3 users with two silent connections."""
    events: list[Connected | Replaced] = []
    for n in range(3):
        events += [connected(f"silent-{n}", f"one-{n}", 0), connected(f"silent-{n}", f"two-{n}", 1)]
    for n in range(800):
        user, at = f"storm-{n % 40}", 2 + n / 80
        events.append(connected(user, f"s{n}", at))
        if n >= 40:
            events.append(Replaced(at=T + at, source="server-log", user=user, old_sid=f"s{n - 40}", new_sid=f"s{n}"))
    return watch_with(*events)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 15)])
def test_a_storm_is_the_first_incident_and_everything_fits(width: int, height: int) -> None:
    lines = draw(storm(), width, height=height)
    assert len(lines) <= height and max(map(len, lines)) <= width
    incidents = lines[lines.index("Open incidents") + 1 :]
    assert incidents[0].startswith("connection-replaced  40 users, 8")
    assert sum(line.startswith(("connection-", "multiple-", "excessive-")) for line in incidents) == 3


def test_what_is_not_shown_is_counted() -> None:
    text = "\n".join(draw(storm(), height=24))
    assert re.search(r"and 3\d more users", text)
    many = [connected(f"user-{n}", f"{kind}{n}", at) for n in range(30) for kind, at in (("a", 0), ("b", 1))]
    lines = draw(watch_with(*many, connected("other", "o", 5)), height=15)
    assert len(lines) <= 15
    assert any(line.startswith("Users over one connection") for line in lines)
    assert any(line.endswith("more users") for line in lines)


def test_incidents_are_ordered_by_their_current_rate() -> None:
    watch, current = storm(), IncidentRates()
    now = watch.clock.last or 0.0
    current.observe(watch.open_incidents, now)
    current.observe(watch.open_incidents, now + 5)  # nothing happened since
    console = new_console(width=80, coloured=False)
    with console.capture() as captured:
        console.print(render(watch, ConnectionRates(), now + 5, current=current, redactor=Redactor()))
    assert "/s, since" not in captured.get()


def test_the_rate_is_the_mean_of_the_last_ten_complete_seconds() -> None:
    rate = RateHistory()
    for second in range(30):
        for _ in range(1 if second < 22 else 6):
            rate.add(second)
    rate.add(29 - 0.5)  # late: it counts in the newest second, which is not complete
    assert (rate.per_second, rate.history[-2:]) == ((3 * 1 + 7 * 6) / 10, [6, 7])


def test_names_from_a_log_cannot_control_the_terminal() -> None:
    watch = watch_with(connected("\x1b[2Jada", "a1\n", 0), connected("\x1b[2Jada", "a2", 1), connected("bob", "b", 2))
    text = "\n".join(draw(watch))
    assert "\x1b" not in text
    assert r"\x1b[2Jada" in text


def test_names_from_a_log_are_no_markup_in_the_live_view() -> None:
    for text in hostile.TEXTS:
        watch = watch_with(*(connected(user, sid, n) for n, (user, sid) in enumerate([(text, "a1"), (text, text)])))
        shown = draw(watch)
        assert not control_characters("".join(shown))
        assert one_line(text)[:10] in "\n".join(shown)


def test_a_line_about_an_incident_is_no_command() -> None:
    for text in hostile.TEXTS:
        out = io.StringIO()
        printer = IncidentPrinter(out, Redactor())
        printer.on_event(ConnectionExpired(user=text, sid=text), ())
        printer.on_event(ServerRestarted(node=text, path=text), ())
        printer.on_event(Unreadable(path=text, line=1, reason=text), ())
        printer.on_incident(incident(text))
        lines = out.getvalue().splitlines()
        assert len(lines) == 4 and ci_commands(out.getvalue()) == [] and not control_characters("".join(lines))
        recording = io.BytesIO()
        stream = NdjsonStream(recording, None, Redactor())
        stream.on_event(Connected(user=text, sid="a"), ())
        stream.on_incident(incident(text))
        stream.on_poll_end(None)
        raw = recording.getvalue().decode()
        assert ci_commands(raw) == [] and not control_characters(raw)


def test_a_sparkline_has_the_height_of_its_largest_count() -> None:
    assert sparkline([0, 1, 2, 4, 8]) == "·▁▂▄█"
    assert sparkline([]) == ""


def test_the_live_view_disappears_and_leaves_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    server = LoggingServer(tmp_path / "app.log")
    ours, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(ours, False)
    screen = bytearray()

    def shows(text: str) -> bool:
        try:
            screen.extend(os.read(ours, 1 << 16))
        except BlockingIOError:
            return False
        return text.encode() in screen

    def redraw_time() -> float:
        """Return the seconds from a resize to the next drawing."""
        screen.clear()
        started_at = time.monotonic()
        tail.send(signal.SIGWINCH)
        wait_until(lambda: shows("No incident is open."))
        return time.monotonic() - started_at

    with TailProcess("app.log", "--quiet-after", "200ms", directory=tmp_path, stdout=its) as tail:
        wait_until(lambda: shows("Waiting for the first connection event."))
        server.replace("ada", server.connect("ada"))
        wait_until(lambda: shows("connection-replaced"))
        wait_until(lambda: shows("resolved connection-replaced ada: once"))
        ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        assert min(redraw_time() for _ in range(5)) < IDLE_S / 2, "a resize is drawn immediately, not at the next poll"
        assert tail.end(signal.SIGINT) == 130
        wait_until(lambda: shows("wscheck explain connection-replaced"))
        assert b"\x1b[?1049l" in screen
        assert tail.err == ""
    os.close(ours)
    os.close(its)


def test_a_dumb_terminal_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    server = LoggingServer(tmp_path / "app.log")
    ours, its = pty.openpty()
    with TailProcess("app.log", directory=tmp_path, stdout=its) as tail:
        server.replace("ada", server.connect("ada"))
        wait_until(lambda: select.select([ours], [], [], 0)[0])
        text = os.read(ours, 1 << 16)
        assert b" opened connection-replaced ada" in text
        assert b"\x1b" not in text
        assert tail.end() == 1
    os.close(ours)
    os.close(its)


def test_without_a_terminal_each_change_is_one_line(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--quiet-after", "200ms", "--max-attempts", "99/1s", directory=tmp_path) as tail:
        sid = server.connect("ada")
        for _ in range(12):
            sid = server.replace("ada", sid)
        wait_until(lambda: "resolved" in tail.out)
        output = [line.split(" ", 1)[1] for line in tail.out.splitlines()]
        assert output[0].startswith("opened connection-replaced ada: the server replaced the user's connection")
        assert output[1].startswith("grew connection-replaced ada: 10 times")
        assert output[2].startswith("resolved connection-replaced ada: 12 times")
        assert len(output) == 3
        tail.end()
