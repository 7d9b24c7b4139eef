"""CPU time of a load generator per raw WebSocket, per received message and per answer, beside Artillery's engine `ws`.

Both connect to one Node server, receive many messages, and then send messages, each after the answer to the one before.
wscheck counts every message. Artillery discards the messages that no step waits for, so it runs twice: with a step that
only waits, and with a step for each message, which counts it. Most of the cost of a message is in the kernel: a read
and the TCP acknowledgement that it sends. The rounds alternate between the generators. The table contains medians, and
the ratios of wscheck to Artillery. BENCH_ARTILLERY names the folder of the npm package `artillery`.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.load import ARTILLERY, ARTILLERY_PAUSE_S, HERE, PAYLOAD, Cost, cpu_seconds, resident_kb, wait_until_idle
from tests.node_backend import started

CONNECTIONS, EVENTS, ECHOES, ROUNDS = 1000, 60, 20, int(os.environ.get("BENCH_ROUNDS", "3"))
MAX_WAIT_S = 120.0
THINK_S, PAUSE_S = 30, 10
"""Seconds for which a user of Artillery waits after connecting, and before it sends. What is received is measured
before."""

MESSAGE = json.dumps({"type": "echo", "text": PAYLOAD})


def _counters(url: str, path: str = "/") -> dict[str, int]:
    with urllib.request.urlopen(f"{url}{path}", timeout=60) as response:
        counters: dict[str, int] = json.load(response)
    return counters


def _wait_until(url: str, name: str, count: int) -> None:
    deadline = time.monotonic() + MAX_WAIT_S
    while (counter := _counters(url)[name]) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {counter} of {count} {name} after {MAX_WAIT_S:.0f} s")
        time.sleep(0.1)


def _ours(url: str, folder: Path) -> list[str]:
    arguments = ["--headless", "--only-summary", "-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "--host", f"{url}/ws"]
    return [sys.executable, "-m", "locust", "-f", str(HERE / "_load_ours_ws.py"), *arguments]


def _discarding(url: str, folder: Path) -> list[str]:
    return _artillery({"think": THINK_S}, url, folder)


def _counting(url: str, folder: Path) -> list[str]:
    await_one = {"wait": {"match": {"json": "$.type", "value": "message_sync"}}}
    return _artillery({"loop": [await_one], "count": EVENTS}, url, folder)


def _artillery(receive: dict[str, Any], url: str, folder: Path) -> list[str]:
    answer = {"json": "$.type", "value": "echo"}
    talk = {"loop": [{"send": {"payload": MESSAGE, "match": answer}}], "count": ECHOES}
    script = {
        "config": {
            "target": f"{url.replace('http', 'ws')}/ws",
            "timeout": MAX_WAIT_S,
            "phases": [{"pause": ARTILLERY_PAUSE_S}, {"duration": 2, "arrivalCount": CONNECTIONS}],
        },
        "scenarios": [{"engine": "ws", "flow": [receive, {"think": PAUSE_S}, talk, {"think": 30}]}],
    }
    (folder / "script.json").write_text(json.dumps(script))
    return ["node", str(ARTILLERY / "bin" / "run"), "run", str(folder / "script.json")]


_COMMANDS = {"wscheck": _ours, "artillery, discarding": _discarding, "artillery, counting": _counting}


def _wait_until_ready(name: str, pid: int, folder: Path) -> None:
    if name != "wscheck":
        time.sleep(ARTILLERY_PAUSE_S * 0.6)
    else:
        deadline = time.monotonic() + MAX_WAIT_S
        while not (folder / "go.ready").exists():
            if time.monotonic() > deadline:
                raise RuntimeError("Locust did not start")
            time.sleep(0.1)
        wait_until_idle(pid)


def _measure(name: str, url: str) -> Cost:
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        environ = {
            **os.environ,
            "BENCH_GO": str(folder / "go"),
            "BENCH_TALK": str(folder / "talk"),
            "BENCH_ECHOES": str(ECHOES),
            "BENCH_MESSAGE": MESSAGE,
            **{"WSCHECK_LOAD_PROTOCOL": "websocket", "WSCHECK_LOAD_TABS": "1", "WSCHECK_LOAD_CONNECT_TIMEOUT": "60"},
            **{"WSCHECK_LOAD_TOKEN": "", "WSCHECK_LOAD_USER_IN": "", "WSCHECK_LOAD_TOKEN_IN": ""},
        }
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            _COMMANDS[name](url, folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environ, cwd=folder
        )
        try:
            _wait_until_ready(name, process.pid, folder)
            return _converse(process.pid, url, folder)
        except RuntimeError as problem:
            raise RuntimeError(f"{name}: {problem}\n{(folder / 'log').read_text()[-2000:]}") from problem
        finally:
            process.kill()
            process.wait()
            while _counters(url)["open"]:
                time.sleep(0.1)


def _converse(pid: int, url: str, folder: Path) -> Cost:
    before = _counters(url)
    cpu_s, start_kb = cpu_seconds(pid), resident_kb(pid)
    (folder / "go").touch()
    _wait_until(url, "connects", before["connects"] + CONNECTIONS)
    connected_cpu_s, connected_kb = wait_until_idle(pid), resident_kb(pid)
    _counters(url, f"/flood?n={EVENTS}")
    _wait_until(url, "emitted", before["emitted"] + CONNECTIONS * EVENTS)
    received_cpu_s = wait_until_idle(pid)
    (folder / "talk").touch()
    _wait_until(url, "received", before["received"] + CONNECTIONS * ECHOES)
    sent_cpu_s = wait_until_idle(pid)
    return Cost(
        CONNECTIONS / (connected_cpu_s - cpu_s),
        CONNECTIONS * EVENTS / (received_cpu_s - connected_cpu_s),
        CONNECTIONS * ECHOES / (sent_cpu_s - received_cpu_s),
        (connected_kb - start_kb) / CONNECTIONS,
    )


def run() -> None:
    """Print the table."""
    if shutil.which("node") is None:
        print("skipped: needs node")
        return
    names = [*_COMMANDS] if ARTILLERY.exists() else ["wscheck"]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    with started("node", str(HERE / "_load_plain_server.mjs")) as backend:
        for _ in range(ROUNDS):
            for name in names:
                costs[name].append(_measure(name, backend.url))
    medians = {
        name: Cost(*(statistics.median(column) for column in zip(*each, strict=True))) for name, each in costs.items()
    }
    print(f"{CONNECTIONS} raw WebSockets, medians of {ROUNDS} rounds")
    print(f"{'per second of CPU time':<30} {'connects':>10} {'received':>10} {'answers':>10} {'KB/connection':>14}")
    for name, cost in medians.items():
        print(f"{name:<30} {cost.connects:>10.0f} {cost.events:>10.0f} {cost.acks:>10.0f} {cost.memory:>14.1f}")
    ours = medians["wscheck"]
    for name in names[1:]:
        ratios = [f"{our / their:>9.1f}x" for our, their in zip(ours, medians[name], strict=True)][:3]
        print(f"{f'against {name}':<30} {' '.join(ratios)} {ours.memory / medians[name].memory:>13.2f}x")
