"""Child processes. Each has its own process group, and ends with all its children when this process ends."""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

TERMINATE_TIMEOUT_S = 3.0
"""Seconds that a process may take to end after SIGTERM before it is killed."""


class ChildProcess:
    """A running process. `log` receives its stdout and stderr."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    def output(self) -> str:
        """Return the complete output of the process."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Send SIGTERM to the process, but not to its children.

        SIGINT would have no effect on a process that a shell started in the background: such a process and its children
        ignore SIGINT.
        """
        if not self.has_ended:
            self._process.terminate()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process. Return False after the timeout."""
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def kill(self) -> None:
        """Kill the process and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def start_process(
    command: Sequence[str], log: Path, environ: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[ChildProcess]:
    """Run `command` in `folder` until the end of the `with` block.

    Then terminate the process, and kill it after a timeout.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            cwd=folder,
            # Ctrl-C in the terminal reaches only this process, because the child has another process group.
            start_new_session=True,
            preexec_fn=_prepare_child,
        )
    child = ChildProcess(process, log)
    try:
        yield child
    finally:
        child.terminate()
        if not await child.wait(TERMINATE_TIMEOUT_S):
            child.kill()
            await process.wait()
        child.kill()


def _prepare_child() -> None:
    """In the child: raise the file limit to the hard limit, and request SIGTERM when the parent dies (prctl(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
