"""When to look at the followed logs: as soon as something stirs, and now and then in any case.

A notification carries no truth (it may be late, missing, or about something else): it only ends a wait early. On
Linux inotify gives it; elsewhere, and where inotify has run out of watches, the clock alone must do.
"""

import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

POLL_S = 0.1
"""Seconds between two looks where nothing can wake us."""


class ChangeMonitor:
    """Waits until a watched log may have changed, one of `others` can be read, or time is up.

    `ring` ends a wait from a signal handler or another thread. `reader` is a pipe that we write to: `deserted` becomes
    true, and a wait ends, when nobody reads it any more.
    """

    def __init__(self, others: Iterable[int], reader: int | None) -> None:
        self._open_reader, self.deserted = reader, False
        self._watcher = _inotify()
        self._ringing, self._rope = os.pipe()
        os.set_blocking(self._ringing, False)
        os.set_blocking(self._rope, False)
        self._poll = select.poll()
        for fd in (self._ringing, *others, *([self._watcher.fileno()] if self._watcher else [])):
            self._poll.register(fd, select.POLLIN | select.POLLHUP)
        if reader is not None:
            self._poll.register(reader, 0)  # an error is reported unasked

    @property
    def hints(self) -> bool:
        """Whether a change ends the wait; without it, waits are cut to POLL_S."""
        return self._watcher is not None and self._watcher.hints

    def watch(self, names: Iterable[Path]) -> None:
        """Be woken by these logs and by what appears beside them; may be called again at any time."""
        if self._watcher is not None:
            self._watcher.watch(names)

    def wait(self, seconds: float) -> None:
        """Return when something stirs, at the latest after `seconds`."""
        stirred = self._poll.poll(1000 * (seconds if self.hints else min(seconds, POLL_S)))
        self.deserted = any(fd == self._open_reader for fd, _ in stirred)
        if self._watcher is not None:
            self._watcher.clear()
        _drain(self._ringing)

    def leave(self, fd: int) -> None:
        """Wait no longer for `fd`, one of the `others`."""
        self._poll.unregister(fd)

    def ring(self) -> None:
        """End the current wait, or the next one at once."""
        with suppress(BlockingIOError):  # it rings already
            os.write(self._rope, b"!")

    def close(self) -> None:
        os.close(self._ringing)
        os.close(self._rope)
        if self._watcher is not None:
            self._watcher.close()


class _Inotify:
    """inotify(7) on each log (written to) and its directory (created, renamed)."""

    def __init__(self) -> None:
        from inotify_simple import INotify, flags

        self._notify = INotify(nonblocking=True)
        self._on_file = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF | flags.CLOSE_WRITE
        self._on_directory = flags.CREATE | flags.MOVED_TO | flags.ONLYDIR
        self.hints = True

    def watch(self, names: Iterable[Path]) -> None:
        """The kernel keeps one watch for each inode, so asking again costs nothing and follows a rotation."""
        for name in names:
            for base in {name, Path(os.path.realpath(name))}:
                self._add(base.parent, self._on_directory)
                self._add(base, self._on_file)

    def _add(self, path: Path, mask: int) -> None:
        try:
            self._notify.add_watch(path, mask)
        except FileNotFoundError:
            pass  # its directory's watch tells when it appears
        except OSError:
            self.hints = False  # out of watches, or a file system that has none: poll

    def fileno(self) -> int:
        return int(self._notify.fileno())

    def clear(self) -> None:
        _drain(self._notify.fileno())

    def close(self) -> None:
        self._notify.close()


def _drain(fd: int) -> None:
    with suppress(BlockingIOError):
        while os.read(fd, 1 << 16):
            pass


def _inotify() -> _Inotify | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return _Inotify()
    except (OSError, ImportError):
        return None
