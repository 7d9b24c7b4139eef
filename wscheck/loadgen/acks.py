"""ACKNOWLEDGEMENTS a connection waits for, oldest first."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wscheck.model.load_statistics import LoadStatistics


Answered = Callable[[list[Any] | None, float], None]
"""Called with an acknowledgement's arguments and the milliseconds it took; with None when it did not come in time.
Not called when the connection ended first: that is counted as `unanswered`."""


class Answers:
    """All of one connection have the same patience, so the one asked first is late first."""

    __slots__ = ("_next", "_waiting")

    def __init__(self) -> None:
        self._next = 0
        self._waiting: dict[int, tuple[Answered | None, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest_at(self) -> float:
        """When the oldest was asked for; only where there is one."""
        return next(iter(self._waiting.values()))[1]

    def expect(self, answered: Answered | None) -> int:
        """One more; the number to ask under."""
        number = self._next
        self._next += 1
        self._waiting[number] = (answered, time.monotonic())
        return number

    def came(self, number: int | None, arguments: list[Any], now: "LoadStatistics") -> None:
        """Counts the answer to `number`; one that nobody waits for any more is none."""
        waiting = self._waiting.pop(number, None) if number is not None else None
        if waiting is None:
            return
        answered, sent_at = waiting
        took = (time.monotonic() - sent_at) * 1000
        now.acks += 1
        now.ack.add(took)
        if answered is not None:
            answered(arguments, took)

    def give_up(self, asked_before: float, now: "LoadStatistics") -> None:
        """Those asked for before that are late."""
        while self._waiting and self.oldest_at <= asked_before:
            answered, sent_at = self._waiting.pop(next(iter(self._waiting)))
            now.ack_timeouts += 1
            if answered is not None:
                answered(None, (time.monotonic() - sent_at) * 1000)
