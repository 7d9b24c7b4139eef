"""Programs of the corpus: an application on the loopback interface for the time of its checks, and the checks."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from corpus.entries import Case

FILES = Path(__file__).with_name("files")
_READY_S, _POLL_S = 90.0, 0.5


class NotServed(Exception):
    """The server ended or did not answer in time; the text is the end of its output."""


@contextmanager
def serving(case: Case, folder: Path) -> Iterator[str]:
    """Serve a case while the body runs, and yield its origin.

    Raises:
        NotServed: the server ended, or did not answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="wscheck-corpus-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        for path in FILES.iterdir():
            shutil.copy(path, work)
        port, port2 = free_port(), free_port()
        values = {"port": port, "port2": port2, "folder": folder, "files": FILES, "work": work}
        environment = {key: filled(value, values) for key, value in case.entry.serve.env.items()}
        output = work / "server.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                command_of(case, folder, values),
                cwd=work,
                env={**os.environ, "PYTHONPATH": str(FILES.parent.parent), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                origin = f"http://127.0.0.1:{port}"
                _wait(process, origin, output)
                yield origin
            finally:
                end_group(process)


def filled(text: str, values: dict[str, object]) -> str:
    """Return a text with its {names} replaced; other braces stay."""
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def command_of(case: Case, folder: Path, values: dict[str, object]) -> list[str]:
    """Return the command that serves a case."""
    serve = case.entry.serve
    if serve.command:
        return [filled(part, values) for part in serve.command]
    assert serve.stand_in is not None
    stand_in = serve.stand_in
    options = {"port": values["port"], "root": str(folder / stand_in.root)}
    options |= {"websocket": stand_in.websocket, "answers": stand_in.answers}
    return [sys.executable, "-m", "corpus.servers.stand_in", json.dumps(options)]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", origin: str, output: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotServed(f"the server ended with {process.returncode}: {_end_of(output)}")
        try:
            with urllib.request.urlopen(origin, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(_POLL_S)
    raise NotServed(f"the server did not answer within {_READY_S:.0f} s: {_end_of(output)}")


def _end_of(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace").strip()[-300:]


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process that has a session of its own, and all that it started, also in sessions of their own."""
    started = descendants(process.pid)
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they started. Empty where there is no /proc."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


class Ended(NamedTuple):
    """A program that ended: its output, its exit code (124 past the time limit) and its duration in seconds."""

    text: str
    code: int
    seconds: float


def run_limited(
    command: Sequence[str], work: Path, limit_s: float, variables: Mapping[str, str], stderr: int = subprocess.STDOUT
) -> Ended:
    """Run a program in the folder `work` with further environment variables, and end all that it started.

    Past the limit it is interrupted first, so that it can close its browser.
    """
    started = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=work,
        env={**os.environ, "NO_COLOR": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            text, _ = process.communicate(timeout=limit_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            text, code = f"it took more than {limit_s:g} s", 124
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(text, code, round(time.monotonic() - started, 1))
