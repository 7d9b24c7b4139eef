"""Files that are not HAR files, truncated or without content: reported by name, and never a pass."""

import base64
import json
import os
import random
import resource
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cli import Ran, wscheck
from tests.observe.har.test_real import DEVTOOLS, FIXED, PLAYWRIGHT
from wscheck.detect.rules import RuleOptions
from wscheck.model.errors import BadEvidence
from wscheck.model.events import Connected, NotEvaluated, Unreadable
from wscheck.model.findings import Bar
from wscheck.observe.har import read_har_files
from wscheck.observe.har.har_file import load_har_file
from wscheck.observe.traffic import IdentityRule
from wscheck.observe.traffic.inconclusive import NO_TRAFFIC
from wscheck.report import REPORTERS
from wscheck.run.page_report import evaluate_pages, in_evaluation_order


def har(path: Path, *entries: dict[str, Any], creator: str = "WebInspector") -> Path:
    path.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": creator}, "entries": list(entries)}}))
    return path


def entry(url: str, status: int = 200, **more: Any) -> dict[str, Any]:
    return {
        "startedDateTime": "2026-11-23T16:05:39.181Z",
        "time": 5,
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": status, "content": {}},
        **more,
    }


def refused(path: Path) -> BadEvidence:
    with pytest.raises(BadEvidence) as raised:
        read_har_files([path])
    return raised.value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04rest", "is a ZIP archive"),
        (b"\x1f\x8b\x08rest", "is compressed"),
        (b"<html>", "is not a HAR file"),
        (b"\xff\xfe\x00", "is not a HAR file"),
        (b"[]", "is JSON but not a HAR file"),
        (b'{"log": {}}', "is JSON but not a HAR file"),
        (b'{"log": {"entries": 3}}', "is JSON but not a HAR file"),
        (b"[" * 100_000, "is JSON but not a HAR file"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "page.har"
    path.write_bytes(content)
    assert message in refused(path).problem
    assert str(path) in refused(path).problem


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.har").problem
    assert "Is a directory" in refused(tmp_path).problem


def test_attached_bodies_are_read_only_from_the_folder_of_the_har(tmp_path: Path) -> None:
    """A HAR file from someone else must not put other local files into the report."""
    folder, secret = tmp_path / "har", tmp_path / "secret.js"
    folder.mkdir()
    secret.write_text("mine")
    folder.joinpath("a1b2.js").write_text("attached")
    bodies = ("a1b2.js", "../secret.js", str(secret), "none.js", "")
    path = har(
        folder / "page.har",
        *(entry("http://h/app.js?EIO=4", response={"status": 200, "content": {"_file": name}}) for name in bodies),
    )
    archive = load_har_file(path)
    assert [archive.body(each) for each in archive.entries] == ["attached", None, None, None, None]


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for content, said in ((FIXED.read_bytes(), ""), (b"", "is empty")):
        writing = Thread(target=pipe.write_bytes, args=(content,))
        writing.start()
        assert said in refused(pipe).problem if said else len(read_har_files([pipe]).pages) == 1
        writing.join()


def test_a_truncated_har_is_refused(tmp_path: Path) -> None:
    whole, path = DEVTOOLS.read_bytes().strip(), tmp_path / "cut.har"
    for length in range(1, len(whole), 379):
        path.write_bytes(whole[:length])
        assert "is cut short" in refused(path).problem, length


def test_a_har_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "page.har"
    path.write_bytes(b"\xef\xbb\xbf" + DEVTOOLS.read_bytes())
    assert len(read_har_files([path]).pages) == 1


def test_damaged_bytes_are_refused_or_read(tmp_path: Path) -> None:
    rng, whole, path = random.Random(7), DEVTOOLS.read_bytes(), tmp_path / "page.har"
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 12)):
            damaged[rng.randrange(len(damaged))] = rng.choice(b'0{}[]",:nt-\x80 ')
        path.write_bytes(damaged)
        try:
            read_har_files([path])
        except BadEvidence as problem:
            assert problem.next_step


