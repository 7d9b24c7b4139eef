"""What must not hold up the reading is delivered by a thread of its own, in order, again when it fails, and bounded."""

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

WAITING = 1000
ATTEMPTS = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class DeliveryFailed(Exception):
    """A delivery failed. `again`: whether trying again may help; `pause_s`: how long the receiver asks us to wait."""

    def __init__(self, why: str, *, again: bool = True, pause_s: float = 0.0) -> None:
        super().__init__(why)
        self.again, self.pause_s = again, pause_s


class DeliveryTarget(Protocol):
    """Where messages go. `name` is safe to show."""

    name: str

    def compose(self, incident: Incident) -> bytes: ...
    def deliver(self, message: bytes) -> None:
        """Raises Failed."""

    def abandon(self) -> None:
        """Nobody waits any longer for the delivery that is under way."""


class DeliveryQueue:
    """One route's queue and thread. `note` is told what could not be delivered."""

    def __init__(self, target: DeliveryTarget, note: Callable[[str], None]) -> None:
        self._route, self._note = target, note
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._closing = threading.Event()
        self.delivered = self.dropped = 0
        self._over = False
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"courier {target.name}")
        self._thread.start()

    def event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Only incidents are delivered."""

    def incident(self, incident: Incident) -> None:
        """Composed at once, because an incident goes on growing; delivered when its turn comes."""
        try:
            self._waiting.put_nowait(self._route.compose(incident))
        except queue.Full:
            self._drop(f"{WAITING} messages wait already")

    def settled(self, now: float | None) -> None:
        """The thread does the rest."""

    def close(self, seconds: float = 5.0) -> None:
        """Deliver what waits, for at most `seconds`; what is left is counted as dropped."""
        self._closing.set()
        deadline = time.monotonic() + seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        left = sum(message is not None for message in self._waiting.queue) + self._thread.is_alive()
        if left and self._thread.is_alive():
            self._over = True
            self.dropped += left
            self._route.abandon()
            were = "message was" if left == 1 else "messages were"
            self._note(f"{self._route.name}: {left} {were} not delivered in time.")

    def _work(self) -> None:
        while not self._over and (message := self._waiting.get()) is not None:
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        pause = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._route.deliver(message)
            except DeliveryFailed as failure:
                if self._over:
                    return  # counted, and said, by whoever ended it
                if not failure.again or attempt == ATTEMPTS:
                    self._drop(f"{failure} (attempt {attempt})")
                    return
                self._closing.wait(min(LONGEST_PAUSE_S, max(failure.pause_s, pause * random.uniform(0.5, 1.5))))
                pause *= 2
            else:
                self.delivered += 1
                return

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 100 == 0:
            self._note(f"{self._route.name}: a message was dropped: {why}; {self.dropped} so far.")


def incident_json(incident: Incident) -> bytes:
    """An incident as one JSON object of schema `wscheck.incident/1` (docs/logs.md)."""
    told = msgspec.to_builtins(incident)
    del told["type"]
    return msgspec.json.encode({"schema": "wscheck.incident/1", **told})
