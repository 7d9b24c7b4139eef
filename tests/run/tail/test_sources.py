"""Sources of lines: one or several files, pipes, archives, directories, and files that do not exist yet."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wscheck
from tests.run.tail.process import (
    LoggingServer,
    TailProcess,
    environment,
    record,
    run_for_report,
    run_to_end,
    wait_until,
)
from wscheck.model.findings import Verdict

T = 1_794_985_200.0  # 2026-11-18 07:00 UTC
NDJSON = ("--format", "ndjson")


def connected(user: str, sid: str, at: float | None = None) -> bytes:
    return record("WebSocket client connected", at, socketId=sid, userId=user) + b"\n"


def test_stdin_is_read(tmp_path: Path) -> None:
    text = connected("ada", "a", T) + connected("ada", "b", T + 10) + connected("bob", "c", T + 20)
    ran = subprocess.run(
        [sys.executable, "-m", "wscheck", "tail-logs", "-"],
        input=text,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert b"holds 2 connections at once" in ran.stdout
    assert b"<stdin>" in ran.stdout


@pytest.mark.parametrize(("cut", "code", "reason"), [(0, 0, ""), (9, 3, "<stdin> is not a complete gzip file")])
def test_gzip_data_on_stdin_is_unpacked(tmp_path: Path, cut: int, code: int, reason: str) -> None:
    noise = os.urandom(1_000_000).hex().encode() + b"\n"
    packed = gzip.compress(connected("ada", "a", T) + noise + connected("bob", "b", T)) + gzip.compress(noise)
    ran = subprocess.run(
        [sys.executable, "-m", "wscheck", "tail-logs", "--no-follow", "--format", "json", "-"],
        input=packed[: len(packed) - cut],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["events"]["connected"]) == (code, 2)
    assert reason in report.get("reason", "")


def test_stdin_is_followed_until_its_writer_closes_it(tmp_path: Path) -> None:
    with TailProcess("-", "--reorder", "0s", *NDJSON, directory=tmp_path, stdin=subprocess.PIPE) as tail:
        assert tail.process.stdin is not None
        for n in range(3):
            tail.process.stdin.write(connected("ada", f"s{n}"))
            tail.process.stdin.flush()
            tail.until_connected(n + 1)
        # Three connections at the end, which comes before the grace period is over: inconclusive.
        tail.process.stdin.close()
        assert tail.wait() == 3
        assert tail.err == ""


def test_pipes_and_a_file_feed_one_ledger(tmp_path: Path) -> None:
    """Test the form `wscheck tail-logs <(kubectl logs -f a) <(kubectl logs -f b)`."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("fifo", "app.log", *NDJSON, directory=tmp_path, ready=False) as tail:
        with fifo.open("wb", buffering=0) as pipe:
            wait_until(lambda: tail.out)
            pipe.write(connected("ada", "a"))
            server.connect("ada", sid="b")
            [incident] = wait_until(lambda: tail.incidents("opened"))
        assert incident["rule"] == "multiple-connections"
        assert {event["path"] for event in incident["evidence"]} == {"fifo", "app.log"}


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can a pipe without a writer yet be recognised")
def test_a_pipe_without_a_writer_delays_no_other_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("fifo", "app.log", *NDJSON, directory=tmp_path) as tail:
        server.connect("ada", sid="a")
        wait_until(lambda: tail.connected == ["a"])
        (tmp_path / "fifo").write_bytes(connected("bob", "b"))
        wait_until(lambda: tail.connected == ["a", "b"])


def test_generations_are_read_in_the_order_of_their_writing(tmp_path: Path) -> None:
    """The lines have no time, so only the order of the files shows what happened first."""
    server = LoggingServer(tmp_path / "app.log", blocks=True)
    first = server.connect("ada")
    server.rotate()
    server.pack("1")
    server.reopen()
    second = server.replace("ada", first)
    server.rotate()
    server.reopen()
    server.disconnect(second)
    for names in (("app.log", "app.log.1", "app.log.2.gz"), (".",), ("app.log*",)):
        report = run_for_report(*names, directory=tmp_path)
        assert report["sources"] == ["app.log.2.gz", "app.log.1", "app.log"]
        assert report["users"] == {
            "ada": {"connects": 2, "replacements": 1, "disconnects": 2, "open": [], "max_open": 2}
        }


def test_a_forged_record_is_not_read_after_a_rotation(tmp_path: Path) -> None:
    record = b"[2026-01-15T09:30:0%d.100Z] WebSocket client connected { socketId: 's%d', userId: 'u%d' }\n"
    (tmp_path / "app.log.2").write_bytes(record % (1, 1, 1))
    (tmp_path / "app.log.1").write_bytes(b"[2026-01-15T09:30:02.000Z] tick\n")
    sent = b"[2026-01-15T09:30:03.000Z] chat: hi\nWebSocket client connected\n- socketId: FORGED\n- userId: victim\n"
    (tmp_path / "app.log").write_bytes(sent + record % (4, 4, 4))
    report = run_for_report(".", directory=tmp_path)
    assert (sorted(report["users"]), report["unreadable"]) == (["u1", "u4"], 1)


