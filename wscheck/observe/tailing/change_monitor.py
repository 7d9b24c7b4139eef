"""Waiting until a followed log may have changed.

A notification is only a hint: it can be late, missing or about another file, and it does no more than end a wait early.
On Linux it comes from inotify(7). Elsewhere, and when inotify has no watches left, waits are short instead.
"""

import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

POLL_S = 0.1
"""Seconds between two reads without notifications."""


class ChangeMonitor:
    """A wait for one of three events: a watched log may have changed, one of `inputs` can be read, or the time is over.

    `wake` ends a wait from a signal handler or another thread. `output` is a pipe to which this process writes:
    `output_closed` becomes true, and a wait ends, when nothing reads from it any more.
    """

    def __init__(self, inputs: Iterable[int], output: int | None) -> None:
        self._output, self.output_closed = output, False
        self._watching = False
        self._inotify: _Inotify | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        for fd in (self._wake_read, *inputs):
            self._poll.register(fd, select.POLLIN | select.POLLHUP)
        if output is not None:
            self._poll.register(output, 0)  # poll(2) reports an error without being asked for it

    def watch(self, paths: Iterable[Path]) -> None:
        """Wait for changes of these logs and for new files in their directories; can be called repeatedly."""
        paths = list(paths)
        if paths and not self._watching:
            self._watching, self._inotify = True, _start_inotify()
            if self._inotify is not None:
                self._poll.register(self._inotify.fileno(), select.POLLIN | select.POLLHUP)
        if self._inotify is not None:
            self._inotify.watch(paths)

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after `seconds`."""
        reliable = not self._watching or (self._inotify is not None and self._inotify.reliable)
        ready = self._poll.poll(1000 * (seconds if reliable else min(seconds, POLL_S)))
        self.output_closed = any(fd == self._output for fd, _ in ready)
        if self._inotify is not None:
            self._inotify.clear()
        _drain(self._wake_read)

    def remove_input(self, fd: int) -> None:
        """Stop waiting for `fd`, one of the `inputs`."""
        self._poll.unregister(fd)

    def wake(self) -> None:
        """End the current wait, or the next one immediately."""
        with suppress(BlockingIOError):  # the pipe is full, so the wait ends anyway
            os.write(self._wake_write, b"!")

    def close(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._inotify is not None:
            self._inotify.close()


class _Inotify:
    """inotify(7) watches for each log (written to) and its directory (created, renamed).

    reliable  every watch could be added; otherwise changes can go unnoticed
    """

    def __init__(self) -> None:
        from inotify_simple import INotify, flags

        self._inotify = INotify(nonblocking=True)
        self._file_events = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF | flags.CLOSE_WRITE
        self._directory_events = flags.CREATE | flags.MOVED_TO | flags.ONLYDIR
        self.reliable = True

    def watch(self, paths: Iterable[Path]) -> None:
        """Add watches. The kernel has one watch per inode, so adding one again is cheap and follows a rotation."""
        for path in paths:
            for target in {path, Path(os.path.realpath(path))}:
                self._add(target.parent, self._directory_events)
                self._add(target, self._file_events)

    def _add(self, path: Path, events: int) -> None:
        try:
            self._inotify.add_watch(path, events)
        except FileNotFoundError:
            pass  # the watch of its directory reports when it appears
        except OSError:
            self.reliable = False  # no watches left, or a file system without notifications

    def fileno(self) -> int:
        return int(self._inotify.fileno())

    def clear(self) -> None:
        _drain(self._inotify.fileno())

    def close(self) -> None:
        self._inotify.close()


def _drain(fd: int) -> None:
    with suppress(BlockingIOError):
        while os.read(fd, 1 << 16):
            pass


def _start_inotify() -> _Inotify | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return _Inotify()
    except (OSError, ImportError):
        return None
