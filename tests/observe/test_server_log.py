"""Tests of a server log that is read during a run."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.run.verify.runs import plan_run
from wscheck.model.errors import BadEvidence
from wscheck.model.events import Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.server_log import ServerLog, open_log
from wscheck.run.verify.targets import RemoteServer

TOKEN = "no-such-token-9917"


def connected(sid: str, user: str = "A") -> str:
    return f"WebSocket client connected\n• socketId: {sid}\n• userId: {user}\n"


@asynccontextmanager
async def followed(log: ServerLog) -> AsyncIterator[list[Event]]:
    """What the log tells while the block runs."""
    events: list[Event] = []
    log.sink = events.append
    with closing(log):
        following = asyncio.ensure_future(log.follow())
        try:
            yield events
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def sids(events: list[Event]) -> list[str | None]:
    return [event.sid for event in events if isinstance(event, Connected)]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


async def test_earlier_lines_are_skipped_and_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    append(path, connected("before"))
    async with followed(open_log(str(path))) as events:
        await asyncio.sleep(0)
        append(path, connected("ours"))
        await until(lambda: bool(events))
    assert [(event.line, event.path) for event in events] == [(4, str(path))] and sids(events) == ["ours"]


async def test_a_rotated_log_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    append(path, "the server began\n")
    async with followed(open_log(str(path))) as events:
        append(path, connected("s1"))
        await until(lambda: sids(events) == ["s1"])
        path.rename(tmp_path / "server.log.1")
        append(path, connected("s2"))
        await until(lambda: sids(events) == ["s1", "s2"])


async def test_a_named_pipe_is_read_before_it_has_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with followed(open_log(str(path))) as events:
        append(path, connected("s1"))
        await until(lambda: sids(events) == ["s1"])


@pytest.mark.parametrize("name", ["", "nowhere.log"])
def test_an_unreadable_report_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadEvidence, match=str(tmp_path / name)):
        open_log(str(tmp_path / name))


async def test_a_token_that_the_server_logs_is_redacted_after_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.touch()
    log = open_log(str(path), redactor=Redactor([Secret(TOKEN)]))
    told = (
        connected(TOKEN)
        + f"Replacing existing socket for user\n• userId: A\n• oldSocketId: {TOKEN}\n• newSocketId: s2\n"
        + f"WebSocket client disconnected\n• socketId: s2\n• reason: no {TOKEN}\n"
    )
    async with followed(log) as events:
        append(path, told)
        await until(lambda: len(events) == 3)
    assert [type(event) for event in events] == [Connected, Replaced, Disconnected]
    assert repr(events).count(TOKEN) == 3
    redacted = repr(Redactor([Secret(TOKEN)]).redact_data(events))
    assert TOKEN not in redacted and redacted.count("hidden-1") == 3


async def test_a_truncated_excerpt_contains_no_part_of_a_token(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.touch()
    redactor = Redactor([Secret(TOKEN)])
    log = open_log(str(path), reader_factory((), (), {}, redactor=redactor), redactor)
    async with followed(log) as events:
        append(path, "2026-11-25T01:00:00Z INFO WebSocket client connected socketId=s1 userId=A\n")
        append(path, 'WebSocket client connected {"x": "' + "x" * 160 + TOKEN + '"}\n')
        await until(lambda: any(isinstance(event, Unreadable) for event in events))
    assert TOKEN[:8] not in repr(events) and "xxx" in repr(events)


def test_the_configured_markers_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wscheck.toml").write_text('[logs.markers]\nconnected = "ws up"\n[logs.keys]\nsid = "conn"\n')
    monkeypatch.chdir(tmp_path)
    servers = plan_run(url="http://127.0.0.1:9").servers
    assert isinstance(servers, RemoteServer)
    reader = servers._new_reader("server.log")
    assert sids(reader.feed(b"ws up conn=s1 userId=A\n") + reader.flush(at_end=True)) == ["s1"]


async def test_a_quote_contains_no_secret_and_is_of_the_current_phase(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.touch()
    log = open_log(str(path), redactor=Redactor([Secret(TOKEN)]))
    async with followed(log) as events:
        append(path, f"peer joined conn=s1-A with {TOKEN} and password=hunter22 {'x' * 500}\n")
        await until(lambda: bool(log.find_mention(["s1-A"])))
        told = log.find_mention(["s1-A"])
        assert told.startswith("peer joined conn=s1-A with hidden-1") and len(told) == 200
        assert TOKEN not in told and "hunter22" not in told
        log.start_phase(events.append)
        assert log.find_mention(["s1-A"]) == ""


def test_a_log_catches_up_with_what_is_written_at_once(tmp_path: Path) -> None:
    """The last record might continue on a further line. Nothing waits for one when a scenario ends."""
    path = tmp_path / "server.log"
    path.touch()
    log, events = open_log(str(path)), list[Event]()
    log.start_phase(events.append)
    for end, told in (("s2'\n}\n", ["s1", "s2"]), ("s3'\n}\n", ["s1", "s2", "s3"])):
        start = "" if events else "{\n  msg: 'WebSocket client connected',\n  userId: 'A',\n  socketId: 's1'\n}\n"
        append(path, f"{start}{{\n  msg: 'WebSocket client connected',\n  userId: 'A',\n  socketId: '")
        log.catch_up()
        assert sids(events) == told[:-1]
        append(path, end)
        log.catch_up()
        assert sids(events) == told
    log.close()
