"""Hostile arguments of every tool, over the SDK's in-memory transport: each is refused with what to do."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.run.mcp.tool_client import called, connected, refusal, write
from wscheck.model.errors import UsageError
from wscheck.model.events import Connecting, PhaseEnded
from wscheck.observe.host_limit import limited_hosts
from wscheck.run.browser.run import _at_permitted_hosts
from wscheck.run.mcp.access import LOOPBACK, new_access

LOG = '{"time":"2026-11-23T12:00:00Z","msg":"user connected","userId":"ann","socketId":"abcdefghij0123456789"}\n'
CODE = 'import { io } from "socket.io-client";\nexport const socket = io();\n'

OTHER_HOSTS = [
    "http://example.com/",
    "https://example.com:443/",
    "http://localhost.example.com/",
    "http://127.0.0.1.example.com/",
    "http://127.0.0.1.nip.io/",
    "http://localhost-dev/",
    "http://app.localhost:3000/",
    "http://localhost./",
    "http://192.168.0.10/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0:3000/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[2001:db8::1]:3000/",
]
"""Addresses whose host `--allow` could permit."""

OTHER_SPELLINGS = [
    "http://2130706433/",
    "http://3232235530/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.01/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:c0a8:1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::1%25eth0]/",
    "http://localhost@example.com/",
    "http://example.com@localhost/",
    "http://user:pass@localhost:3000/",
    "http://localhost:3000@example.com/",
    "http://localhost\\@example.com/",
    "http://example.com\\@localhost/",
    "http:\\\\localhost\\",
    "http:/localhost/",
    "http:localhost",
    "http:///localhost/",
    "//localhost:3000/",
    "localhost:3000",
    "http://local%68ost/",
    "http://lоcalhost/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://localhost。example.com/",
    "http://loc\talhost/",
    "http://localhost/\r\nHost: example.com",
    "http://localhost\x00.example.com/",
    "http://localhost:99999/",
    "http://localhost:80:80/",
    "http://localhost:port/",
    " http://localhost/",
    "HTTP://localhost/",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file://localhost/etc/passwd",
    "view-source:http://localhost/",
    "javascript:alert(1)",
    "data:text/html,<script>1</script>",
    "blob:http://localhost/1",
    "about:blank",
    "chrome://settings/",
    "ftp://localhost/",
    "ws://localhost/",
    "http://localhost/" + "a" * 5_000,
    "",
    "\x1b[31mhttp://example.com/",
]
"""Addresses that not every reader understands in the same way, and those that no page of a server has."""

OUTSIDE = [
    "/etc/passwd",
    "/",
    "..",
    "../outside.log",
    "logs/../../outside.log",
    "logs/./.././../outside.log",
    "link.log",
    "folder-link/outside.log",
    "logs/chain.log",
    "~/.ssh/id_rsa",
    "/proc/self/environ",
    "/dev/stdin",
    "/dev/zero",
    "pipe.log",
    "loop.log",
    "logs/rotated-away.log",
    "missing.log",
    "-",
    "logs/*.log",
    "file:///etc/passwd",
    "logs/app.log\x00.txt",
    "\x00",
    "logs/app.log\n/etc/passwd",
    "\ud800",
    "",
    "a/" * 900,
    "a" * 500,
]
"""Paths that lead out of the working folder, or to nothing that can be read as a log."""

WRONG_TYPES: list[tuple[str, dict[str, Any]]] = [
    ("watch_page", {}),
    ("watch_page", {"url": 5}),
    ("watch_page", {"url": None}),
    ("watch_page", {"url": ["http://localhost/"]}),
    ("watch_page", {"url": "http://localhost/", "seconds": "5"}),
    ("watch_page", {"url": "http://localhost/", "seconds": 1e9}),
    ("watch_page", {"url": "http://localhost/", "seconds": -1}),
    ("watch_page", {"url": "http://localhost/", "seconds": True}),
    ("watch_page", {"url": "http://localhost/", "visit": "http://localhost/"}),
    ("watch_page", {"url": "http://localhost/", "visit": ["http://localhost/"] * 11}),
    ("watch_page", {"url": "http://localhost/", "visit": ["http://example.com/"]}),
    ("watch_page", {"url": "http://localhost/", "visit": ["file:///etc/passwd"]}),
    ("watch_page", {"url": "http://localhost/", "loop": 10**30}),
    ("watch_page", {"url": "http://localhost/", "loop": 2.5}),
    ("watch_page", {"url": "http://localhost/", "connections": "several"}),
    ("watch_page", {"url": "http://localhost/", "connections": -3}),
    ("watch_page", {"url": "http://localhost/", "cdp": "http://localhost:9222"}),
    ("watch_page", {"url": "http://localhost/", "browser": "/bin/sh"}),
    ("evaluate_log", {"paths": "logs/app.log"}),
    ("evaluate_log", {"paths": []}),
    ("evaluate_log", {"paths": ["logs/app.log"] * 21}),
    ("evaluate_log", {"paths": ["logs/app.log"], "guess": "yes"}),
    ("evaluate_log", {"paths": ["logs/app.log"], "markers": ["nothing"]}),
    ("evaluate_log", {"paths": ["logs/app.log"], "since": "yesterday"}),
    ("evaluate_log", {"paths": ["logs/app.log"], "exec": "rm -rf /"}),
    ("evaluate_har", {"paths": ["logs/app.log"]}),
    ("evaluate_har", {"paths": ["/etc/passwd"]}),
    ("evaluate_har", {"paths": ["logs/app.log"], "source_maps": [".."]}),
    ("verify_server", {"url": "http://example.com/"}),
    ("verify_server", {"url": "wss://localhost.example.com/chat"}),
    ("verify_server", {"url": "ws://127.1:8000/"}),
    ("verify_server", {"url": "ws://localhost:8000/", "server_logs": ["../outside.log"]}),
    ("verify_server", {"url": "ws://localhost:8000/", "scenarios": ["everything"]}),
    ("verify_server", {"url": "ws://localhost:8000/", "token": "secret"}),
    ("scan_code", {"path": "folder-link"}),
    ("scan_code", {"path": "pipe.log"}),
    ("scan_code", {"path": {"$ref": "/etc"}}),
    ("explain", {"id": "x" * 3_000_000}),
    ("explain", {"id": "no-such-rule"}),
    ("explain", {"id": "<script>alert(1)</script>"}),
    ("rm", {"path": "/"}),
    ("", {}),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a log and code, links that lead out of it, a pipe, and a file beside it."""
    folder = write(tmp_path / "project", {"logs/app.log": LOG, "src/socket.ts": CODE, "logs/rotated-away.log": LOG})
    write(tmp_path, {"outside.log": LOG, "beside/outside.log": LOG, "beside/leak.ts": CODE})
    (folder / "link.log").symlink_to(tmp_path / "outside.log")
    (folder / "folder-link").symlink_to(tmp_path / "beside")
    (folder / "logs" / "chain.log").symlink_to("../link.log")
    (folder / "logs" / "rotated-away.log.1").symlink_to(tmp_path / "outside.log")
    (folder / "loop.log").symlink_to("loop.log")
    os.mkfifo(folder / "pipe.log")
    monkeypatch.chdir(folder)
    return folder


