"""Delivery of incidents to a webhook or a program, by a separate thread: in order, and repeated after a failure.

The queue of messages is bounded, and reading the logs never waits for a receiver.
"""

import base64
import os
import queue
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from io import BufferedReader
from pathlib import Path
from typing import IO, Generic, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from wscheck import __version__
from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.errors import UsageError, failure_reason
from wscheck.model.events import Event
from wscheck.model.secrets import Redactor
from wscheck.notify.lines import incident_summary
from wscheck.report import json_text
from wscheck.report.finding_text import fix_text

MAX_QUEUED = 1000
MAX_ATTEMPTS = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CLOSE_POLL_S = 0.1
CLOSE_TIMEOUT_S, REQUEST_TIMEOUT_S, COMMAND_TIMEOUT_S = 5.0, 10.0, 30.0

KILL_ROUNDS = 10
"""Most searches for processes of a program that ended: each finds what was started during the search before."""

MAX_OUTPUT_BYTES = 65_536
"""Output of one run of a program that is shown; more is discarded."""

_RUN_VARIABLE = "WSCHECK_EXEC_RUN"
"""Environment variable by which the processes of a program are found, whatever session they are in."""

_KEPT = "%!$&'()*+,;=:@/?~-._"
"""Characters of a path or query that stay as they are (RFC 3986), with those that are percent-encoded already."""
_HOST = re.compile(r"[\w.:-]+(%[\w.-]+)?")

M = TypeVar("M")
"""Type of the messages of a receiver."""

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_EMOJI = {
    IncidentState.OPENED: ":red_circle:",
    IncidentState.GREW: ":chart_with_upwards_trend:",
    IncidentState.RESOLVED: ":white_check_mark:",
}


class DeliveryFailed(Exception):
    """A failed delivery.

    retry    another attempt may succeed
    pause_s  seconds that the receiver asks to wait before the next attempt
    """

    def __init__(self, reason: str, *, retry: bool = True, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry, self.pause_s = retry, pause_s


class DeliveryTarget(Protocol[M]):
    """A receiver of messages. `name` contains no secret."""

    @property
    def name(self) -> str: ...

    def compose(self, incident: Incident) -> M:
        """Return the message about an incident."""

    def deliver(self, message: M) -> None:
        """Send the message. Raises DeliveryFailed."""

    def abort(self) -> None:
        """Abort the delivery in progress, if there is one."""


class DeliveryQueue(Generic[M]):
    """Queue and thread that deliver messages to one receiver.

    note  function that receives a text for the user when messages are lost
    """

    def __init__(self, target: DeliveryTarget[M], note: Callable[[str], None], redactor: Redactor) -> None:
        self._target, self._note, self._redactor = target, note, redactor
        self._queue: queue.Queue[M | None] = queue.Queue(MAX_QUEUED)
        self._closing, self._deadline = threading.Event(), float("inf")
        self.delivered = self.dropped = 0
        self._aborted = False
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"delivery {target.name}")
        self._thread.start()

    @property
    def name(self) -> str:
        return self._target.name

    @property
    def total(self) -> int:
        """Number of messages that were delivered or dropped."""
        return self.delivered + self.dropped

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Do nothing: only incidents are delivered."""

    def on_incident(self, incident: Incident) -> None:
        """Queue a message, composed immediately because the incident can grow before it is sent."""
        try:
            self._queue.put_nowait(self._target.compose(self._redactor.redact_data(incident)))
        except queue.Full:
            self._drop(f"{MAX_QUEUED} messages are waiting already")

    def on_poll_end(self, now: float | None) -> bool:
        """Do nothing: the thread delivers at its own times. Return False, because no early poll is needed."""
        return False

    def close(self, seconds: float = CLOSE_TIMEOUT_S) -> None:
        """Deliver the waiting messages for at most `seconds`; count the rest as dropped. A second call does nothing."""
        if self._closing.is_set():
            return
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        while self._thread.is_alive() and time.monotonic() < self._deadline:
            with suppress(queue.Full):
                self._queue.put(None, timeout=CLOSE_POLL_S)
                break
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        undelivered = sum(message is not None for message in self._queue.queue) + self._thread.is_alive()
        if undelivered:
            self._aborted = True
            self.dropped += undelivered
            self._target.abort()
            were = "message was" if undelivered == 1 else "messages were"
            self._note(f"{self._target.name}: {undelivered} {were} not delivered in time.")

    def _work(self) -> None:
        while not self._aborted and (message := self._queue.get()) is not None:
            if not self._deliver(message):
                return

    def _deliver(self, message: M) -> bool:
        """Deliver or drop a message. Return False if the thread must stop, because the run ends."""
        pause = FIRST_PAUSE_S
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                self._target.deliver(message)
            except DeliveryFailed as failure:
                if self._aborted:
                    return False  # `close` has counted and reported it
                is_last = not failure.retry or attempt == MAX_ATTEMPTS
                if is_last or not self._pause(pause * random.uniform(0.5, 1.5), failure.pause_s):
                    self._drop(f"{failure} (attempt {attempt})")
                    return is_last
                pause *= 2
            except Exception:  # the thread must go on with the next message
                self._drop("the sender failed")
                return True
            else:
                self.delivered += 1
                return True
        return True

    def _pause(self, seconds: float, asked: float) -> bool:
        """Wait before the next attempt. Return False if the run ends too soon for another attempt.

        The pause is the longer of `seconds` and `asked`. `asked` is the pause that the receiver asked for, or 0. When
        the run ends, a pause that the receiver did not ask for ends at once.
        """
        until = time.monotonic() + min(LONGEST_PAUSE_S, max(seconds, asked))
        if not self._closing.is_set():
            ends = self._closing.wait(until - time.monotonic())
            if not (ends and asked):
                return True
        if until > self._deadline:
            return False
        time.sleep(max(0.0, until - time.monotonic()))
        return True

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 100 == 0:
            self._note(f"{self._target.name}: a message was dropped: {reason}; {self.dropped} dropped so far.")


def incident_json(incident: Incident) -> bytes:
    """Return the incident as one JSON object of schema `wscheck.incident/1` (docs/logs.md)."""
    fields = msgspec.to_builtins(incident)
    del fields["type"]
    return json_text.encode({"schema": "wscheck.incident/1", **fields})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect, because a redirected POST becomes a GET without its body."""

    def redirect_request(self, *_: object) -> None:
        return None


