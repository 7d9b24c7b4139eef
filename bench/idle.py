"""Memory and CPU time of 15,000 idle connections of one process, for two minutes, and how many of them ended."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load import HERE, cpu_seconds, resident_kb, start_server, wait_until_idle

CONNECTIONS = int(os.environ.get("BENCH_IDLE_CONNECTIONS", "15000"))
PER_USER = 50
IDLE_S = float(os.environ.get("BENCH_IDLE_SECONDS", "120"))


def run() -> None:
    """Open the connections, wait, close them, and print the figures."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as name, start_server(None) as server:
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
            wait_until_idle(process.pid)
            start_kb = resident_kb(process.pid)
            (folder / "go").touch()
            server.wait_until("open", CONNECTIONS)
            time.sleep(5)
            before = cpu_seconds(process.pid)
            time.sleep(IDLE_S)
            used = (cpu_seconds(process.pid) - before) / IDLE_S
            connected_kb, still_open = resident_kb(process.pid), server.control()["open"]
            process.terminate()
            process.wait(60)
            ended = json.loads((folder / "stream").read_text().splitlines()[-1])
        finally:
            process.kill()
            process.wait()
    counted = ended["statistics"]
    print(f"{still_open} connections still open after {IDLE_S:.0f} s (wanted: {CONNECTIONS})")
    print(f"{(connected_kb - start_kb) / CONNECTIONS:.2f} KB each (under 2 is wanted), {used:.1%} of a core")
    print(f"refused: {counted['refused'] or 'none'}; ended: {counted['disconnects']}; stalled: {counted['stalled']}")
