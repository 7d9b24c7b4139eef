"""A writer of a log and a reader of its lines."""

import gzip
import os
import random
import shutil
from pathlib import Path

from wscheck.observe.tailing.follower import LATE_WRITER_S, LogFollower, ResumePoint
from wscheck.observe.tailing.open_file import FilePosition
from wscheck.observe.tailing.stream import LogStream

APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class LogWriter:
    """A log at `path`, written through a descriptor that stays open like a server's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []
        self._fd = os.open(path, APPEND)

    def line(self, text: bytes | None = None) -> None:
        text = text if text is not None else b"line %d" % len(self.written)
        self.written.append(text)
        os.write(self._fd, text + b"\n")

    def lines(self, count: int) -> None:
        for _ in range(count):
            self.line()

    def raw(self, data: bytes) -> None:
        os.write(self._fd, data)

    def reopen(self) -> None:
        os.close(self._fd)
        self._fd = os.open(self.path, APPEND)

    def shift(self) -> None:
        """Rename the generations: .1 to .2, .2 to .3."""
        generations = {int(p.name.split(".")[2]): p for p in self.path.parent.glob(self.path.name + ".[0-9]*")}
        for number in sorted(generations, reverse=True):
            path = generations[number]
            path.rename(path.with_name(path.name.replace(f".{number}", f".{number + 1}")))

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

    def rewrite(self) -> None:
        """Put the same content into a new inode, like an editor or rsync."""
        copy = self.path.with_name("copy")
        shutil.copy(self.path, copy)
        copy.rename(self.path)
        self.reopen()

    def pack(self, suffix: str) -> None:
        plain = Path(f"{self.path}.{suffix}")
        with plain.open("rb") as source, gzip.open(f"{plain}.gz", "wb") as packed:
            shutil.copyfileobj(source, packed)
        times = plain.stat()
        os.utime(f"{plain}.gz", ns=(times.st_atime_ns, times.st_mtime_ns))
        plain.unlink()

    def __del__(self) -> None:
        os.close(self._fd)


class LineReader:
    """Follows a log and stores its lines; every complete line is a record."""

    def __init__(
        self, path: Path, resume_point: ResumePoint | None = None, *, at_end: bool = False, chunk: int = 4096
    ) -> None:
        self.notes: list[str] = []
        self.read_lines: list[bytes] = []
        self.numbers: list[int | None] = []
        self.now = 0.0
        self._unfinished: dict[int, bytes] = {}
        self.follower = LogFollower(path, memoryview(bytearray(chunk)), self.notes.append)
        self.follower.resume(resume_point) if resume_point is not None else self.follower.start(at_end=at_end)

    def poll(self, seconds: float = 0.1) -> list[bytes]:
        before = len(self.read_lines)
        self.now += seconds
        for stream, data in self.follower.read(self.now):
            self._add(stream, bytes(data))
        return self.read_lines[before:]

    def _add(self, stream: LogStream, data: bytes) -> None:
        *lines, rest = (self._unfinished.get(id(stream), b"") + data).split(b"\n")
        self._unfinished[id(stream)] = rest
        for line in lines:
            stream.lines += 1
            stream.consumed += len(line) + 1
            self.read_lines.append(line)
            self.numbers.append(stream.line(stream.lines))

    def __del__(self) -> None:
        self.follower.close()

    def resume_point(self) -> ResumePoint:
        resume_point = self.follower.resume_point()
        assert resume_point is not None
        return resume_point

    def position(self) -> FilePosition:
        return self.resume_point().positions[-1]


class RandomLogLife:
    """Random writes, rotations, polls and restarts of the reader.

    Between two polls every line stays on disk, so every line must be read once and in order. A rename may cut a line in
    two. A copy must not, because after a restart the two halves cannot be recognised.
    """

    def __init__(self, path: Path, random_source: random.Random) -> None:
        self.log, self._random = LogWriter(path), random_source
        self._lines = LineReader(path)
        self._place = self._lines.resume_point()
        self.read_lines: list[bytes] = []
        self._late, self._dated = False, random_source.random() < 0.3
        self._half = b""
        self._halves = self._days = 0

    def step(self) -> None:
        """Do one random thing."""
        writes, polls = (self.write, self.write, self.write, self.half), (self.poll, self.restart, self.kill)
        rotations = (self.rotate, self.rotate, self.copy, self.replace, self.pack, self.recreate, self.quiet)
        self._random.choice((*writes, *polls, *rotations))()

    def write(self) -> None:
        if self._late and self._random.random() < 0.5:
            self._end_half()
            self.log.reopen()
            self._late = False
        for _ in range(self._random.choice((1, 3, 40))):
            self.log.raw(b"line %d\n" % len(self.log.written))
            self._end_half(b"line %d" % len(self.log.written))

    def half(self) -> None:
        """Write the start of a line. Its end follows later, possibly in another file."""
        self._halves += 1
        part = b"part %d of " % self._halves
        self._half += part
        self.log.raw(part)

    def _end_half(self, rest: bytes = b"") -> None:
        self.log.written += [self._half + rest] if self._half or rest else []
        self._half = b""

    def poll(self) -> None:
        self.read_lines += self._lines.poll()
        self._place = self._lines.resume_point()

    def restart(self) -> None:
        self.poll()
        self.kill()

    def kill(self) -> None:
        """Replace the reader by a new one that continues from its last poll."""
        self._lines.follower.close()
        self._lines = LineReader(self.log.path, self._place)

    def rotate(self) -> None:
        if self._late:
            return
        self._days += 1
        if self._dated:
            self.log.path.rename(f"{self.log.path}-2026{self._days:04}")
        else:
            self.log.rotate()
        self._late = True
        if self._random.random() < 0.3:
            self.log.path.touch()

    def copy(self) -> None:
        if not (self._late or self._dated or self._half):
            self.log.copytruncate(pack=self._random.random() < 0.2)

    def replace(self) -> None:
        if not (self._late or self._half):
            self.log.rewrite()

    def pack(self) -> None:
        """Pack a generation that has no writer."""
        plain = [path for path in self.log.path.parent.glob("app.log.[0-9]*") if path.suffix != ".gz"]
        if plain and not self._late:
            self.log.pack(self._random.choice(sorted(plain)).name.removeprefix("app.log."))

    def recreate(self) -> None:
        """Delete the log after it was read, and create it again."""
        self.poll()
        if not (self._late or self._half):
            self.log.path.unlink()
            self.log.reopen()

    def quiet(self) -> None:
        """Wait until no late writer is expected any more."""
        if not self._late:
            self.read_lines += self._lines.poll(LATE_WRITER_S + 1)
            self.poll()

    def end(self) -> None:
        self.write()
        self._end_half()
        self.poll()
