"""CPU time of a load generator per raw WebSocket, per received message and per answer, beside Artillery's engine `ws`.

Both connect to one Node server, receive many messages, and then send messages, each after the answer to the one before.
wscheck counts every message. Artillery discards the messages that no step waits for, so it runs twice: with a step that
only waits, and with a step for each message, which counts it. Most of the cost of a message is in the kernel: a read
and the TCP acknowledgement that it sends. The rounds alternate between the generators. The table contains medians, and
the ratios of wscheck to Artillery. BENCH_ARTILLERY names the folder of the npm package `artillery`.

The memory per connection is the growth from a run with 6,000 to one with 12,000 idle connections. The growth within one
run would tell nothing: the memory that Node frees after its start holds the first 4,500 connections of Artillery.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import ARTILLERY, ARTILLERY_PAUSE_S, HERE, PAYLOAD, cpu_seconds, resident_kb, wait_until_idle
from tests.node_backend import started

CONNECTIONS, EVENTS, ECHOES, ROUNDS = 1000, 60, 20, int(os.environ.get("BENCH_ROUNDS", "3"))
FEW, MANY, OPENED_PER_SECOND = 6000, 12000, 500
MAX_WAIT_S = 120.0
THINK_S, PAUSE_S = 30, 10
"""Seconds for which a user of Artillery waits after connecting, and before it sends. What is received is measured
before."""


class Rates(NamedTuple):
    """Connects, received messages and answers per second of CPU time."""

    connects: float
    received: float
    answers: float


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
    return _locust(url, CONNECTIONS, CONNECTIONS)


def _locust(url: str, users: int, users_per_second: int) -> list[str]:
    arguments = ["--headless", "--only-summary", "-u", str(users), "-r", str(users_per_second), "--host", f"{url}/ws"]
    return [sys.executable, "-m", "locust", "-f", str(HERE / "_load_ours_ws.py"), *arguments]


def _discarding(url: str, folder: Path) -> list[str]:
    return _artillery({"think": THINK_S}, url, folder)


def _counting(url: str, folder: Path) -> list[str]:
    await_one = {"wait": {"match": {"json": "$.type", "value": "message_sync"}}}
    return _artillery({"loop": [await_one], "count": EVENTS}, url, folder)


def _artillery(receive: dict[str, Any], url: str, folder: Path) -> list[str]:
    answer = {"json": "$.type", "value": "echo"}
    talk = {"loop": [{"send": {"payload": MESSAGE, "match": answer}}], "count": ECHOES}
    return _artillery_script([receive, {"think": PAUSE_S}, talk, {"think": 30}], CONNECTIONS, 2, url, folder)


def _artillery_script(flow: list[dict[str, Any]], users: int, within_s: int, url: str, folder: Path) -> list[str]:
    script = {
        "config": {
            "target": f"{url.replace('http', 'ws')}/ws",
            "timeout": MAX_WAIT_S,
            "phases": [{"pause": ARTILLERY_PAUSE_S}, {"duration": within_s, "arrivalCount": users}],
        },
        "scenarios": [{"engine": "ws", "flow": flow}],
    }
    (folder / "script.json").write_text(json.dumps(script))
    return ["node", str(ARTILLERY / "bin" / "run"), "run", str(folder / "script.json")]


_Command = Callable[[str, Path], list[str]]

_COMMANDS: dict[str, _Command] = {
    "wscheck": _ours,
    "artillery, discarding": _discarding,
    "artillery, counting": _counting,
}


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


@contextmanager
def _generator(name: str, command: _Command, url: str, connections_per_user: int = 1) -> Iterator[tuple[int, Path]]:
    """Run a generator until it is ready to connect. Yield its process id and its folder."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        environ = {
            **os.environ,
            "BENCH_GO": str(folder / "go"),
            "BENCH_TALK": str(folder / "talk"),
            "BENCH_ECHOES": str(ECHOES),
            "BENCH_MESSAGE": MESSAGE,
            **{"WSCHECK_LOAD_PROTOCOL": "websocket", "WSCHECK_LOAD_CONNECT_TIMEOUT": "60"},
            "WSCHECK_LOAD_TABS": str(connections_per_user),
            **{"WSCHECK_LOAD_TOKEN": "", "WSCHECK_LOAD_USER_IN": "", "WSCHECK_LOAD_TOKEN_IN": ""},
        }
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            command(url, folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environ, cwd=folder
        )
        try:
            _wait_until_ready(name, process.pid, folder)
            yield process.pid, folder
        except RuntimeError as problem:
            raise RuntimeError(f"{name}: {problem}\n{(folder / 'log').read_text()[-2000:]}") from problem
        finally:
            process.kill()
            process.wait()
            while _counters(url)["open"]:
                time.sleep(0.1)


