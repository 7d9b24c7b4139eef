"""The view on a terminal, and the lines where there is none."""

import os
import pty
import select
import signal
import struct
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from rich.console import Console

from tests.run.tail.running import Server, Tail, until
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, Replaced
from wscheck.notify.live_view import ConnectionRates, RateHistory, render, sparkline
from wscheck.run.tail.loop import IDLE_S
from wscheck.run.tail.watch import LogWatch

T = 1_795_000_000.0


def watching(*events: Connected | Replaced) -> LogWatch:
    watch = LogWatch([], RuleOptions())
    watch._evaluate(events)
    watch.finish_poll()
    return watch


def drawn(watch: LogWatch, width: int = 80, pulse: ConnectionRates | None = None) -> list[str]:
    console = Console(width=width, height=24, color_system=None, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    with console, console.capture() as captured:
        console.print(render(watch, pulse or ConnectionRates(), watch.clock.last, ["12:00:00 resolved"]))
    console.file.close()
    return [line.rstrip() for line in captured.get().splitlines()]


def connected(user: str, sid: str, after: float) -> Connected:
    return Connected(at=T + after, source="server-log", user=user, sid=sid)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_who_holds_more_than_one_since_when_and_what_is_open(width: int) -> None:
    watch = watching(connected("ada", "a1", 0), connected("ada", "a2", 1), connected("bob", "b1", 4))
    lines = drawn(watch, width)
    text = "\n".join(lines)
    assert any(line.split()[:4] == ["users", "over", "one", "1"] for line in lines)
    assert any(line.split() == ["ada", "2:", "a1,", "a2", "3.0", "s"] for line in lines), text
    assert "multiple-connections  ada  once" in text
    assert max(map(len, lines)) <= width
    assert lines[-1] == "12:00:00 resolved"


@pytest.mark.parametrize("width", [32, 45, 80])
def test_how_fast_it_goes(width: int) -> None:
    events: list[Connected | Replaced] = []
    for n in range(40):
        events.append(connected("ada", f"s{n}", n / 4))
        if n:
            events.append(Replaced(at=T + n / 4, source="server-log", user="ada", old_sid=f"s{n - 1}", new_sid=f"s{n}"))
    pulse = ConnectionRates()
    for event in events:
        pulse.observe(event)
    lines = drawn(watching(*events), width, pulse)
    [attempts] = [line for line in lines if line.startswith("attempts")]
    assert attempts.split()[1] == "4.0/s"
    assert attempts.endswith("█" * min(10, width - 23)), "the latest seconds stay"
    assert any("connection-replaced  ada  39 times, 4.0/s, for 9.5 s"[: width - 1] in line for line in lines)
    assert any(line.startswith("  probably ") for line in lines)


def test_the_rate_is_that_of_the_last_ten_whole_seconds() -> None:
    rate = RateHistory()
    for second in range(30):
        for _ in range(1 if second < 22 else 6):
            rate.add(second)
    rate.add(29 - 0.5)  # late: it counts with the newest second, which is not over
    assert (rate.per_second, rate.history[-2:]) == ((3 * 1 + 7 * 6) / 10, [6, 7])


def test_names_from_a_log_cannot_steer_the_terminal() -> None:
    watch = watching(connected("\x1b[2Jada", "a1\n", 0), connected("\x1b[2Jada", "a2", 1), connected("bob", "b", 2))
    text = "\n".join(drawn(watch))
    assert "\x1b" not in text
    assert r"\x1b[2Jada" in text


def test_a_history_is_drawn_to_the_height_of_its_largest() -> None:
    assert sparkline([0, 1, 2, 4, 8]) == "·▁▂▄█"
    assert sparkline([]) == ""


def test_on_a_terminal_a_view_that_goes_away_and_leaves_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    server = Server(tmp_path / "app.log")
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

    def redrawn() -> float:
        """Seconds from a resize to the next drawing."""
        screen.clear()
        began = time.monotonic()
        tail.send(signal.SIGWINCH)
        until(lambda: shows("No incident is open."))
        return time.monotonic() - began

    with Tail("app.log", "--quiet-after", "200ms", directory=tmp_path, stdout=its) as tail:
        until(lambda: shows("Waiting for the first connection event."))
        server.replace("ada", server.connect("ada"))
        until(lambda: shows("connection-replaced"))
        until(lambda: shows("resolved connection-replaced ada: once"))
        ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        assert min(redrawn() for _ in range(5)) < IDLE_S / 2, "a resize is drawn at once, not at the next second"
        assert tail.end(signal.SIGINT) == 130
        until(lambda: shows("wscheck explain connection-replaced"))
        assert b"\x1b[?1049l" in screen
        assert tail.err == ""
    os.close(ours)
    os.close(its)


def test_a_terminal_that_cannot_draw_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    server = Server(tmp_path / "app.log")
    ours, its = pty.openpty()
    with Tail("app.log", directory=tmp_path, stdout=its) as tail:
        server.replace("ada", server.connect("ada"))
        until(lambda: select.select([ours], [], [], 0)[0])
        said = os.read(ours, 1 << 16)
        assert b" opened connection-replaced ada" in said
        assert b"\x1b" not in said
        assert tail.end() == 1
    os.close(ours)
    os.close(its)


def test_elsewhere_one_line_for_each_change(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    with Tail("app.log", "--quiet-after", "200ms", "--max-attempts", "99/1s", directory=tmp_path) as tail:
        sid = server.connect("ada")
        for _ in range(12):
            sid = server.replace("ada", sid)
        until(lambda: "resolved" in tail.out)
        told = [line.split(" ", 1)[1] for line in tail.out.splitlines()]
        assert told[0].startswith("opened connection-replaced ada: the server replaced the user's connection")
        assert told[1].startswith("grew connection-replaced ada: 10 times")
        assert told[2].startswith("resolved connection-replaced ada: 12 times")
        assert len(told) == 3
        tail.end()
