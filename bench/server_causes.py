"""Servers before and after the fix of each server cause in docs/causes.md: the fix must remove the finding.

A log with the fix still reports the client's second connection, which the server now replaces. `make field-servers`
must have run once.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import socketio

WSCHECK = Path(sys.executable).parent / "wscheck"
SERVER = Path(__file__).parent / "_server_causes.mjs"
TOKENS = {"WSCHECK_TOKEN": "key-of-ines", "WSCHECK_SECOND_TOKEN": "key-of-omar"}


@dataclass(frozen=True)
class Case:
    """A cause, and the scenario that shows it, or None if the server's log does.

    fix  options of the client that the fix names instead of a change of the server
    """

    cause: str
    scenario: str | None
    fix: tuple[str, ...] = ()


CASES = (
    Case("transport-closed", "second-tab"),
    Case("newcomer-ended", "race"),
    Case("no-sticky-session", "single-connection", ("--transports", "websocket")),
    Case("lookup-race", "race"),
    Case("map-per-process", None),
    Case("zombie", None),
)


def run() -> None:
    """Run both states of each server, and print what wscheck found."""
    print("| cause | seen by | before | after |\n|---|---|---|---|")
    for case in CASES:
        before, after = (_findings(case, state) for state in ("before", "after"))
        seen_by = f"verify, {case.scenario}" if case.scenario else "tail-logs"
        print(f"| {case.cause} | {seen_by} | {before} | {after} |", flush=True)


def _findings(case: Case, state: str) -> str:
    with TemporaryDirectory(prefix="wscheck-causes-") as folder:
        with _served(case.cause, state, folder) as port:
            if case.scenario:
                transports = case.fix if state == "after" else ()
                command = ["verify", f"http://127.0.0.1:{port}", "--scenario", case.scenario, *transports]
                return _run(command, Path(folder))
            asyncio.run(_connect_twice(port, dead=case.cause == "zombie"))
        return _run(["tail-logs", "--no-follow", *map(str, sorted(Path(folder).glob("*.log")))], Path(folder))


def _run(command: list[str], folder: Path) -> str:
    """Return the verdict of a run, its reason, and its "rule: cause" pairs without repetitions."""
    report = folder / "report.json"
    Path(folder, "wscheck.toml").write_text('[identity]\nuser_id = "ines"\nsecond_user_id = "omar"\n')
    ran = subprocess.run(
        [WSCHECK, *command, "--format", f"json={report}"],
        cwd=folder,
        env={**os.environ, **TOKENS},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if not report.exists():
        return f"exit {ran.returncode}: {ran.stderr.strip()}"
    read: dict[str, Any] = json.loads(report.read_text())
    found = {f"{each['rule']}: {(each.get('cause') or {}).get('id')}" for each in read["findings"]}
    reason = f" ({read['reason']})" if read.get("reason") else ""
    return f"{read['verdict']}{reason} {', '.join(sorted(found))}".strip()


@contextmanager
def _served(cause: str, state: str, folder: str) -> Iterator[int]:
    """Run a server until the block ends, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    process = subprocess.Popen(
        ["node", SERVER, cause, state, str(port)], cwd=folder, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        if not first.startswith(b"listening"):
            raise SystemExit(f"{cause} did not start; run `make field-servers` once: {first.decode()}")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _connect_twice(port: int, *, dead: bool) -> None:
    """Connect a user, then once more, with a first connection that stays or that no longer answers pings."""
    url = f"http://127.0.0.1:{port}"
    auth = {"userId": "ines", "token": TOKENS["WSCHECK_TOKEN"]}
    first, second = socketio.AsyncClient(reconnection=False), socketio.AsyncClient(reconnection=False)
    async with aiohttp.ClientSession() as session:
        if dead:
            silent = await session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket")
            await silent.receive()
            await silent.send_str(f"40{json.dumps(auth)}")
            await silent.receive()
        else:
            await first.connect(url, auth=auth, transports=["websocket"])
        await asyncio.sleep(1.0)
        await second.connect(url, auth=auth, transports=["websocket"])
        await asyncio.sleep(8.0)  # longer than the ping interval and the ping timeout of the server together
        await second.disconnect()
        if first.connected:
            await first.disconnect()
        await asyncio.sleep(0.5)