def _converse(pid: int, url: str, folder: Path) -> Rates:
    before = _counters(url)
    cpu_s = cpu_seconds(pid)
    (folder / "go").touch()
    _wait_until(url, "connects", before["connects"] + CONNECTIONS)
    connected_cpu_s = wait_until_idle(pid)
    _counters(url, f"/flood?n={EVENTS}")
    _wait_until(url, "emitted", before["emitted"] + CONNECTIONS * EVENTS)
    received_cpu_s = wait_until_idle(pid)
    (folder / "talk").touch()
    _wait_until(url, "received", before["received"] + CONNECTIONS * ECHOES)
    sent_cpu_s = wait_until_idle(pid)
    return Rates(
        CONNECTIONS / (connected_cpu_s - cpu_s),
        CONNECTIONS * EVENTS / (received_cpu_s - connected_cpu_s),
        CONNECTIONS * ECHOES / (sent_cpu_s - received_cpu_s),
    )


def _idle_kb(name: str, url: str, connections: int, connections_per_user: int) -> float:
    """Return the memory of a generator with idle connections, in KB."""

    def command(url: str, folder: Path) -> list[str]:
        if name == "wscheck":
            per_second = OPENED_PER_SECOND // connections_per_user
            return _locust(url, connections // connections_per_user, per_second)
        flow = [{"think": MAX_WAIT_S}]
        return _artillery_script(flow, connections, connections // OPENED_PER_SECOND, url, folder)

    with _generator(name, command, url, connections_per_user) as (pid, folder):
        before = _counters(url)["connects"]
        (folder / "go").touch()
        _wait_until(url, "connects", before + connections)
        wait_until_idle(pid)
        return resident_kb(pid)


def _print_memory(names: list[str], url: str) -> None:
    print(f"{'memory':<30} {'KB/connection':>14} {f'MB with {MANY}':>14}")
    for name, per_user in [("wscheck", 1), ("wscheck", 10), *((name, 1) for name in names[1:2])]:
        few_kb, many_kb = (_idle_kb(name, url, count, per_user) for count in (FEW, MANY))
        label = f"{name}, {per_user} per user" if name == "wscheck" else "artillery"
        print(f"{label:<30} {(many_kb - few_kb) / (MANY - FEW):>14.1f} {many_kb / 1024:>14.0f}")


def run() -> None:
    """Print the table."""
    if shutil.which("node") is None:
        print("skipped: needs node")
        return
    names = [*_COMMANDS] if ARTILLERY.exists() else ["wscheck"]
    rates: dict[str, list[Rates]] = {name: [] for name in names}
    with started("node", str(HERE / "_load_plain_server.mjs")) as backend:
        for _ in range(ROUNDS):
            for name in names:
                with _generator(name, _COMMANDS[name], backend.url) as (pid, folder):
                    rates[name].append(_converse(pid, backend.url, folder))
        _print_rates(rates)
        _print_memory(names, backend.url)


def _print_rates(rates: dict[str, list[Rates]]) -> None:
    medians = {
        name: Rates(*(statistics.median(column) for column in zip(*each, strict=True))) for name, each in rates.items()
    }
    print(f"{CONNECTIONS} raw WebSockets, medians of {ROUNDS} rounds")
    print(f"{'per second of CPU time':<30} {'connects':>10} {'received':>10} {'answers':>10}")
    for name, each in medians.items():
        print(f"{name:<30} {each.connects:>10.0f} {each.received:>10.0f} {each.answers:>10.0f}")
    ours = medians["wscheck"]
    for name in [*medians][1:]:
        ratios = [f"{our / their:>9.1f}x" for our, their in zip(ours, medians[name], strict=True)]
        print(f"{f'against {name}':<30} {' '.join(ratios)}")