class WebhookTarget:
    """The receiver at `url` of an HTTP POST for each change of an incident.

    The URL can be a secret, so messages show only its host. `form` is the form of the body: "json" (one JSON object)
    or "slack" (a message for Slack).
    """

    def __init__(self, url: str, form: str) -> None:
        self._url, self._authorization, host = _request_address(url)
        self._form, self.name = form, f"webhook {host}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def compose(self, incident: Incident) -> bytes:
        """Return the request body."""
        if self._form == "slack":
            return json_text.encode({"text": slack_text(incident)})
        return incident_json(incident)

    def deliver(self, message: bytes) -> None:
        """Send the request. Raises DeliveryFailed for any status but 2xx, with `retry` for temporary errors."""
        headers = {"Content-Type": "application/json", "User-Agent": f"wscheck/{__version__}"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(self._url, message, headers, method="POST")
        try:
            self._opener.open(request, timeout=REQUEST_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise DeliveryFailed(
                f"the receiver answered {error.code}", retry=error.code in RETRY_STATUSES, pause_s=_retry_after(error)
            ) from None
        except (OSError, HTTPException) as error:
            raise DeliveryFailed(f"the receiver cannot be reached: {failure_reason(error)}") from None

    def abort(self) -> None:
        """Do nothing: the request ends with the process."""


def _request_address(url: str) -> tuple[str, str, str]:
    """Return the URL to request, the Authorization header ("" for none) and the host of a webhook.

    Characters that a request line cannot contain are percent-encoded, and a host name outside ASCII becomes its IDNA
    form. User and password become an Authorization header (RFC 7617). The error contains no part of the URL, which may
    be a secret.

    Raises:
        UsageError: It is not an http or https URL, or its host or port is not valid.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        if parts.scheme not in ("http", "https") or not host or not _HOST.fullmatch(host) or port == 0:
            raise ValueError
    except (ValueError, UnicodeError):
        raise UsageError(
            "The webhook is not an http or https URL with a valid host and port.",
            "Write `watch.webhook=https://example.org/hook`.",
        ) from None
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    path, query = quote(parts.path, safe=_KEPT), quote(parts.query, safe=_KEPT)
    return urlunsplit((parts.scheme, netloc, path, query, "")), authorization, host


def slack_text(incident: Incident) -> str:
    """Return the incident in Slack's markup, with text from the log escaped.

    Source: Slack API documentation, "Formatting text for app surfaces", escaping text.
    """
    summary = incident_summary(incident).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    lines = [f"{_EMOJI[incident.state]} *wscheck* {summary}"]
    if incident.state is not IncidentState.RESOLVED:
        lines.append(f"_Fix_: {fix_text(incident)}")
    return "\n".join(lines)


def _retry_after(error: urllib.error.HTTPError) -> float:
    """Return the seconds in the Retry-After header (RFC 9110, section 10.2.3), 0 if it is missing or a date."""
    value = error.headers.get("Retry-After", "") if error.headers else ""
    return float(value) if value.isdigit() else 0.0


class CommandTarget:
    """Program that is run for each change of an incident, and gets the incident on stdin. Its output goes to stderr.

    No shell interprets the command line. A command line that needs a shell has the form `sh -c '...'`.
    """

    def __init__(self, line: str) -> None:
        try:
            self._arguments = shlex.split(line)
        except ValueError:
            raise UsageError("`watch.exec` cannot be parsed: a quote is not closed.", "Close the quotes.") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise UsageError(f"`watch.exec` names no program: `{line}`.", "Name a program on PATH, or its full path.")
        self.name = f"command {self._arguments[0]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = f"{_RUN_VARIABLE}={uuid.uuid4().hex}"

    def compose(self, incident: Incident) -> bytes:
        """Return the standard input of the program."""
        return incident_json(incident) + b"\n"

    def deliver(self, message: bytes) -> None:
        """Run the program once. It is not run again after a failure, because its effects are not known.

        When the program ends or takes too long, kill it and all processes that it started.
        """
        try:
            # A session of its own: Ctrl-C does not reach the program, and its end can end all that it started.
            process = self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, _RUN_VARIABLE: self._mark.partition("=")[2]},
            )
        except OSError as error:
            raise DeliveryFailed(f"the program cannot be run: {error.strerror}", retry=False) from None
        threads = [
            threading.Thread(target=_write_all, args=(process.stdin, message), daemon=True),
            threading.Thread(target=_show_output, args=(process.stdout, self.name), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            process.wait(COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DeliveryFailed(f"the program took more than {COMMAND_TIMEOUT_S:.0f} s", retry=False) from None
        finally:
            self.abort()
            for thread in threads:
                thread.join(CLOSE_TIMEOUT_S)
        if process.returncode:
            raise DeliveryFailed(f"the program exited with {process.returncode}", retry=False)

    def abort(self) -> None:
        """Kill the program, if it runs, and all processes that it started."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _kill_marked(self._mark.encode())


def _kill_marked(mark: bytes) -> None:
    """Kill every process whose environment contains the entry `mark`, on systems with /proc (Linux).

    This also ends processes that left the process group of the program by starting a session of their own.
    """
    for _ in range(KILL_ROUNDS):
        killed = 0
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in environment.read_bytes().split(b"\0"):
                    os.kill(int(environment.parent.name), signal.SIGKILL)
                    killed += 1
        if not killed:
            return


def _write_all(pipe: IO[bytes], message: bytes) -> None:
    """Write the standard input of a program. A program that ends without reading its input is no error."""
    with suppress(OSError), pipe:
        pipe.write(message)


def _show_output(pipe: IO[bytes], name: str) -> None:
    """Copy the first bytes of a program's output to stderr, and read the rest so that the program can go on."""
    left, noted = MAX_OUTPUT_BYTES, False
    with pipe, suppress(OSError, ValueError):
        while data := pipe.read1(1 << 16) if isinstance(pipe, BufferedReader) else pipe.read(1 << 16):
            _print_output(data[:left])
            if len(data) > left and not noted:
                noted = True
                _print_output(f"\nwscheck: {name}: further output is not shown.\n".encode())
            left = max(0, left - len(data))


def _print_output(data: bytes) -> None:
    if sys.stderr is not None and data:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()
