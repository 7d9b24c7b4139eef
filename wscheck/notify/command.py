"""A program for each change of an incident, with the incident as JSON on its standard input."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

from wscheck.detect.incidents import Incident
from wscheck.model.errors import UsageError
from wscheck.notify.delivery import DeliveryFailed, incident_json

TIMEOUT_S = 30.0


class CommandTarget:
    """Runs `line` without a shell: write `sh -c '...'` where one is wanted. What it prints goes to our stderr."""

    def __init__(self, line: str) -> None:
        try:
            self._arguments = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--exec cannot be read: {error}.", "Close the quotes.") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise UsageError(f"--exec names no program: `{line}`.", "Name a program on PATH, or its full path.")
        self.name = f"command {self._arguments[0]}"
        self._running: subprocess.Popen[bytes] | None = None

    def compose(self, incident: Incident) -> bytes:
        """What it reads."""
        return incident_json(incident) + b"\n"

    def deliver(self, message: bytes) -> None:
        """Run it once; a program that fails is not run again, since what it did cannot be known."""
        try:
            # A session of its own: Ctrl-C is for us, and what hangs ends with all that it started.
            self._running = subprocess.Popen(
                self._arguments, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
            )
            self._running.communicate(message, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise DeliveryFailed(f"it took more than {TIMEOUT_S:.0f} s", again=False) from None
        except OSError as error:
            raise DeliveryFailed(f"it cannot be run: {error.strerror}", again=False) from None
        if self._running.returncode:
            raise DeliveryFailed(f"it exited with {self._running.returncode}", again=False)

    def abandon(self) -> None:
        """End what still runs, with all that it started."""
        running = self._running
        if running is not None and running.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
