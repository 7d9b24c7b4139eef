"""Event loop of the load generator: socket readiness and deadlines.

One epoll descriptor, watched by the gevent hub, contains every socket, so an idle socket needs neither a greenlet nor
a hub watcher. Deadlines are kept in a timer wheel, so a timeout needs no hub timer.

All callbacks run in the gevent hub and must not block.
"""

import logging
import select
import time
from collections.abc import Callable
from typing import Protocol

import gevent
from gevent.monkey import get_original

TICK_S = 0.1
"""Interval of the timer wheel, in seconds."""

READABLE, WRITABLE = select.POLLIN, select.POLLOUT
_MAX_EVENTS_PER_POLL = 256
_MAX_POLLS_PER_TICK = 64
_LAG_HISTORY_S = 120.0

log = logging.getLogger(__name__)


class SocketHandler(Protocol):
    """Receiver of the events of one socket: readable, writable or broken."""

    def ready(self, events: int) -> None:
        """Handle a socket that is readable, writable or broken."""

    def handler_failed(self) -> None:
        """Close the socket, because `ready` raised an unexpected exception."""

    def abort(self) -> None:
        """Close the socket now, without a closing handshake."""


class DeadlineHandler(Protocol):
    """Receiver of one deadline. The reactor alone writes `deadline_tick` (0: no deadline)."""

    deadline_tick: int

    def deadline_reached(self, now: float) -> None:
        """Handle the deadline. `now` is monotonic time in seconds."""

    def handler_failed(self) -> None:
        """End the connection, because `deadline_reached` raised an unexpected exception."""


class _Timer(Protocol):
    """Methods of a gevent watcher that the reactor uses."""

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Reactor:
    """Dispatcher of socket events and deadlines. `record_lag` is called at each tick with its delay in ms."""

    def __init__(self, record_lag: Callable[[float], None]) -> None:
        self._loop = gevent.get_hub().loop
        # gevent replaces `select.epoll` because it can block; this one is only polled without waiting.
        self._epoll = get_original("select", "epoll")()
        self._handlers: dict[int, SocketHandler] = {}
        self._wheel: dict[int, dict[DeadlineHandler, None]] = {}
        self._record_lag = record_lag
        self._long_lags: list[tuple[float, float]] = []
        self._next_tick_at = time.monotonic() + TICK_S
        self._tick = int(self._next_tick_at / TICK_S)
        self._timers: set[_Timer] = set()
        self._epoll_watcher = self._loop.io(self._epoll.fileno(), 1)
        self._tick_timer = self._loop.timer(TICK_S, repeat=TICK_S)
        self._epoll_watcher.start(self.poll)
        self._tick_timer.start(self._on_tick)

    def __len__(self) -> int:
        return len(self._handlers)

    def close(self) -> None:
        """Stop all watchers and timers."""
        for watcher in (self._epoll_watcher, self._tick_timer, *self._timers):
            watcher.stop()
            watcher.close()
        self._timers.clear()
        self._epoll.close()

    def abort_all(self) -> None:
        """Abort every socket that is still watched."""
        for handler in list(self._handlers.values()):
            handler.abort()

    def watch(self, fd: int, handler: SocketHandler, events: int) -> None:
        """Call `handler.ready` when one of `events` occurs on `fd`."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def set_events(self, fd: int, events: int) -> None:
        """Change the events for which `fd` is watched."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Stop watching `fd`. Call this before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def set_deadline(self, handler: DeadlineHandler, at: float) -> None:
        """Call `handler.deadline_reached` at monotonic time `at`, or one tick later. Replaces an earlier deadline."""
        tick = max(int(at / TICK_S) + 1, self._tick + 1)
        if handler.deadline_tick != tick:
            self.clear_deadline(handler)
            handler.deadline_tick = tick
            self._wheel.setdefault(tick, {})[handler] = None

    def clear_deadline(self, handler: DeadlineHandler) -> None:
        """Remove the handler's deadline, if it has one."""
        if handler.deadline_tick:
            self._wheel.get(handler.deadline_tick, {}).pop(handler, None)
            handler.deadline_tick = 0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once, in `seconds`. Return a function that cancels the call."""
        timer = self._loop.timer(seconds)
        self._timers.add(timer)

        def cancel() -> None:
            if timer in self._timers:
                self._timers.remove(timer)
                timer.stop()
                timer.close()

        def fire() -> None:
            cancel()
            callback()

        timer.start(fire)
        return cancel

    def worst_lag(self, within_s: float) -> float:
        """Return the largest delay of a tick, in milliseconds, within the last `within_s` seconds.

        `within_s` may be at most 120. Delays of up to 100 ms count as 0.
        """
        horizon = time.monotonic() - within_s
        return max((ms for at, ms in self._long_lags if at >= horizon), default=0.0)

    def poll(self) -> int:
        """Call the handlers of the sockets that are ready now. Return the number of these sockets."""
        ready = self._epoll.poll(0, _MAX_EVENTS_PER_POLL)
        handlers = self._handlers
        for fd, events in ready:
            handler = handlers.get(fd)
            if handler is not None:
                try:
                    handler.ready(events)
                except Exception:
                    log.exception("the handler of a socket failed")
                    handler.handler_failed()
        return len(ready)

    def _on_tick(self) -> None:
        now = time.monotonic()
        lag_ms = max(0.0, (now - self._next_tick_at) * 1000)
        self._next_tick_at = now + TICK_S
        if lag_ms > 100:
            self._long_lags = [(at, ms) for at, ms in self._long_lags if at > now - _LAG_HISTORY_S]
            self._long_lags.append((now, lag_ms))
        self._record_lag(lag_ms)
        # After a late tick, data that has already arrived must be read before a server is considered silent.
        for _ in range(_MAX_POLLS_PER_TICK):
            if self.poll() < _MAX_EVENTS_PER_POLL:
                break
        self._run_deadlines(int(now / TICK_S))

    def _run_deadlines(self, until_tick: int) -> None:
        while self._tick < until_tick:
            self._tick += 1
            for handler in self._wheel.pop(self._tick, {}):
                handler.deadline_tick = 0
                try:
                    handler.deadline_reached(time.monotonic())
                except Exception:
                    log.exception("the handler of a deadline failed")
                    handler.handler_failed()
