"""The end of a run, by a signal, a closed pipe or the end of the logs, with the documented exit codes."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.run.tail.process import (
    TIME_LIMIT_S,
    LoggingServer,
    TailProcess,
    environment,
    run_for_report,
    run_to_end,
    wait_until,
)
from wscheck.cli import main

FULL_DEVICE = Path("/dev/full")


@pytest.fixture
def server(tmp_path: Path) -> LoggingServer:
    return LoggingServer(tmp_path / "app.log")


def test_sigterm_reports_everything_written_before_it(server: LoggingServer, tmp_path: Path) -> None:
    with TailProcess("app.log", "--format", "json", "--format", "ndjson=recording", directory=tmp_path) as tail:
        server.connects(3)
        code = tail.end(signal.SIGTERM)
        report = json.loads(tail.out)
    assert (code, report["events"]["connected"], report["verdict"]) == (0, 3, "passed")
    assert report["interrupted"] is False
    assert len((tmp_path / "recording").read_bytes().splitlines()) == 4


def test_the_end_of_the_terminal_reports_everything(server: LoggingServer, tmp_path: Path) -> None:
    options = ("--format", "json=report.json", "--format", "junit=report.xml", "--format", "ndjson=recording")
    with TailProcess("app.log", *options, directory=tmp_path) as tail:
        server.connects(3)
        with tail.paused():
            tail.send(signal.SIGHUP)
            tail.send(signal.SIGHUP)
        tail.send(signal.SIGHUP)
        assert tail.wait() == 0
    assert json.loads((tmp_path / "report.json").read_text())["events"]["connected"] == 3
    assert (tmp_path / "report.xml").exists() and len((tmp_path / "recording").read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "closed", "text"),
    [
        (("tail-logs", "--no-follow", "app.log"), 1, "wscheck: Standard output is closed."),
        (("rules",), 1, "wscheck: Standard output is closed."),
        (("tail-logs", "--no-follow", "-"), 0, "wscheck: Standard input is closed, and `-` reads it."),
    ],
)
def test_a_closed_stream_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], closed: int, text: str) -> None:
    (tmp_path / "app.log").write_text("x\n")
    command = [sys.executable, "-m", "wscheck", *arguments]
    script = f'exec "$@" {closed}>&-' if closed else 'exec "$@" 0<&-'
    ran = subprocess.run(
        ["sh", "-c", script, "sh", *command], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=TIME_LIMIT_S, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr.splitlines()[0]) == (2, "", text)
    assert len(ran.stderr.splitlines()) == 2


def test_ctrl_c_reports_everything_and_exits_with_130(server: LoggingServer, tmp_path: Path) -> None:
    with TailProcess("app.log", directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        wait_until(lambda: "opened connection-replaced ada" in tail.out)
        assert tail.end(signal.SIGINT) == 130
        assert "FAILED" in tail.out
        assert tail.err == ""


def test_an_unfinished_record_is_reported_at_the_end(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log", blocks=True)
    with TailProcess("app.log", "--format", "ndjson", directory=tmp_path) as tail:
        server.raw("WebSocket client disconnected\n• socketId: abc\n".encode())
        tail.end()
        assert [line["sid"] for line in tail.records if line.get("type") == "disconnected"] == ["abc"]


def test_a_log_without_events_is_inconclusive(server: LoggingServer, tmp_path: Path) -> None:
    server.line(b'{"msg":"server is up"}')
    report = run_for_report("app.log", directory=tmp_path)
    assert (report["verdict"], report["code"]) == ("inconclusive", 3)
    assert "no connection event was found" in report["reason"]
    (tmp_path / "app.log").rename(tmp_path / ("a-log-with-a-long-name" * 5))
    output = run_to_end("--no-follow", "a-log-with-a-long-name" * 5, directory=tmp_path).stdout
    command = f"wscheck tail-logs --no-follow --marker connected='YOUR WORDS' {'a-log-with-a-long-name' * 5}"
    assert f"\n  next  {command}\n" in output  # on one line, whatever the width of the terminal


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b"WebSocket client connected socketId=AbCdEfGhIjKlMnOpQr01", "--key user=NAME"),
        (b"WebSocket client connected userId=ada", "--key sid=NAME"),
        (b"WebSocket client connected (3 total)", "1 record names neither a user nor a socket id"),
        (b"WebSocket client disconnected userId=ada socketId=AbCdEfGhIjKlMnOpQr01", "0 connected"),
    ],
    ids=["which, not whose", "whose, not which", "only counted", "only how it ended"],
)
def test_a_log_without_countable_connections_is_inconclusive(
    server: LoggingServer, tmp_path: Path, line: bytes, hint: str
) -> None:
    server.line(b"2026-01-15T09:30:00Z INFO " + line)
    report = run_for_report("app.log", "--format", "ndjson=recorded", directory=tmp_path)
    assert (report["verdict"], report["code"], report["findings"]) == ("inconclusive", 3, [])
    assert "connections could not be counted for any user" in report["reason"]
    assert hint in run_to_end("--no-follow", "app.log", directory=tmp_path).stdout
    again = wscheck("verify", "--from", "recorded", "--format", "json", cwd=tmp_path)
    assert (again.code, json.loads(again.out)["reason"]) == (3, report["reason"])


@pytest.mark.parametrize("missing", ["socketId", "userId", ""], ids=["whose", "which", "none missing"])
def test_a_connection_without_user_or_sid_is_inconclusive(server: LoggingServer, tmp_path: Path, missing: str) -> None:
    """The log also has complete records; its recording gives the same result."""
    server.connects(2)
    known = {"socketId": "AbCdEfGhIjKlMnOpQr01", "userId": "ada"}
    ids = {key: known[key] for key in known if key == missing or not missing}
    server.record("WebSocket client connected", None, **ids)
    report = run_for_report("app.log", "--format", "ndjson=recorded", directory=tmp_path)
    assert (report["code"], report["findings"]) == (3 if missing else 0, [])
    assert report["reason"].startswith("1 connection is not known with both user and socket" if missing else "")
    assert wscheck("verify", "--from", str(tmp_path / "recorded")).code == report["code"]


UNKNOWN_SENTENCES = b"INFO Socket opened uid=ada socketId=%s", b"INFO Socket gone socketId=%s"


def test_sentences_without_doubt_are_read_and_reported(server: LoggingServer, tmp_path: Path) -> None:
    for sid in (b"one", b"two"):
        for line in UNKNOWN_SENTENCES:
            server.line(line % sid)
    report = run_for_report("app.log", directory=tmp_path)
    assert (report["events"]["connected"], report["events"]["disconnected"], report["suggested"]) == (2, 2, [])
    assert [(one["kind"], one["lines"]) for one in report["assumed"]] == [("connected", 2), ("disconnected", 2)]


def test_markers_are_suggested_for_unknown_sentences(server: LoggingServer, tmp_path: Path) -> None:
    """The sentences are only at the start of a long log."""
    for sid in (b"one", b"two"):
        for line in UNKNOWN_SENTENCES:
            server.line(line % sid)
    server.raw(b"tick\n" * 40_000)
    report = run_for_report("--no-guess", "app.log", directory=tmp_path)
    assert (report["verdict"], report["events"]["connected"]) == ("inconclusive", 0)
    opened = {"marker": "Socket opened", "keys": ["user=uid"], "example": (UNKNOWN_SENTENCES[0] % b"one").decode()}
    gone = {"marker": "Socket gone", "keys": [], "example": (UNKNOWN_SENTENCES[1] % b"one").decode()}
    assert report["suggested"] == [
        {"kind": "connected", "lines": 2, **opened},
        {"kind": "disconnected", "lines": 2, **gone},
    ]
    output = run_to_end("--no-follow", "--no-guess", "app.log", directory=tmp_path).stdout
    options = "--marker connected='Socket opened' --key user=uid --marker disconnected='Socket gone'"
    assert f"wscheck tail-logs --no-follow {options} app.log" in " ".join(output.split())
    again = run_for_report("--no-guess", *shlex.split(options), "app.log", directory=tmp_path)
    assert (again["events"]["connected"], again["events"]["disconnected"], again["suggested"]) == (2, 2, [])


def test_a_log_without_known_openings_gets_a_hint(server: LoggingServer, tmp_path: Path) -> None:
    server.record("Replacing existing socket for user", userId="ada", oldSocketId="a", newSocketId="b")
    output = run_to_end("--no-follow", "--no-guess", "app.log", directory=tmp_path).stdout
    assert "no line reports an opened connection" in output
    assert "--marker connected='YOUR WORDS'" in " ".join(output.split())
    server.line(UNKNOWN_SENTENCES[0] % b"b")
    output = run_to_end("--no-follow", "--no-guess", "app.log", directory=tmp_path).stdout
    hint = "1 line may report opened connections in an unknown wording; to read them, add --marker connected="
    assert f"{hint}'Socket opened'" in " ".join(output.split())
    assert "no line reports" not in output


def test_for_ends_the_run_after_its_duration(server: LoggingServer, tmp_path: Path) -> None:
    server.connect()
    started_at = time.monotonic()
    ran = run_to_end("app.log", "--for", "300ms", directory=tmp_path)
    assert (ran.returncode, 0.3 < time.monotonic() - started_at < 30.0) == (3, True)


def test_a_closed_stdout_pipe_ends_an_idle_run(server: LoggingServer, tmp_path: Path) -> None:
    with TailProcess("app.log", "--format", "ndjson", directory=tmp_path, stdout=subprocess.PIPE) as tail:
        assert tail.process.stdout is not None
        assert b'"schema"' in tail.process.stdout.readline()
        tail.process.stdout.close()
        assert tail.wait() == 0
        assert tail.err == ""


def test_a_stdout_pipe_closed_while_writing_ends_the_run(server: LoggingServer, tmp_path: Path) -> None:
    server.connects(20_000)
    with TailProcess(
        "app.log", "--no-follow", "--format", "ndjson", directory=tmp_path, ready=False, stdout=subprocess.PIPE
    ) as tail:
        head = subprocess.run(["head", "-2"], stdin=tail.process.stdout, capture_output=True, check=True)
        assert tail.process.stdout is not None
        tail.process.stdout.close()
        assert tail.wait() == 0
        assert tail.err == ""
    assert len(head.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "No log is named"),
        (("-", "-"), 2, "Standard input is named twice"),
        (("--no-follow", "nothing.log"), 3, "There is no log nothing.log"),
        (("--no-follow", "*.nothing"), 3, "There is no log in *.nothing"),
        (("app.log", "--since", "yesterday"), 2, "--since: 'yesterday' is not a time"),
        (("app.log", "--since", "1h", "--until", "2h"), 2, "--until is before --since"),
        (("app.log", "--checkpoint", "nowhere/checkpoint"), 2, "The checkpoint nowhere/checkpoint cannot be written"),
        (("app.log", "--for", "ever"), 2, "--for: 'ever' is not a duration"),
        (("app.log", "--grace", "long"), 2, "--grace: 'long' is not a duration"),
        (("app.log", "--format", "prose"), 2, "Unknown format `prose`"),
        (("app.log", "--metrics", "nowhere"), 2, "--metrics nowhere: 'nowhere' is not a port"),
        (("app.log", "--metrics", "127.0.0.1:99999"), 2, "'99999' is not a port"),
        (("app.log", "--webhook-format", "fax"), 2, "is not one of json, slack"),
        (("app.log", "--marker", "eaten=Yum"), 2, "--marker eaten=Yum"),
    ],
)
def test_invalid_options_are_refused_with_a_next_step(
    server: LoggingServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wscheck", "tail-logs", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    assert text in err
    assert "\n  next: " in err


@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("options", [("--format", "ndjson=/dev/full"), ("--format", "terminal")])
def test_a_full_disk_is_a_usage_error(server: LoggingServer, tmp_path: Path, options: tuple[str, ...]) -> None:
    server.connect("ada")
    with FULL_DEVICE.open("wb") as full:
        ran = run_to_end("--no-follow", "app.log", *options, directory=tmp_path, stdout=full)
    assert ran.returncode == 2
    assert "cannot be written: No space left on device.\n  next: " in ran.stderr


def test_an_unreadable_log_is_refused(server: LoggingServer, tmp_path: Path) -> None:
    (tmp_path / "dir.log").mkdir()
    (tmp_path / "loop.log").symlink_to("loop.log")
    ran = run_to_end("loop.log", directory=tmp_path)
    assert (ran.returncode, "The log loop.log cannot be read" in ran.stderr) == (3, True)


def test_a_marker_that_read_nothing_is_explained(server: LoggingServer, tmp_path: Path) -> None:
    server.line(b"INFO bot: user ann came on aaaaaaaaaaaaaaaaaaaa")
    output = run_to_end("--no-follow", "--marker", "connected=came on", "app.log", directory=tmp_path).stdout
    assert "a marker matches the start of a message, and ids are read from named values" in " ".join(output.split())
