"""ONE REACTOR on the gevent hub: an epoll descriptor that holds every socket, so that an idle one costs neither a
greenlet nor a watcher; and a wheel of deadlines, so that a timeout costs no timer.

Everything here runs in the hub and must not wait for anything.
"""

import logging
import select
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent.monkey import get_original

TICK_S = 0.1
READABLE, WRITABLE = select.POLLIN, select.POLLOUT
_AT_ONCE = 256
_LAGS_KEPT_S = 120.0

log = logging.getLogger(__name__)


class Watched(Protocol):
    """What the reactor calls. `due` is the tick at which it is looked at, 0 for never; the reactor's own."""

    due: int

    def ready(self, events: int) -> None:
        """The socket is readable, writable or broken."""

    def overdue(self, now: float) -> None:
        """The time given to `Reactor.look_after` has come."""

    def crashed(self) -> None:
        """One of the two raised: a defect of ours. Give everything up."""

    def cut(self) -> None:
        """Be gone now."""


class Reactor:
    """`lagged` is called at every tick with how late it came, in milliseconds."""

    def __init__(self, lagged: Callable[[float], None]) -> None:
        self._loop = gevent.get_hub().loop
        self._epoll = get_original("select", "epoll")()  # gevent hides what could block; this one is only asked
        self._watched: dict[int, Watched] = {}
        self._wheel: dict[int, dict[Watched, None]] = {}
        self._lagged = lagged
        self._lags: list[tuple[float, float]] = []
        self._next = time.monotonic() + TICK_S
        self._tick = int(self._next / TICK_S)
        self._pauses: set[Any] = set()
        self._reading = self._loop.io(self._epoll.fileno(), 1)
        self._ticking = self._loop.timer(TICK_S, repeat=TICK_S)
        self._reading.start(self.poll)
        self._ticking.start(self._ticked)

    def __len__(self) -> int:
        return len(self._watched)

    def close(self) -> None:
        """Watch nothing any more."""
        for watcher in (self._reading, self._ticking, *self._pauses):
            watcher.stop()
            watcher.close()
        self._pauses.clear()
        self._epoll.close()

    def cut(self) -> None:
        """Cut whatever is still watched."""
        for watched in list(self._watched.values()):
            watched.cut()

    def watch(self, fd: int, watched: Watched, events: int = READABLE) -> None:
        """Call `watched.ready` when `fd` is."""
        self._watched[fd] = watched
        self._epoll.register(fd, events)

    def want(self, fd: int, events: int) -> None:
        """Watch a watched `fd` for `events` from now on."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Before `fd` is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def look_after(self, watched: Watched, at: float) -> None:
        """Call `watched.overdue` at `at` (monotonic) or a tick later, instead of whenever it was to be called."""
        tick = max(int(at / TICK_S) + 1, self._tick + 1)
        if watched.due != tick:
            self.leave(watched)
            watched.due = tick
            self._wheel.setdefault(tick, {})[watched] = None

    def leave(self, watched: Watched) -> None:
        """Do not call `overdue` any more."""
        if watched.due:
            self._wheel.get(watched.due, {}).pop(watched, None)
            watched.due = 0

    def after(self, seconds: float, do: Callable[[], None]) -> Callable[[], None]:
        """Calls `do` once, in `seconds`; what is returned prevents it."""
        timer = self._loop.timer(seconds)
        self._pauses.add(timer)

        def cancel() -> None:
            if timer in self._pauses:
                self._pauses.remove(timer)
                timer.stop()
                timer.close()

        def fire() -> None:
            cancel()
            do()

        timer.start(fire)
        return cancel

    def worst_lag(self, within: float) -> float:
        """The most milliseconds that a tick came late in the last `within` seconds (at most two minutes)."""
        horizon = time.monotonic() - within
        return max((ms for at, ms in self._lags if at >= horizon), default=0.0)

    def poll(self) -> int:
        """Serve the sockets that are ready now; how many were."""
        ready = self._epoll.poll(0, _AT_ONCE)
        watched = self._watched
        for fd, events in ready:
            each = watched.get(fd)
            if each is not None:
                try:
                    each.ready(events)
                except Exception:
                    log.exception("a connection's own code failed")
                    each.crashed()
        return len(ready)

    def _ticked(self) -> None:
        now = time.monotonic()
        late = max(0.0, (now - self._next) * 1000)
        self._next = now + TICK_S
        if late > 100:
            self._lags = [(at, ms) for at, ms in self._lags if at > now - _LAGS_KEPT_S]
            self._lags.append((now, late))
        self._lagged(late)
        # What arrived while we were late must be read before anybody is said to have been silent.
        for _ in range(64):
            if self.poll() < _AT_ONCE:
                break
        self._turn(int(now / TICK_S))

    def _turn(self, tick: int) -> None:
        while self._tick < tick:
            self._tick += 1
            for watched in self._wheel.pop(self._tick, {}):
                watched.due = 0
                try:
                    watched.overdue(time.monotonic())
                except Exception:
                    log.exception("a connection's own code failed")
                    watched.crashed()