def test_a_single_gz_file_is_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "old.log.gz", "wb") as packed:
        packed.writelines(connected(f"user {n}", f"s{n}", T + n) for n in range(1000))
    report = run_for_report("old.log.gz", directory=tmp_path)
    assert (report["events"]["connected"], report["verdict"], report["code"]) == (1000, "passed", 0)


def test_a_cut_off_gz_file_is_inconclusive(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(connected(f"user {n}", f"s{n}", T + n) for n in range(1000)))
    (tmp_path / "app.log.1.gz").write_bytes(whole[:-2])
    (tmp_path / "app.log").write_bytes(connected("ada", "a", T + 2000))
    report = run_for_report(".", directory=tmp_path)
    assert (report["events"]["connected"], report["verdict"], report["code"]) == (1001, "inconclusive", 3)
    assert "app.log.1.gz is not a complete gzip file" in report["reason"]


def test_a_duplicate_log_counts_once_and_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"".join(connected("ada", f"s{n}", T + n) for n in range(3)))
    (tmp_path / "app.log.gz").write_bytes(gzip.compress(log.read_bytes()))
    (tmp_path / "link.log").symlink_to(log)
    ran = run_to_end("--no-follow", "--format", "json", ".", "app.log", directory=tmp_path)
    assert json.loads(ran.stdout)["events"]["connected"] == 3
    left_out = "link.log (another name of app.log), app.log.gz (packed from app.log)"
    assert ran.stderr == f"wscheck: left out, because their content would count twice: {left_out}\n"


