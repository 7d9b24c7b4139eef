"""How a run ends: by a signal, by a broken pipe, by itself, each with its documented exit code."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.run.tail.running import Server, Tail, finished, judged, until
from wscheck.cli import main

FULL = Path("/dev/full")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "app.log")


def test_sigterm_tells_what_was_written_by_then_and_the_summary(server: Server, tmp_path: Path) -> None:
    with Tail("app.log", "--format", "json", "--format", "ndjson=told", directory=tmp_path) as tail:
        server.connects(3)
        code = tail.end(signal.SIGTERM)
        report = json.loads(tail.out)
    assert (code, report["events"]["connected"], report["verdict"]) == (0, 3, "passed")
    assert report["interrupted"] is False
    assert len((tmp_path / "told").read_bytes().splitlines()) == 4


def test_ctrl_c_too_and_is_an_interruption(server: Server, tmp_path: Path) -> None:
    with Tail("app.log", directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        until(lambda: "opened connection-replaced ada" in tail.out)
        assert tail.end(signal.SIGINT) == 130
        assert "FAILED" in tail.out
        assert tail.err == ""


def test_a_half_record_at_the_end_is_told_when_it_ends(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log", blocks=True)
    with Tail("app.log", "--format", "ndjson", directory=tmp_path) as tail:
        server.raw("WebSocket client disconnected\n• socketId: abc\n".encode())
        tail.end()
        assert [line["sid"] for line in tail.told if line.get("type") == "disconnected"] == ["abc"]


def test_nothing_seen_proves_nothing(server: Server, tmp_path: Path) -> None:
    server.line(b'{"msg":"server is up"}')
    report = judged("app.log", directory=tmp_path)
    assert (report["verdict"], report["code"]) == ("inconclusive", 3)
    assert "no connection event was found" in report["reason"]
    (tmp_path / "app.log").rename(tmp_path / ("a-log-with-a-long-name" * 5))
    told = finished("--no-follow", "a-log-with-a-long-name" * 5, directory=tmp_path).stdout
    command = f"wscheck tail-logs --no-follow --marker connected='YOUR WORDS' {'a-log-with-a-long-name' * 5}"
    assert f"\n  next  {command}\n" in told  # whole on its line, however narrow that is


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
def test_a_log_in_which_nobodys_connections_can_be_counted_proves_nothing(
    server: Server, tmp_path: Path, line: bytes, hint: str
) -> None:
    server.line(b"2026-01-15T09:30:00Z INFO " + line)
    report = judged("app.log", "--format", "ndjson=recorded", directory=tmp_path)
    assert (report["verdict"], report["code"], report["findings"]) == ("inconclusive", 3, [])
    assert "connections could not be counted for any user" in report["reason"]
    assert hint in finished("--no-follow", "app.log", directory=tmp_path).stdout
    again = subprocess.run(
        [sys.executable, "-m", "wscheck", "verify", "--from", "recorded", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (again.returncode, json.loads(again.stdout)["reason"]) == (3, report["reason"])


@pytest.mark.parametrize("missing", ["socketId", "userId", ""], ids=["whose", "which", "none missing"])
def test_a_connection_of_which_a_part_is_unknown_may_be_anybodys(server: Server, tmp_path: Path, missing: str) -> None:
    """Beside others that are known, in the log and in its recording."""
    server.connects(2)
    known = {"socketId": "AbCdEfGhIjKlMnOpQr01", "userId": "ada"}
    ids = {key: known[key] for key in known if key == missing or not missing}
    server.record("WebSocket client connected", None, **ids)
    report = judged("app.log", "--format", "ndjson=recorded", directory=tmp_path)
    assert (report["code"], report["findings"]) == (3 if missing else 0, [])
    assert report["reason"].startswith("1 connection is not known with both user and socket" if missing else "")
    assert wscheck("verify", "--from", str(tmp_path / "recorded")).code == report["code"]


OTHERWISE = b"INFO Socket opened uid=ada socketId=%s", b"INFO Socket gone socketId=%s"


def test_words_that_are_not_known_are_proposed_with_what_reads_them(server: Server, tmp_path: Path) -> None:
    """Also where they stand only in the beginning of a long log."""
    for sid in (b"one", b"two"):
        for line in OTHERWISE:
            server.line(line % sid)
    server.raw(b"tick\n" * 40_000)
    report = judged("app.log", directory=tmp_path)
    assert (report["verdict"], report["events"]["connected"]) == ("inconclusive", 0)
    open_session = {"marker": "Socket opened", "keys": ["user=uid"], "example": (OTHERWISE[0] % b"one").decode()}
    gone = {"marker": "Socket gone", "keys": [], "example": (OTHERWISE[1] % b"one").decode()}
    assert report["suggested"] == [
        {"kind": "connected", "lines": 2, **open_session},
        {"kind": "disconnected", "lines": 2, **gone},
    ]
    told = finished("--no-follow", "app.log", directory=tmp_path).stdout
    options = "--marker connected='Socket opened' --key user=uid --marker disconnected='Socket gone'"
    assert f"wscheck tail-logs --no-follow {options} app.log" in " ".join(told.split())
    again = judged(*shlex.split(options), "app.log", directory=tmp_path)
    assert (again["events"]["connected"], again["events"]["disconnected"], again["suggested"]) == (2, 2, [])


def test_a_log_that_words_only_its_replacements_as_documented_is_told_so(server: Server, tmp_path: Path) -> None:
    server.record("Replacing existing socket for user", userId="ada", oldSocketId="a", newSocketId="b")
    told = finished("--no-follow", "app.log", directory=tmp_path).stdout
    assert "no line reports an opened connection" in told
    assert "--marker connected='YOUR WORDS'" in " ".join(told.split())
    server.line(OTHERWISE[0] % b"b")
    told = finished("--no-follow", "app.log", directory=tmp_path).stdout
    hint = "1 line may report opened connections in an unknown wording; to read them, add --marker connected="
    assert f"{hint}'Socket opened'" in " ".join(told.split())
    assert "no line reports" not in told


def test_for_a_while_is_for_a_while(server: Server, tmp_path: Path) -> None:
    server.connect()
    began = time.monotonic()
    ran = finished("app.log", "--for", "300ms", directory=tmp_path)
    assert (ran.returncode, 0.3 < time.monotonic() - began < 30.0) == (3, True)


def test_a_reader_that_leaves_ends_it_even_while_nothing_happens(server: Server, tmp_path: Path) -> None:
    with Tail("app.log", "--format", "ndjson", directory=tmp_path, stdout=subprocess.PIPE) as tail:
        assert tail.process.stdout is not None
        assert b'"schema"' in tail.process.stdout.readline()
        tail.process.stdout.close()
        assert tail.wait() == 0
        assert tail.err == ""


def test_a_reader_that_leaves_in_the_middle(server: Server, tmp_path: Path) -> None:
    server.connects(20_000)
    with Tail(
        "app.log", "--no-follow", "--format", "ndjson", directory=tmp_path, ready=False, stdout=subprocess.PIPE
    ) as tail:
        head = subprocess.run(["head", "-2"], stdin=tail.process.stdout, capture_output=True, check=True)
        assert tail.process.stdout is not None
        tail.process.stdout.close()
        assert tail.wait() == 0
        assert tail.err == ""
    assert len(head.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "code", "said"),
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
def test_what_cannot_be_is_refused_with_a_next_step(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wscheck", "tail-logs", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    assert said in err
    assert "\n  next: " in err


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("options", [("--format", "ndjson=/dev/full"), ("--format", "terminal")])
def test_a_disk_that_is_full_is_said_and_is_no_defect(server: Server, tmp_path: Path, options: tuple[str, ...]) -> None:
    server.connect("ada")
    with FULL.open("wb") as full:
        ran = finished("--no-follow", "app.log", *options, directory=tmp_path, stdout=full)
    assert ran.returncode == 2
    assert "cannot be written: No space left on device.\n  next: " in ran.stderr


def test_a_log_that_may_not_be_read_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "dir.log").mkdir()
    (tmp_path / "loop.log").symlink_to("loop.log")
    ran = finished("loop.log", directory=tmp_path)
    assert (ran.returncode, "The log loop.log cannot be read" in ran.stderr) == (3, True)


def test_it_is_said_where_words_count_that_were_named_and_read_nothing(server: Server, tmp_path: Path) -> None:
    server.line(b"INFO bot: user ann came on aaaaaaaaaaaaaaaaaaaa")
    told = finished("--no-follow", "--marker", "connected=came on", "app.log", directory=tmp_path).stdout
    assert "a marker matches the start of a message, and ids are read from named values" in " ".join(told.split())
