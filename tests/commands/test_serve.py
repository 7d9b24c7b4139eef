"""`wscheck serve` as a user runs it: it says where it listens, serves a whole verify run, and ends when asked to."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import COMMAND, environment, wscheck
from wscheck.commands.serve import serve


@contextmanager
def serving(tmp_path: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The process, its URL, and the file that its stdout goes to."""
    log, told = tmp_path / "server.log", tmp_path / "told"
    with log.open("w") as out, told.open("w") as err:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *options],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=out,
            stderr=err,
            text=True,
        )
    try:
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on (\S+)", told.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, told.read_text()
            time.sleep(0.02)
        yield process, str(found[1]), log
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ended_by_a_signal_exits_with_0(stop: signal.Signals, tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url, _):
        assert url.startswith("http://127.0.0.1:")
        os.kill(process.pid, stop)
        assert process.wait(15) == 0


@pytest.mark.parametrize(("format", "told"), [("blocks", "WebSocket client connected\n• socketId: "), ("json", '{"')])
def test_serve_answers_verify_and_writes_the_documented_log(format: str, told: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", format) as (_, url, log):
        ran = wscheck(
            "verify", url, "--scenario", "single-connection", "--window", "200ms", "--server-log", log,
            WSCHECK_TOKEN="token-of-user_123",
        )  # fmt: skip
        assert ran.code == 0, ran.said
        assert told in log.read_text()


def test_a_client_with_an_old_session_id_gets_400_without_a_message(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url, log):
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(f"{url}/socket.io/?EIO=4&transport=polling&sid=gone", timeout=10)
        refused.value.close()
        assert len((tmp_path / "told").read_text().splitlines()) == 2
        assert log.read_text() == ""


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("--policy", "eject", "replace"),
        ("--fault", "double-trouble", "never-reap"),
        ("--log-format", "xml", "blocks"),
        ("--transports", "smoke", "polling"),
    ],
)
def test_a_value_outside_the_choices_is_rejected(option: str, value: str, known: str) -> None:
    ran = wscheck("serve", "--port", "0", option, value)
    assert ran.code == 2
    assert value in ran.err and known in ran.err and "next:" in ran.err


def test_serve_prints_a_complete_verify_command(tmp_path: Path) -> None:
    with serving(tmp_path, "--namespace", "bots", "--path", "/ws") as (_, url, _log):
        first, _ = (tmp_path / "told").read_text().splitlines()
        assert first == f"check it: WSCHECK_TOKEN=token-of-user_123 wscheck verify {url} --namespace /bots --path /ws"
        arguments = [*first.partition("wscheck ")[2].split(), "--scenario", "single-connection", "--window", "200ms"]
        ran = wscheck(*arguments, WSCHECK_TOKEN="token-of-user_123")
        assert ran.code == 0, ran.said


def test_an_invalid_address_is_rejected() -> None:
    ran = wscheck("serve", "--port", "0", "--host", "256.1.1.1")
    assert ran.code == 2
    assert "Cannot listen on 256.1.1.1:0" in ran.err and "--host" in ran.err


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url, _log):
        ran = wscheck("serve", "--port", url.rpartition(":")[2])
        assert ran.code == 2
        assert "already" in ran.err and "next:" in ran.err and "Traceback" not in ran.said


def test_a_defect_while_serving_is_not_reported_as_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("wscheck.backend.server.serve_backend", broken)
    with pytest.raises(ValueError, match="a defect"):
        serve(port=0)
