"""Delivery of messages by a separate thread: in order, repeated after a failure, and with a bounded queue.

Reading the logs never waits for a receiver.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident
from wscheck.model.events import Event

MAX_QUEUED = 1000
MAX_ATTEMPTS = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CLOSE_TIMEOUT_S = 5.0


class DeliveryFailed(Exception):
    """A failed delivery. `retry`: another attempt may succeed. `pause_s`: seconds that the receiver asks to wait."""

    def __init__(self, reason: str, *, retry: bool = True, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry, self.pause_s = retry, pause_s


class DeliveryTarget(Protocol):
    """A receiver of messages. `name` contains no secret."""

    name: str

    def compose(self, incident: Incident) -> bytes:
        """Return the message about an incident."""

    def deliver(self, message: bytes) -> None:
        """Send the message. Raises DeliveryFailed."""

    def abort(self) -> None:
        """End the delivery that is running."""


class DeliveryQueue:
    """The queue and the thread of one target. `note` receives a sentence about lost messages."""

    def __init__(self, target: DeliveryTarget, note: Callable[[str], None]) -> None:
        self._target, self._note = target, note
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED)
        self._closing = threading.Event()
        self.delivered = self.dropped = 0
        self._aborted = False
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"delivery {target.name}")
        self._thread.start()

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Do nothing: only incidents are delivered."""

    def on_incident(self, incident: Incident) -> None:
        """Queue a message, composed immediately because the incident can grow before it is sent."""
        try:
            self._queue.put_nowait(self._target.compose(incident))
        except queue.Full:
            self._drop(f"{MAX_QUEUED} messages are waiting already")

    def on_poll_end(self, now: float | None) -> bool:
        """Do nothing: the thread delivers."""
        return False

    def close(self, seconds: float = CLOSE_TIMEOUT_S) -> None:
        """Deliver the waiting messages for at most `seconds`; count the rest as dropped."""
        self._closing.set()
        deadline = time.monotonic() + seconds
        with suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        undelivered = sum(message is not None for message in self._queue.queue) + self._thread.is_alive()
        if undelivered and self._thread.is_alive():
            self._aborted = True
            self.dropped += undelivered
            self._target.abort()
            were = "message was" if undelivered == 1 else "messages were"
            self._note(f"{self._target.name}: {undelivered} {were} not delivered in time.")

    def _work(self) -> None:
        while not self._aborted and (message := self._queue.get()) is not None:
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        pause = FIRST_PAUSE_S
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                self._target.deliver(message)
            except DeliveryFailed as failure:
                if self._aborted:
                    return  # `close` has counted and reported it
                if not failure.retry or attempt == MAX_ATTEMPTS:
                    self._drop(f"{failure} (attempt {attempt})")
                    return
                self._closing.wait(min(LONGEST_PAUSE_S, max(failure.pause_s, pause * random.uniform(0.5, 1.5))))
                pause *= 2
            else:
                self.delivered += 1
                return

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 100 == 0:
            self._note(f"{self._target.name}: a message was dropped: {reason}; {self.dropped} so far.")


def incident_json(incident: Incident) -> bytes:
    """Return the incident as one JSON object of schema `wscheck.incident/1` (docs/logs.md)."""
    fields = msgspec.to_builtins(incident)
    del fields["type"]
    return msgspec.json.encode({"schema": "wscheck.incident/1", **fields})
