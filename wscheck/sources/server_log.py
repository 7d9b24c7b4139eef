"""WHO SAW IT: the server, in its log, read beside a run from the end on: what stood there before is not ours."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from wscheck.errors import BadEvidence
from wscheck.events import Event
from wscheck.sources.logs.extractor import Extractor

LOOK_AGAIN_S = 0.02

Sink = Callable[[Event], None]


class ServerLog:
    """One log; `sink` takes its events while a phase runs, None drops them (they belong to nothing we did)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sink: Sink | None = None
        self._extractor = Extractor(name)

    def write(self, text: str) -> None:
        """What an embedded backend logs, whole records at a time."""
        self.take(text.encode())
        self.settle()

    def take(self, data: bytes) -> None:
        """Bytes that were appended to the log."""
        self._tell(self._extractor.feed(data))

    def settle(self) -> None:
        """No more lines for now: complete what waits for them."""
        self._tell(self._extractor.flush())

    def _tell(self, events: list[Event]) -> None:
        for event in events if self.sink is not None else ():
            # Read as it is written, beside clients that have our clock: the server's may be off, or in another zone.
            if self.sink is not None:
                self.sink(msgspec.structs.replace(event, at=time.time()))

    async def follow(self) -> None:
        """Take what is appended, for ever; an in-process log has nothing to follow."""

    def close(self) -> None:
        """Let go of what it reads from."""


class FileLog(ServerLog):
    """A log file that another process writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise BadEvidence(
                f"The server log {path} cannot be read: {error.strerror}.", "Check the path given to --server-log."
            ) from None
        self._file.seek(0, 2)

    async def follow(self) -> None:
        idle = 0
        while True:
            data = self._file.read(1 << 20)
            if data:
                idle = 0
                self.take(data)
                continue
            idle += 1
            if idle == 3:
                self.settle()
            await asyncio.sleep(LOOK_AGAIN_S)

    def close(self) -> None:
        self._file.close()


class StdinLog(ServerLog):
    """A log that is piped in: `node server.js | wscheck verify URL --server-log -`."""

    def __init__(self) -> None:
        super().__init__("<stdin>")

    async def follow(self) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def read() -> None:
            # A thread, because a pipe, a terminal and a file on stdin have nothing else in common.
            while data := os.read(sys.stdin.fileno(), 1 << 16):
                loop.call_soon_threadsafe(self.take, data)
                loop.call_soon_threadsafe(self.settle)
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=read, daemon=True, name="server-log").start()
        await done.wait()


def open_log(path: str) -> ServerLog:
    """The log at `path`, "-" for stdin. Raises BadEvidence."""
    return StdinLog() if path == "-" else FileLog(Path(path))
