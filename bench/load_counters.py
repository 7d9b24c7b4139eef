"""Counts of `wscheck load` and of the server that it loads: every profile, with 1 and 3 processes, on six servers.

The runs have payloads and steps after connecting. The field servers need `make field-servers` first; BENCH_SERVERS
chooses servers by a part of their names. A client closes a stream without a closing handshake, so on a busy machine the
server may count a replacement that crosses the close and has not arrived at the client.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.stable_findings import field_server
from tests.node_backend import node_backend, started
from wscheck.config.load_profiles import LOAD_PROFILES

USERS, RUN_TIME = 6, "4s"
PROCESSES = (1, 3)
COMPARED = ("connects", "replaced", "refused", "disconnects")

REFERENCE = """
[[connect.step]]
emit = "echo"
payload = { user = "{user}", key = "{token}" }
ack = true

[[event]]
name = "bot_status_update"
emit = "request_bot_status"
payload = { bot = "bot of {user}" }
"""
DESK = """
[[connect.step]]
wait_for = "desk:login-please"

[[connect.step]]
emit = "desk:login"
payload = { token = "{token}" }
ack = true

[[event]]
name = "ticket:list"
emit = "ticket:list:get"
payload = { of = "{user}" }
"""
BOARD = """
[[connect.step]]
emit = "board:read"
payload = { of = "{user}" }
wait_for = "board"

[[event]]
name = "pinned"
emit = "board:pin"
payload = { by = "{user}" }
"""


PLAIN = """
[identity]
token_in = "query.token"

[[event]]
name = "status"
emit = "status"
payload = { of = "{user}" }
"""
STREAM = """
[target]
protocol = "sse"

[identity]
token_in = "query.token"
"""


@dataclass(frozen=True)
class Loaded:
    """A server, its wscheck.toml and the token of each user. `address` is the path of its connections, if it has one.

    `has_events` says whether the users emit events.
    """

    name: str
    toml: str
    token: str
    address: str = ""
    has_events: bool = True


SERVERS = (
    Loaded("wscheck serve", REFERENCE, "token-of-{user}"),
    Loaded("node backend", REFERENCE, "token-of-{user}"),
    Loaded("desk.mjs", DESK, "desk-of-{user}"),
    Loaded("board.py", BOARD, "board-of-{user}"),
    Loaded("raw WebSocket", PLAIN, "token-of-{user}", "/ws"),
    Loaded("server-sent events", STREAM, "token-of-{user}", "/events", has_events=False),
)


def run() -> None:
    """Print one row per run, and which counts differ."""
    print("| server | profile | processes | connects | replaced | disconnects | emitted, received | differ |")
    print("|---|---|--:|--:|--:|--:|--:|---|")
    wrong = 0
    for server in (each for each in SERVERS if os.environ.get("BENCH_SERVERS", "") in each.name):
        for profile in LOAD_PROFILES:
            for processes in PROCESSES:
                ours, theirs = _counts(server, profile, processes)
                differ = [
                    name for name in ("connects", "replaced", "refused", "disconnects") if ours[name] != theirs[name]
                ]
                if not 0 <= theirs["emitted"] - ours["received"] <= ours["connects"]:
                    differ.append("received")  # an event on its way to a connection that closes is lost
                wrong += bool(differ)
                events = f"{theirs['emitted']}, {ours['received']}"
                row = (server.name, profile, processes, ours["connects"], ours["replaced"], ours["disconnects"], events)
                told = "; ".join(f"{name}: {ours.get(name)}, the server {theirs.get(name)}" for name in differ)
                print(f"| {' | '.join(map(str, row))} | {told} |", flush=True)
    print(f"\n{wrong} runs differ")


def _counts(server: Loaded, profile: str, processes: int) -> tuple[dict[str, int], dict[str, int]]:
    with _running(server) as url, TemporaryDirectory() as folder:
        Path(folder, "wscheck.toml").write_text(server.toml)
        address = url.replace("http", "ws") if server.address == "/ws" else url
        command = [sys.executable, "-m", "wscheck", "load", f"{address}{server.address}", "--profile", profile]
        command += ["--users", str(USERS), "--run-time", RUN_TIME, "--processes", str(processes), "--format", "json"]
        command += ["--emit-every", "300ms"] if server.has_events else []
        environ = {**os.environ, "WSCHECK_TOKEN": server.token}
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        if not done.stdout:
            raise RuntimeError(f"{server.name}, {profile}, {processes}: exit code {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        counted = _counters(url)
    ours = {name: report[name] for name in ("connects", "replaced")}
    ours |= {name: sum(report[name].values()) for name in ("refused", "disconnects")}
    disconnects = counted.get("disconnects", ours["disconnects"])
    theirs = {name: counted[name] for name in ("connects", "replaced", "refused", "emitted")}
    theirs["disconnects"] = sum(disconnects.values()) if isinstance(disconnects, dict) else disconnects
    return ours | {"received": report["events"]["received"]}, theirs


def _counters(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/counters", timeout=5) as answer:
        counted: dict[str, Any] = json.load(answer)
    return counted


@contextmanager
def _running(server: Loaded) -> Iterator[str]:
    if server.name == "node backend":
        with node_backend() as backend:
            yield backend.url
    elif server.address:
        ticks = () if server.has_events else ("ticks",)
        with started("node", str(Path(__file__).parent / "_load_plain_server.mjs"), *ticks) as backend:
            yield backend.url
    elif server.name == "wscheck serve":
        with started(sys.executable, "-m", "wscheck", "serve", "--port", "0") as backend:
            yield backend.url
    else:
        option = "auth=login" if server.name == "desk.mjs" else "load=1"
        with field_server(server.name, option) as url:
            yield url
