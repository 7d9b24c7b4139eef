"""`wscheck load` as a user runs it, in the background where a test acts during the run."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import COMMAND, environment
from wscheck.model.load_statistics import LoadStatistics, RunTotals, WorkerLost, decode_record

MAX_WAIT_S = 60.0
TOKEN = "token-of-{user}"


@dataclass
class LoadCommand:
    """A running `wscheck load`. It writes its JSON report to `report` and its stderr to `errors`."""

    process: "subprocess.Popen[str]"
    report: Path
    errors: Path

    @property
    def stderr(self) -> str:
        """What it has written to stderr."""
        return self.errors.read_text()

    def wait_until(self, condition: Callable[[], Any], problem: str) -> None:
        """Wait until the condition is true. `problem` describes that it is not."""
        deadline = time.monotonic() + MAX_WAIT_S
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, f"{problem}: {self.stderr}"
            time.sleep(0.02)

    def wait_for_start(self) -> "LoadCommand":
        """Wait until the run has started."""
        self.wait_until(lambda: " started: " in self.stderr, "it did not start")
        return self

    def stream_lines(self) -> list[bytes]:
        """Return the complete lines of its stream."""
        data = b"".join(path.read_bytes() for path in self.report.parent.glob("wscheck-load-*/stream.ndjson"))
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

    def statistics(self) -> LoadStatistics:
        """Return the latest statistics of its stream."""
        totals = [line for line in self.stream_lines() if line.startswith(b'{"type":"totals"')]
        record = decode_record(totals[-1]) if totals else None
        return record.statistics if isinstance(record, RunTotals) else LoadStatistics()

    def lost_workers(self) -> list[WorkerLost]:
        """Return the lost workers of its stream."""
        records = (decode_record(line) for line in self.stream_lines())
        return [record for record in records if isinstance(record, WorkerLost)]

    def children(self) -> list[int]:
        """Return the ids of its child processes, and of theirs."""
        return descendants(self.process.pid)

    def open_connections(self) -> int:
        """Return the connections that were open at the end of the latest complete second."""
        records = (decode_record(line) for line in self.stream_lines() if line.startswith(b'{"type":"totals"'))
        return ([0] + [record.open for record in records if isinstance(record, RunTotals)])[-1]

    def end_locust(self) -> None:
        """End Locust in order, as at the end of its run time."""
        is_locust = (pid for pid in self.children() if b"locust" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(next(is_locust), signal.SIGTERM)

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Wait for the end. Return the exit code and the report."""
        out, _ = self.process.communicate(timeout=MAX_WAIT_S)
        assert "Traceback" not in out + self.stderr, out + self.stderr
        return self.process.returncode, json.loads(self.report.read_bytes()) if self.report.exists() else {}


@contextmanager
def start_load(folder: Path, *arguments: str, token: str = TOKEN) -> Iterator[LoadCommand]:
    """Start `wscheck load ARGUMENTS` with a JSON report."""
    report, errors = folder / "report.json", folder / "errors.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "load", *arguments, "--format", f"json={report}", "--format", "terminal"],
            cwd=folder,
            env=environment(folder, WSCHECK_TOKEN=token, TMPDIR=str(folder)),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield LoadCommand(process, report, errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def run_load(folder: Path, *arguments: str, token: str = TOKEN) -> tuple[int, dict[str, Any], str]:
    """Run `wscheck load ARGUMENTS`. Return the exit code, the report, and stdout with stderr."""
    with start_load(folder, *arguments, token=token) as run:
        out, _ = run.process.communicate(timeout=MAX_WAIT_S)
        output = out + run.stderr
        assert "Traceback" not in output, output
        return run.process.returncode, json.loads(run.report.read_bytes()) if run.report.exists() else {}, output


def run_load_until(
    folder: Path, condition: Callable[[LoadCommand], Any], *arguments: str, token: str = TOKEN
) -> tuple[int, dict[str, Any], str]:
    """Run `wscheck load ARGUMENTS` until the condition is true, however slow the machine is, and end it in order.

    Return the same as `run_load`.
    """
    with start_load(folder, *arguments, "--run-time", f"{2 * MAX_WAIT_S:g}s", token=token) as run:
        run.wait_for_start().wait_until(lambda: condition(run), "the condition did not become true")
        run.end_locust()
        out, _ = run.process.communicate(timeout=MAX_WAIT_S)
        output = out + run.stderr
        assert "Traceback" not in output, output
        return run.process.returncode, json.loads(run.report.read_bytes()) if run.report.exists() else {}, output


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, grandchildren and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, pending = [], [pid]
    while pending:
        next_pids = children.get(pending.pop(), [])
        found += next_pids
        pending += next_pids
    return found


def is_running(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