@pytest.mark.parametrize(
    "wrong",
    [
        {"request": {"method": "GET"}},
        {"startedDateTime": "yesterday"},
        {"startedDateTime": 12},
        {"response": {"status": "200"}},
        {"request": {"url": 5}},
    ],
)
def test_invalid_entries_are_counted_and_the_others_evaluated(tmp_path: Path, wrong: dict[str, Any]) -> None:
    told = json.loads(FIXED.read_bytes())
    told["log"]["entries"].append(entry("http://localhost/socket.io/?EIO=4&transport=polling") | wrong)
    path = tmp_path / "page.har"
    path.write_text(json.dumps(told))
    contents = read_har_files([path])
    assert contents.notes[0] == f"1 entry of {path} cannot be read."
    assert [event for event in contents.events if isinstance(event, Unreadable)]
    assert len(contents.events) >= 4


FRAME = {"type": "send", "time": 1795882339.5, "opcode": 1, "data": '{"userId":"ann"}'}
SOCKET = {"_resourceType": "websocket", "_webSocketMessages": [FRAME]}


def gaps_of(path: Path) -> tuple[list[str], int]:
    """Return what was not evaluated, and the number of connections."""
    events = read_har_files([path]).events
    gaps = [event.reason for event in events if isinstance(event, NotEvaluated)]
    return gaps, sum(isinstance(event, Connected) for event in events)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"startedDateTime": "yesterday"},
            {"startedDateTime": None},
            {"startedDateTime": "0001-01-01T00:00:00+14:00"},
        ),
        *(
            {"request": None},
            {"request": {"url": 5}},
            {"request": {"url": "ws://[::1/ws"}},
            {"response": {"status": "x"}},
        ),
        *({"request": {"url": "ws://h:99999999/ws"}}, {"response": {"status": 10**30}}),
    ],
)
def test_an_invalid_entry_that_may_be_a_connection_is_a_gap(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = har(tmp_path / "page.har", entry("ws://h/ws", 101, **SOCKET), entry("ws://h/ws", 101, **SOCKET) | wrong)
    assert gaps_of(path) == ([f"{path}: entries that may be of connections cannot be read (1)"], 1)


@pytest.mark.parametrize(
    ("url", "kind", "may_be"),
    [
        *(("http://h/logo.png", "image", False), ("http://h/api", "xhr", False), ("http://h/api", None, False)),
        *(("http://h/socket.io/?EIO=4", "xhr", True), ("wss://h/", None, True), ("http://h/", "eventsource", True)),
    ],
)
def test_an_invalid_entry_of_another_resource_is_no_gap(tmp_path: Path, url: str, kind: str, may_be: bool) -> None:
    invalid = entry(url, _resourceType=kind) | {"startedDateTime": "yesterday"}
    path = har(tmp_path / "page.har", entry("ws://h/ws", 101, **SOCKET), invalid)
    assert bool(gaps_of(path)[0]) is may_be


@pytest.mark.parametrize("invalid", [None, 5, {}, FRAME | {"time": "x"}, FRAME | {"time": 1e300}, FRAME | {"data": 5}])
def test_an_invalid_message_is_a_gap_and_leaves_its_connection(tmp_path: Path, invalid: object) -> None:
    path = har(tmp_path / "page.har", entry("ws://h/ws", 101, **SOCKET | {"_webSocketMessages": [invalid, FRAME]}))
    assert gaps_of(path) == ([f"{path}: messages of connections cannot be read (1)"], 1)


@pytest.mark.parametrize("wrong", [{"time": "long"}, {"time": 1e308}, {"request": {"url": "ws://h/", "headers": None}}])
def test_an_invalid_duration_or_header_leaves_the_connection(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = har(tmp_path / "page.har", entry("ws://h/ws", 101, **SOCKET) | wrong)
    assert gaps_of(path) == ([], 1)


@pytest.mark.parametrize(
    "initiator",
    [None, 3, "script", {"stack": None}, {"stack": {"callFrames": 3}}, {"stack": {"callFrames": [{"url": 3}]}}],
)
def test_an_invalid_initiator_is_no_opener(tmp_path: Path, initiator: object) -> None:
    told = json.loads(DEVTOOLS.read_bytes())
    for each in told["log"]["entries"]:
        each["_initiator"] = initiator
    path = tmp_path / "page.har"
    path.write_text(json.dumps(told))
    assert {event.opener for event in read_har_files([path]).events if hasattr(event, "opener")} == {None}


def ran(path: Path, *options: str) -> Ran:
    return wscheck("har", path, *options)


def test_a_har_without_connections_of_the_page_is_inconclusive(tmp_path: Path) -> None:
    path = har(tmp_path / "page.har", entry("http://localhost/"), entry("ws://localhost/_next/webpack-hmr", 101))
    done = ran(path, "--format", "json")
    assert done.code == 3, done.said
    assert json.loads(done.out)["reason"] == NO_TRAFFIC


def test_a_har_without_websocket_messages_is_inconclusive(tmp_path: Path) -> None:
    path = har(tmp_path / "page.har", entry("ws://localhost/socket.io/?EIO=4&transport=websocket", 101))
    (gap,) = [event for event in read_har_files([path]).events if isinstance(event, NotEvaluated)]
    assert "without their messages" in gap.reason
    done = ran(path)
    assert done.code == 3 and "without their messages" in " ".join(done.out.split())


def test_a_har_without_response_bodies_is_inconclusive(tmp_path: Path) -> None:
    url = "http://localhost/socket.io/?EIO=4&transport=polling"
    path = har(tmp_path / "page.har", entry(url), entry(url + "&sid=E1"))
    (gap,) = [event for event in read_har_files([path]).events if isinstance(event, NotEvaluated)]
    assert "contains no response bodies" in gap.reason
    assert ran(path).code == 3


def test_a_huge_har_is_read_within_seconds_and_without_a_copy(tmp_path: Path) -> None:
    told = json.loads(DEVTOOLS.read_bytes())
    picture = entry("http://localhost/big.png", _resourceType="image")
    picture["response"]["content"] = {
        "size": 1,
        "encoding": "base64",
        "text": base64.b64encode(bytes(3_000_000)).decode(),
    }
    told["log"]["entries"] += [picture] * 30
    path = tmp_path / "page.har"
    path.write_text(json.dumps(told))
    assert path.stat().st_size > 110_000_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert len(read_har_files([path]).pages) == 1
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 180_000  # KiB: the mapped file without a copy


def test_an_http_error_of_a_proxy_is_a_refusal(tmp_path: Path) -> None:
    url = "http://localhost/socket.io/?EIO=4&transport=polling"
    gateway = entry(url, 502)
    gateway["response"]["content"] = {"text": "<html>Bad Gateway</html>"}
    done = ran(har(tmp_path / "page.har", gateway))
    assert done.code == 3 and "HTTP 502" in done.out


SECRETS = ("token-of-user_1", "cookie-secret-abcdef")


@pytest.mark.parametrize("path", [DEVTOOLS, PLAYWRIGHT])
@pytest.mark.parametrize("rule", ["auth.userId", "auth.token", "cookie.session", "header.cookie"])
def test_no_output_contains_a_token_or_a_cookie(path: Path, rule: str) -> None:
    assert all(secret in path.read_text() for secret in SECRETS), "the test data contain the secrets"
    contents = read_har_files([path], IdentityRule.parse(rule))
    told = evaluate_pages(
        contents.events, RuleOptions(), Bar(), target=str(path), pages=contents.pages, notes=contents.notes
    )
    assert len(told.connections) == 2
    for name, reporter in REPORTERS.items():
        rendered = reporter()(told, in_evaluation_order(contents.events))
        text = rendered if isinstance(rendered, str) else rendered.decode()
        assert len(text) > 100
        assert not [secret for secret in SECRETS if secret in text], name
