"""Tests of unusable recordings: exit code 3 and a message with the file and line, never a verdict."""

import json
from pathlib import Path

import pytest

from tests.cli import wscheck


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recorded") / "run.ndjson"
    ran = wscheck(
        "verify", "--scenario", "single-connection", "--window", "200ms", "--format", f"ndjson={file}", within=60
    )
    assert ran.code == 0, ran.said
    return file


def error_message(file: Path) -> str:
    ran = wscheck("verify", "--from", file)
    assert ran.code == 3 and "next: " in ran.err and ran.err.count("\n") == 2, ran.said
    return ran.err


def test_a_missing_recording_is_refused(tmp_path: Path) -> None:
    assert "nowhere.ndjson" in error_message(tmp_path / "nowhere.ndjson")


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").touch()
    assert "empty.ndjson" in error_message(tmp_path / "empty.ndjson")


@pytest.mark.parametrize("lost", ["a line", "half a line"])
def test_a_truncated_recording_is_refused(recording: Path, tmp_path: Path, lost: str) -> None:
    data = recording.read_bytes()
    drop_network = data.rstrip(b"\n").rfind(b"\n") + 1
    short = tmp_path / "short.ndjson"
    short.write_bytes(data[:drop_network] if lost == "a line" else data[: drop_network + 10])
    assert "short.ndjson" in error_message(short)


def test_a_line_that_is_not_an_event_is_refused(recording: Path, tmp_path: Path) -> None:
    lines = recording.read_bytes().splitlines(keepends=True)
    broken = tmp_path / "broken.ndjson"
    broken.write_bytes(b"".join([*lines[:3], b'{"type":"connected","sid":7}\n', *lines[4:]]))
    assert "broken.ndjson:4" in error_message(broken)


def test_a_recording_of_a_newer_version_is_refused(recording: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.ndjson"
    newer.write_bytes(recording.read_bytes().replace(b"wscheck.events/1", b"wscheck.events/9", 1))
    assert "wscheck.events/9" in error_message(newer)


FLAGS = [
    ("--grace", "1s"),
    ("--scenario", "race"),
    ("http://127.0.0.1:9",),
    ("--narrate",),
    ("--marker", "connected=hi"),
    ("--key", "user=who"),
]


@pytest.mark.parametrize("flag", FLAGS)
def test_flags_without_effect_on_a_recording_are_refused(recording: Path, flag: tuple[str, ...]) -> None:
    ran = wscheck("verify", "--from", recording, *flag)
    named = "URL" if flag[0].startswith("http") else flag[0]
    assert ran.code == 2 and f"{named} would change nothing" in ran.err, ran.said


def test_a_missing_server_log_is_refused() -> None:
    ran = wscheck("verify", "http://127.0.0.1:9", "--server-log", "/no/such.log")
    assert ran.code == 3 and "/no/such.log" in ran.err


CONNECTED = '{"time":%s,"msg":"WebSocket client connected","userId":"ada","socketId":"%s"}\n'
INCONCLUSIVE_LOGS = {
    "no connection event was found": '{"time":1795000000000,"msg":"server is up"}\n',
    "no event has a time": "WebSocket client connected\n• socketId: abc\n• userId: ada\n",
    "could not be read": CONNECTED % (1795000000000, "a") + "WebSocket client connected {\n",
    "ada holds 2 connections": CONNECTED % (1795000000000, "a") + CONNECTED % (1795000000100, "b"),
}


@pytest.mark.parametrize("reason", INCONCLUSIVE_LOGS)
def test_a_log_and_its_recording_are_inconclusive_for_the_same_reason(tmp_path: Path, reason: str) -> None:
    (tmp_path / "app.log").write_text(INCONCLUSIVE_LOGS[reason])
    outputs = ("--format=json", "--format=ndjson=run.ndjson")
    read = wscheck("tail-logs", "--no-follow", "app.log", *outputs, cwd=tmp_path)
    again = wscheck("verify", "--from", "run.ndjson", "--format=json", cwd=tmp_path)
    told = [(ran.code, json.loads(ran.out)["verdict"], json.loads(ran.out)["reason"]) for ran in (read, again)]
    assert told[0] == told[1] and told[0][:2] == (3, "inconclusive")
    assert reason in told[0][2]


def test_a_recording_is_evaluated_with_another_policy(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(CONNECTED % (1795000000000, "a") + CONNECTED % (1795000001000, "b"))
    wscheck("tail-logs", "--no-follow", "app.log", "--format=ndjson=run.ndjson", cwd=tmp_path)

    def verdict(*options: str) -> str:
        return str(
            json.loads(wscheck("verify", "--from", "run.ndjson", *options, "--format=json", cwd=tmp_path).out)[
                "verdict"
            ]
        )

    assert (verdict(), verdict("--connections", "2")) == ("inconclusive", "passed")
