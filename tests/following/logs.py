"""A log's writer and a reader of its lines, for the tests of following."""

import gzip
import os
import shutil
from pathlib import Path

from wscheck.following.fingerprint import Position
from wscheck.following.follower import Follower, Place
from wscheck.following.stream import Stream


class Log:
    """A log at `path`, written through a descriptor that stays open like a server's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []
        self._out = path.open("ab", buffering=0)

    def line(self, text: bytes | None = None) -> None:
        text = text if text is not None else b"line %d" % len(self.written)
        self.written.append(text)
        self._out.write(text + b"\n")

    def lines(self, count: int) -> None:
        for _ in range(count):
            self.line()

    def raw(self, data: bytes) -> None:
        self._out.write(data)

    def reopen(self) -> None:
        self._out.close()
        self._out = self.path.open("ab", buffering=0)

    def shift(self) -> None:
        """Rename the generations on: .1 to .2, the log to .1."""
        numbers = sorted((int(p.suffix[1:]) for p in self.path.parent.glob(self.path.name + ".[0-9]")), reverse=True)
        for number in numbers:
            Path(f"{self.path}.{number}").rename(f"{self.path}.{number + 1}")

    def rotate(self) -> None:
        self.shift()
        self.path.rename(f"{self.path}.1")

    def copytruncate(self, *, keep: bool = True, pack: bool = False) -> None:
        if keep:
            self.shift()
            shutil.copy(self.path, f"{self.path}.1")
        if pack:
            self.pack("1")
        os.truncate(self.path, 0)

    def pack(self, suffix: str) -> None:
        plain = Path(f"{self.path}.{suffix}")
        with plain.open("rb") as source, gzip.open(f"{plain}.gz", "wb") as packed:
            shutil.copyfileobj(source, packed)
        times = plain.stat()
        os.utime(f"{plain}.gz", ns=(times.st_atime_ns, times.st_mtime_ns))
        plain.unlink()

    def close(self) -> None:
        self._out.close()


class Lines:
    """Follows a log and keeps the lines; every complete line is a record."""

    def __init__(self, path: Path, place: Place | None = None, *, at_end: bool = False, chunk: int = 4096) -> None:
        self.notes: list[str] = []
        self.got: list[bytes] = []
        self.numbers: list[int | None] = []
        self.now = 0.0
        self._carry: dict[int, bytes] = {}
        self.follower = Follower(path, memoryview(bytearray(chunk)), self.notes.append)
        self.follower.resume(place) if place is not None else self.follower.begin(at_end=at_end)

    def look(self, seconds: float = 0.1) -> list[bytes]:
        before = len(self.got)
        self.now += seconds
        for stream, data in self.follower.read(self.now):
            self._take(stream, bytes(data))
        return self.got[before:]

    def _take(self, stream: Stream, data: bytes) -> None:
        *lines, rest = (self._carry.get(id(stream), b"") + data).split(b"\n")
        self._carry[id(stream)] = rest
        for line in lines:
            stream.lines += 1
            stream.consumed += len(line) + 1
            self.got.append(line)
            self.numbers.append(stream.line(stream.lines))

    def place(self) -> Place:
        place = self.follower.place()
        assert place is not None
        return place

    def position(self) -> Position:
        return self.place().positions[-1]