async def test_addresses_of_other_hosts_are_refused_and_the_option_is_named(project: Path) -> None:
    async with connected(project) as client:
        for url in OTHER_HOSTS:
            text = await refusal(client, "watch_page", url=url)
            assert "are permitted" in text and "--allow" in text, url
        for url in OTHER_SPELLINGS:
            text = await refusal(client, "watch_page", url=url)
            assert "next: " in text and "pass@" not in text and "\x1b" not in text and len(text) < 500, url
    assert len(OTHER_HOSTS) + len(OTHER_SPELLINGS) == 64


async def test_paths_outside_of_the_working_folder_are_refused_and_the_option_is_named(project: Path) -> None:
    async with connected(project) as client:
        for path in OUTSIDE:
            for tool, paths in (("evaluate_log", [path]), ("evaluate_har", ["logs/app.log", path])):
                text = await refusal(client, tool, paths=paths)
                assert "next: " in text and "root:" not in text and len(text) < 600, path
        for path in ("/etc/passwd", "../outside.log", "link.log", "folder-link/outside.log", "folder-link", ".."):
            text = await refusal(client, "scan_code", path=path)
            assert "outside of the permitted folders" in text and "--allow FOLDER" in text, path
    assert len(OUTSIDE) == 27


async def test_arguments_of_wrong_types_and_sizes_are_refused(project: Path) -> None:
    async with connected(project) as client:
        for tool, arguments in WRONG_TYPES:
            text = await refusal(client, tool, **arguments)
            assert "next: " in text and "Internal error" not in text and len(text) < 900, (tool, str(arguments)[:80])
    assert len(WRONG_TYPES) == 42


