"""A program that runs for each change of an incident, with the incident as JSON on its standard input."""

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
    """The program of a command line, run without a shell (`sh -c '...'` adds one). Its output goes to stderr."""

    def __init__(self, line: str) -> None:
        try:
            self._arguments = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--exec cannot be parsed: {error}.", "Close the quotes.") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise UsageError(f"--exec names no program: `{line}`.", "Name a program on PATH, or its full path.")
        self.name = f"command {self._arguments[0]}"
        self._process: subprocess.Popen[bytes] | None = None

    def compose(self, incident: Incident) -> bytes:
        """Return the standard input of the program."""
        return incident_json(incident) + b"\n"

    def deliver(self, message: bytes) -> None:
        """Run the program once. It is not run again after a failure, because its effects are not known."""
        try:
            # A session of its own: Ctrl-C does not reach the program, and a timeout ends all processes it started.
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
            )
            self._process.communicate(message, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.abort()
            raise DeliveryFailed(f"it took more than {TIMEOUT_S:.0f} s", retry=False) from None
        except OSError as error:
            raise DeliveryFailed(f"it cannot be run: {error.strerror}", retry=False) from None
        if self._process.returncode:
            raise DeliveryFailed(f"it exited with {self._process.returncode}", retry=False)

    def abort(self) -> None:
        """Kill the running program and all processes that it started."""
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
