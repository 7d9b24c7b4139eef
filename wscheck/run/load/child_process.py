"""Processes of ours: each in a group of its own, ended with all its children, and never left behind."""

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

# How long a process may take to end by itself before it is killed.
GRACE_S = 3.0


class Offspring:
    """A running process. Both its outputs go to `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def said(self) -> str:
        """Everything it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Ask it, and only it, to end in order. (A shell's background jobs ignore SIGINT, and so do their children.)"""
        if not self.ended:
            self._process.terminate()

    async def end(self, within_s: float) -> bool:
        """Wait for its end; whether it came in time."""
        try:
            await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            return False
        return True

    def kill(self) -> None:
        """End it and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def started(
    command: Sequence[str], log: Path, environ: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[Offspring]:
    """Run `command` (in `folder`) until the block ends, then end it: in order when it listens, else by force."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            cwd=folder,
            # Ctrl-C at the terminal is ours to handle: a group of its own does not receive it.
            start_new_session=True,
            preexec_fn=_prepare,
        )
    offspring = Offspring(process, log)
    try:
        yield offspring
    finally:
        offspring.terminate()
        if not await offspring.end(GRACE_S):
            offspring.kill()
            await process.wait()
        offspring.kill()


def _prepare() -> None:
    """In the child: take every file the hard limit allows, and end when this process is killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
