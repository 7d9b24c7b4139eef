"""15,000 idle connections from one process for two minutes: what each costs, and whether we fail any of them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load import HERE, _cpu, _memory, _quiet, _server

CONNECTIONS = int(os.environ.get("BENCH_IDLE_CONNECTIONS", "15000"))
PER_USER = 50
HELD_S = float(os.environ.get("BENCH_IDLE_SECONDS", "120"))


def run() -> None:
    """Hold them, then close them; print one line of each kind of figure."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as name, _server(None) as server:
        folder = Path(name)
        environ = {
            **os.environ,
            "WSCHECK_LOAD_TABS": str(PER_USER),
            "WSCHECK_LOAD_STREAM": str(folder / "stream"),
            "WSCHECK_LOAD_SOURCE_ADDRESSES": "127.0.0.1,127.0.0.2",
            "WSCHECK_LOAD_CLOSE_TIMEOUT": "20",
            "WSCHECK_LOAD_CONNECT_TIMEOUT": "60",
            "BENCH_GO": str(folder / "go"),
            "BENCH_ECHOES": "0",
        }
        users = CONNECTIONS // PER_USER
        command = [sys.executable, "-m", "locust", "-f", str(HERE / "_load_idle.py"), "--headless", "--only-summary"]
        command += ["-u", str(users), "-r", "20", "--host", server.url]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environ)
        try:
            while not (folder / "go.ready").exists():
                time.sleep(0.05)
            _quiet(process.pid)
            memory = _memory(process.pid)
            (folder / "go").touch()
            server.until("open", CONNECTIONS)
            time.sleep(5)
            before = _cpu(process.pid)
            time.sleep(HELD_S)
            used = (_cpu(process.pid) - before) / HELD_S
            held, still = _memory(process.pid), server.ask()["open"]
            process.terminate()
            process.wait(60)
            ended = json.loads((folder / "stream").read_text().splitlines()[-1])
        finally:
            process.kill()
            process.wait()
    counted = ended["statistics"]
    print(f"{still} connections still open after {HELD_S:.0f} s (wanted: {CONNECTIONS})")
    print(f"{(held - memory) / CONNECTIONS:.2f} KB each (under 2 is wanted), {used:.1%} of a core")
    print(f"refused: {counted['refused'] or 'none'}; ended: {counted['disconnects']}; stalled: {counted['stalled']}")