async def test_links_in_a_scanned_folder_do_not_lead_out(project: Path) -> None:
    (project / "src" / "leak.ts").symlink_to("../../beside/leak.ts")
    async with connected(project) as client:
        result = await called(client, "scan_code", path="src")
    assert result["verdict"] == "inconclusive"
    assert [gap["reason"] for gap in result["gaps"]] == ["1 source file could not be read"]
    assert [opening["file"] for opening in result["openings"]] == ["src/socket.ts"]


CONFIGS = {
    "a program": '[browser]\nbrowser = "./evil.sh"\n',
    "a running browser": '[browser]\ncdp = "http://127.0.0.1:9222"\n',
    "cookies": '[browser]\nstorage_state = "../outside.log"\n',
    "a folder of sources": '[browser]\nsource_root = "folder-link"\n',
    "a step to a file": '[[browser.step]]\ngoto = "file:///etc/passwd"\n',
    "a step to another host": '[[browser.step]]\ntab = "//example.com/"\n',
    "a nested step": '[[browser.step]]\nrepeat = 2\nsteps = [{ goto = "https:example.com" }]\n',
    "an upload": '[[browser.step]]\nupload = "#file"\nwith = "/etc/passwd"\n',
    "a server": '[target]\nurl = "http://example.com"\n',
    "a page": '[target]\nurl = "http://localhost:1"\n[verify]\npage = "http://example.com/"\n',
    "a log": '[verify]\nserver_log = ["link.log"]\n',
    "an unknown setting": "[browser]\nflags = ['--no-sandbox']\n",
}


async def test_the_configuration_of_the_project_permits_nothing_more(project: Path) -> None:
    async with connected(project) as client:
        for name, config in CONFIGS.items():
            (project / "wscheck.toml").write_text(config)
            text = await refusal(client, "watch_page", url="http://localhost:1/")
            assert "next: " in text and "did not load" not in text, name


async def test_allow_adds_hosts_and_folders(project: Path) -> None:
    allowed = new_access(["Staging.Example", "[2001:db8::1]", "../beside"], project, Path("/nonexistent"))
    assert allowed.url("https://staging.example:8443/x?y#z", "url")
    assert allowed.url("http://[2001:db8::1]/", "url")
    assert allowed.file("folder-link/outside.log", "paths") == project.parent / "beside" / "outside.log"
    assert allowed.hosts_for(["http://127.0.0.5:3000/"]) == {
        *("localhost", "127.0.0.1", "[::1]", "127.0.0.5", "staging.example", "[2001:db8::1]")
    }
    for url in ("https://staging.example.com/", "https://a.staging.example/", "http://[2001:db8::2]/"):
        with pytest.raises(UsageError, match="are permitted"):
            allowed.url(url, "url")
    with pytest.raises(UsageError, match="outside of the permitted folders"):
        allowed.file("link.log", "paths")
    async with connected(project, "../beside") as client:
        assert (await called(client, "scan_code", path="../beside"))["verdict"] == "passed"


@pytest.mark.parametrize(
    "value",
    [
        "http://example.com",
        "example.com:80",
        "*",
        "*.example.com",
        "127.1",
        "0x7f000001",
        "./missing",
        "a b",
        "",
        "é.com",
    ],
)
def test_allow_takes_hosts_in_their_usual_form_and_folders_that_exist(project: Path, value: str) -> None:
    with pytest.raises(UsageError, match="neither a host nor a folder"):
        new_access([value], project, Path("/nonexistent"))


@pytest.mark.parametrize("home", ["", "home", "home/ann/deep"])
def test_a_working_folder_that_contains_the_home_directory_is_no_project(project: Path, home: str) -> None:
    access = new_access([], project, project / home)
    assert access.folders == ()
    with pytest.raises(UsageError, match=r"`mcp\.allow=FOLDER`"):
        access.file("logs/app.log", "paths")
    assert new_access(["."], project, project / home).file("logs/app.log", "paths") == Path("logs/app.log")


def test_attempts_to_connect_to_another_host_are_no_evidence() -> None:
    urls = ("ws://127.0.0.1:3000/chat", "ws://[::1]/chat", "wss://live.example/chat", "http://127.0.0.2/socket.io/")
    events = [*(Connecting(at=1.0, url=url) for url in urls), PhaseEnded(at=2.0)]
    with limited_hosts(LOOPBACK):
        assert [getattr(event, "url", None) for event in _at_permitted_hosts(events)] == [*urls[:2], None]
    assert _at_permitted_hosts(events) == events
