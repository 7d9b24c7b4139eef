"""`wscheck load` as a user runs it, in the background where a test has to do something to it meanwhile."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import COMMAND, environment
from wscheck.model import load_statistics
from wscheck.model.load_statistics import LoadStatistics, RunTotals, WorkerLost

PATIENCE_S = 60.0
TOKEN = "token-of-{user}"


@dataclass
class Loading:
    """A running `wscheck load`, its JSON report to come in `report`."""

    process: "subprocess.Popen[str]"
    report: Path
    errors: Path

    @property
    def said(self) -> str:
        """What it has said on stderr so far."""
        return self.errors.read_text()

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Waits for something to be so."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline and self.process.poll() is None, f"{what}: {self.said}"
            time.sleep(0.02)

    def begun(self) -> "Loading":
        """Waits until the swarm has begun."""
        self.until(lambda: " begins: " in self.said, "it did not begin")
        return self

    def stream(self) -> bytes:
        """What its Locust process has told so far."""
        return b"".join(path.read_bytes() for path in self.report.parent.glob("wscheck-load-*/stream.ndjson"))

    def statistics(self) -> LoadStatistics:
        """What its Locust process has counted so far."""
        totals = [line for line in self.stream().splitlines(keepends=True) if line.startswith(b'{"type":"totals"')]
        told = load_statistics.decode_record(totals[-1]) if totals and totals[-1].endswith(b"\n") else None
        return told.statistics if isinstance(told, RunTotals) else LoadStatistics()

    def lost(self) -> list[WorkerLost]:
        """The workers of whose death its Locust process has told so far."""
        lines = self.stream().splitlines(keepends=True)
        told = (load_statistics.decode_record(line) for line in lines if line.endswith(b"\n"))
        return [line for line in told if isinstance(line, WorkerLost)]

    def children(self) -> list[int]:
        """Every process that it started, and theirs."""
        return descendants(self.process.pid)

    def end(self) -> tuple[int, dict[str, Any]]:
        """(exit code, report) once it has ended."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in out + self.said, out + self.said
        return self.process.returncode, json.loads(self.report.read_bytes()) if self.report.exists() else {}


@contextmanager
def loading(folder: Path, *arguments: str, token: str = TOKEN) -> Iterator[Loading]:
    """Starts `wscheck load ARGUMENTS` with a JSON report."""
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
        yield Loading(process, report, errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def load(folder: Path, *arguments: str, token: str = TOKEN) -> tuple[int, dict[str, Any], str]:
    """(exit code, report, stdout and stderr) of a whole run."""
    with loading(folder, *arguments, token=token) as run:
        out, _ = run.process.communicate(timeout=PATIENCE_S)
        said = out + run.said
        assert "Traceback" not in said, said
        return run.process.returncode, json.loads(run.report.read_bytes()) if run.report.exists() else {}, said


def descendants(pid: int) -> list[int]:
    """The process's children, grandchildren and so on."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        of = parents.get(todo.pop(), [])
        found += of
        todo += of
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