def test_new_logs_in_a_directory_are_followed(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    old = LoggingServer(logs / "a.log", node="a")
    old.connects(3)
    (logs / "readme.md").write_bytes(connected("nobody", "x"))
    with TailProcess("logs", *NDJSON, directory=tmp_path) as tail:
        old.connect()
        new = LoggingServer(logs / "b.log", node="b")
        new.connects(2)
        old.connect()
        wait_until(lambda: len(tail.connected) == 4)
        assert sorted(tail.connected) == ["a3", "a4", "b0", "b1"]


def test_a_pattern_without_matches_is_followed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with TailProcess("logs/*.log", *NDJSON, directory=tmp_path) as tail:
        wait_until(lambda: tail.out)
        server = LoggingServer(tmp_path / "logs" / "a.log")
        server.connects(3)
        wait_until(lambda: tail.connected == server.sids)
        assert tail.end() == 0


def test_a_missing_file_is_awaited(tmp_path: Path) -> None:
    with TailProcess("app.log", *NDJSON, directory=tmp_path) as tail:
        assert "app.log does not exist yet: waiting for it." in wait_until(lambda: tail.err)
        server = LoggingServer(tmp_path / "app.log")
        server.connects(3)
        wait_until(lambda: tail.connected == server.sids)


def test_a_user_on_two_nodes_is_found(tmp_path: Path) -> None:
    one, two = LoggingServer(tmp_path / "one.log", node="1-"), LoggingServer(tmp_path / "two.log", node="2-")
    with TailProcess("one.log", "two.log", "--quiet-after", "200ms", *NDJSON, directory=tmp_path) as tail:
        one.connect("ada")
        here = two.connect("ada")
        one.connect("bob")  # it lives
        [incident] = wait_until(lambda: tail.incidents("opened"))
        assert (incident["rule"], incident["user"]) == ("multiple-connections", "ada")
        two.disconnect(here)
        wait_until(lambda: tail.incidents("resolved"))
        assert {line["node"] for line in tail.records if line.get("type") == "connected"} == {"one.log", "two.log"}


def test_a_restart_expires_the_connections_of_that_server(tmp_path: Path) -> None:
    one, two = LoggingServer(tmp_path / "one.log", node="1-"), LoggingServer(tmp_path / "two.log", node="2-")
    stays = two.connect("bob")
    one.connect("ada")
    one.connect("bea")
    options = ("one.log", "two.log", "--from-start", "--marker", "restarted=Server is up", "--format", "json")
    with TailProcess(*options, directory=tmp_path) as tail:
        one.line(b"Server is up")
        again = one.connect("ada")
        assert "the server one.log restarted: 2 open connections expired (one.log:3)" in wait_until(lambda: tail.err)
        assert tail.end() == 0
        report = json.loads(tail.out)
    assert {user: summary["open"] for user, summary in report["users"].items()} == {
        "ada": [again],
        "bob": [stays],
        "bea": [],
    }
    assert report["findings"] == []


def test_a_stale_connection_expires_and_is_reported(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--stale-after", "300ms", directory=tmp_path) as tail:
        sid = server.connect("ada")
        text = wait_until(lambda: tail.out)
        assert f"ada: connection {sid} expired: nothing heard of it for too long" in text
        assert tail.end() == 0


@pytest.mark.parametrize(
    ("window", "users"),
    [
        (("--since", "2026-11-18T07:10:00+00:00"), {"bob", "kim", "stays"}),
        (("--until", "2026-11-18T07:10:00Z"), {"ada", "bob", "stays"}),
        (("--since", "2026-11-18T07:08:00Z", "--until", "2026-11-18T07:12:00Z"), {"bob", "stays"}),
    ],
)
def test_since_and_until(tmp_path: Path, window: tuple[str, ...], users: set[str]) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect("stays", T)
    server.disconnect(server.connect("ada", T + 300), T + 400)
    server.connect("bob", T + 600)
    server.connect("kim", T + 900)
    assert set(run_for_report("app.log", *window, directory=tmp_path)["users"]) == users


def test_a_connection_from_before_since_counts_while_it_is_open(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect("ada", T, sid="old")
    server.connect("ada", T + 600, sid="new")
    server.connect("bob", T + 700)
    [finding] = run_for_report("app.log", "--since", "2026-11-18T07:10:00Z", directory=tmp_path)["findings"]
    assert (finding["rule"], finding["user"]) == ("multiple-connections", "ada")


def test_an_overlap_at_until_is_inconclusive(tmp_path: Path) -> None:
    """A user with two connections at `--until` may be in the middle of a replacement, although the log continues."""
    server = LoggingServer(tmp_path / "app.log")
    server.connect("ada", T)
    server.connect("ada", T + 600)
    server.disconnect(server.connect("bob", T + 900), T + 901)
    report = run_for_report("app.log", "--until", "2026-11-18T07:10:00.100Z", directory=tmp_path)
    assert (report["verdict"], report["findings"]) == ("inconclusive", [])
    assert "too early to decide" in report["reason"]


def test_since_reads_existing_content_and_until_ends_following(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.disconnect(server.connect("ada", at=T), at=T + 1)
    server.connect("bob")
    ran = run_to_end("app.log", "--since", "1h", "--until", "0s", *NDJSON, directory=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert '"bob"' in ran.stdout
    assert '"ada"' not in ran.stdout


def test_rules_that_need_times_are_not_evaluated_without_them(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log", blocks=True)
    for _ in range(9):
        server.disconnect(server.connect("ada"))
    report = run_for_report("app.log", directory=tmp_path)
    assert (report["verdict"], report["code"], report["findings"]) == ("inconclusive", 3, [])
    assert "no event has a time" in report["reason"]
    timed = LoggingServer(tmp_path / "timed.log")
    for n in range(9):
        timed.disconnect(timed.connect("ada", T + n), T + n + 0.5)
    assert run_for_report("timed.log", directory=tmp_path)["findings"][0]["rule"] == "excessive-attempts"


def test_followed_lines_without_a_time_get_the_time_of_arrival(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log", blocks=True)
    with TailProcess("app.log", *NDJSON, directory=tmp_path) as tail:
        for _ in range(7):
            server.disconnect(server.connect("ada"))
        wait_until(lambda: [i for i in tail.incidents("opened") if i["rule"] == "excessive-attempts"])
        assert tail.end(signal.SIGTERM) == 1


def test_markers_and_keys_are_read(tmp_path: Path) -> None:
    lines = [b'{"msg":"user online","uid":"ada","conn":"%d","time":%d}\n' % (n, 1000 * T + n) for n in range(2)]
    (tmp_path / "app.log").write_bytes(b"".join(lines))
    words: tuple[Any, ...] = ("--marker", "connected=user online", "--key", "user=uid", "--key", "sid=conn")
    assert run_for_report("app.log", directory=tmp_path)["users"] == {}
    assert run_for_report("app.log", *words, directory=tmp_path)["users"]["ada"]["open"] == ["0", "1"]


def test_the_users_option_limits_the_list_of_users(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    for _ in range(3):
        server.disconnect(server.connect("bob"))
    server.replace("ada", server.connect("ada"))
    few = list(run_for_report("app.log", "--users", "2", directory=tmp_path)["users"])
    assert few == ["ada", "bob"]
    assert len(run_for_report("app.log", directory=tmp_path)["users"]) == 52


def test_an_export_of_many_lines_with_the_newest_first_is_sorted(tmp_path: Path) -> None:
    moments = [("connected", 0), ("disconnected", 5), ("connected", 9), ("disconnected", 12)]
    lines = [
        f'{{"time":{1795000000000 + at * 1000},"msg":"WebSocket client {word}","userId":"a","socketId":"s{at // 9}"}}\n'
        for word, at in moments
    ]
    log = tmp_path / "app.log"
    log.write_text(("GET /assets/app.js 200\n" * 60_000).join(reversed(lines)))
    report = wscheck.read_log(log)
    assert (report.verdict, [gap.id for gap in report.gaps if gap.blocks]) == (Verdict.PASSED, [])
