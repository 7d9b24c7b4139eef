"""Which other files hold what came after a place: a rotated, copied or packed log lies beside its name.

Sources of the naming: logrotate(8) (`name.1`, `name-20260115`, `.gz`), pm2-logrotate and winston-daily-rotate-file
(`stem__2026-01-15.log`, `stem-2026-01-15.log`).
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from wscheck.observe.tailing.fingerprint import FilePosition
from wscheck.observe.tailing.open_file import FileReader, Identity, OpenLog

Found = TypeVar("Found")
SCANS = 50
UNFINISHED = (".tmp", ".part", ".lock", ".swp", "~", ".bz2", ".xz", ".zst", ".checkpoint")


class DirectoryUnstable(Exception):
    """The files beside a log are being renamed faster than they can be looked at; a later look sees them all."""


class Continuation(NamedTuple):
    """Where to read on: `path` from `offset`, if it is still the file `identity` (None: whatever it is)."""

    path: Path
    offset: int
    identity: Identity | None = None


class FileFingerprint(msgspec.Struct, frozen=True):
    """What tells whether a file beside the log was there before: its inode and how it looked."""

    identity: Identity
    size: int
    head: bytes

    def matches(self, reader: FileReader) -> bool:
        """Whether `reader` reads the file that left this trace; an inode reused by another file has another head."""
        return (
            reader.identity == self.identity
            and reader.status.st_size >= self.size
            and reader.read_at(len(self.head), 0) == self.head
        )


def find_generations(name: Path, *, packing: bool = False) -> list[Path]:
    """The files beside `name` that may be its earlier generations, the oldest first.

    A link's target is asked too: Kubernetes rotates the file that the link points to. `packing`: also those that are
    still there unpacked.
    """
    found: dict[Identity, tuple[tuple[int, int, tuple[int, ...]], Path]] = {}
    for base in dict.fromkeys((name, resolve_links(name))):
        for path in _named_like(base, packing):
            try:
                status = path.stat()
            except OSError:
                continue
            found[status.st_dev, status.st_ino] = ((status.st_mtime_ns, *_age_in_name(base, path)), path)
    return [path for _, path in sorted(found.values())]


def is_generation(name: Path, path: Path) -> bool:
    """Whether `path`, by its name, is an earlier generation of `name`, or of what that leads to."""
    return any(
        path.parent == base.parent and _generations_of(base.name).fullmatch(path.name)
        for base in {name, resolve_links(name)}
    )


def resolve_links(path: Path) -> Path:
    """Where `path` leads in the end; of a link that leads nowhere as far as it leads (`resolve` would raise)."""
    return Path(os.path.realpath(path))


def _named_like(base: Path, packing: bool) -> Iterator[Path]:
    is_like = _generations_of(base.name)
    try:
        entries = list(base.parent.iterdir())
    except OSError:
        return
    names = {entry.name for entry in entries}
    for entry in entries:
        if is_like.fullmatch(entry.name) is None or entry.name.endswith(UNFINISHED):
            continue
        being_packed = entry.suffix == ".gz" and entry.name.removesuffix(".gz") in names
        if (packing or not being_packed) and entry.is_file():
            yield entry


@lru_cache
def _generations_of(name: str) -> re.Pattern[str]:
    """Matches what the earlier generations of a log with this name are called."""
    stem, suffix = map(re.escape, (Path(name).stem, Path(name).suffix))
    dated = rf"{stem}[-._]+\d[-\d_.T:]*{suffix}(\.\d+)?(\.gz)?"
    return re.compile(rf"{re.escape(name)}[.-].*|{dated}", re.DOTALL)


def _age_in_name(base: Path, path: Path) -> tuple[int, tuple[int, ...]]:
    """Orders files of the same modification time: `.10` is older than `.2`, an earlier date older than a later.

    Where there are both, the numbered ones are older: a logrotate that was told to use dates leaves them behind.
    """
    name = path.name.removesuffix(".gz")
    extended = name.startswith(base.name)
    age = name.removeprefix(base.name) if extended else name.removeprefix(base.stem).removesuffix(base.suffix)
    numbers = tuple(map(int, re.findall(r"\d+", age)))
    return (0, (-numbers[0],)) if re.fullmatch(r"[-._]+\d{1,3}", age) else (1, numbers)


def scan_stable(name: Path, scan: Callable[[], Found]) -> Found:
    """What `scan` finds beside `name` in a moment in which nothing is renamed there.

    A rotation renames one file after the other, and a scan reads one after the other: together they can pass each
    other by, and a file that was missed then would be taken for one that was read. Raises Restless.
    """
    for _ in range(SCANS):
        before = _census(name)
        found = scan()
        if _census(name) == before:
            return found
    raise DirectoryUnstable


def _census(name: Path) -> dict[Path, Identity | None]:
    return {path: file_identity(path) for path in (name, *find_generations(name))}


def take_fingerprints(paths: Iterable[Path]) -> dict[Path, FileFingerprint]:
    """What lies there now, to be told from what comes later."""
    return {reader.path: _take_fingerprint(reader) for reader in _readers(paths)}


def _take_fingerprint(reader: FileReader) -> FileFingerprint:
    size = reader.status.st_size
    head = b"" if reader.packed else reader.read_at(min(256, size), 0)
    return FileFingerprint(reader.identity, size, head)


def _readers(paths: Iterable[Path]) -> Iterator[FileReader]:
    """Each path's reader, closed when the next is asked for; what cannot be opened is passed over."""
    for path in paths:
        try:
            reader = FileReader(path)
        except OSError:
            continue
        try:
            yield reader
        finally:
            reader.close()


def find_continuation(
    name: Path, position: FilePosition, taken: Iterable[Identity | None], left: Iterable[FilePosition] = ()
) -> Continuation | None:
    """The file in which the content before `position` goes on: `name`, or one beside it.

    taken  files that it cannot be
    left   places at which a file was left for good: one that ends there has nothing more
    """
    taken, left = set(taken), list(left)
    for reader in _readers([name, *reversed(find_generations(name))]):
        candidate = reader.identity not in taken and position.matches(reader.read_at)
        if candidate and not any(_ends_at(reader, place) for place in left):
            return Continuation(reader.path, position.offset, reader.identity)
    return None


def unread_generations(
    name: Path,
    since_ns: int,
    seen: Iterable[FilePosition],
    known: Iterable[FileFingerprint],
    open_logs: Iterable[OpenLog],
) -> list[Continuation]:
    """The generations beside `name` that came and went unread, the oldest first.

    since_ns   nothing modified before this is one
    seen       places at which earlier generations were left: a file that ends there was read
    known      what lay beside the name before
    open_logs  what is being read anyway; a file that repeats one of them is a copy of it
    """
    seen, known, open_logs = list(seen), list(known), list(open_logs)
    current = file_identity(name)
    return [
        Continuation(reader.path, 0, reader.identity)
        for reader in _readers(find_generations(name))
        if reader.status.st_mtime_ns >= since_ns
        and reader.identity != current
        and not any(reader.identity == log.reader.identity or log.has_read(reader) for log in open_logs)
        and not any(trace.matches(reader) for trace in known)
        and not any(_ends_at(reader, position) for position in seen)
    ]


def _ends_at(reader: FileReader, position: FilePosition) -> bool:
    return position.matches(reader.read_at) and not reader.read_at(1, position.offset)


def older_generations(name: Path, reader: FileReader) -> set[Identity]:
    """The generations beside `name` that are older than the file of `reader`, which may be deleted by now."""
    generations = [beside for beside in map(file_identity, (*find_generations(name), name)) if beside is not None]
    if reader.identity in generations:
        return set(generations[: generations.index(reader.identity)])
    last = reader.status.st_mtime_ns
    return {beside.identity for beside in _readers(find_generations(name)) if beside.status.st_mtime_ns <= last}


def file_identity(name: Path) -> Identity | None:
    """(device, inode) of what `name` stands for now, None when there is no such file."""
    try:
        found = name.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_empty(path: Path) -> bool:
    """Whether there is nothing to read at `path`, or nothing at all."""
    try:
        return not path.stat().st_size
    except OSError:
        return True


def find_rewritten_copy(path: Path, left: OpenLog, settled: FilePosition | None) -> Continuation | None:
    """Where to go on in `path` when it repeats what was read of `left` (sed -i, rsync: same content, new inode).

    settled  the place reached when the name last stood for `left`; what a late writer added to `left` since then is
             not in the copy
    """
    for reader in _readers([path]):
        if left.offset and left.position().matches(reader.read_at):
            return Continuation(path, left.offset, reader.identity)
        if settled is not None and settled.offset and settled.matches(reader.read_at):
            return Continuation(path, settled.offset + _common_lines(reader, left, settled.offset), reader.identity)
    return None


def _common_lines(reader: FileReader, left: OpenLog, start: int) -> int:
    """How many bytes both have in common from `start` on, up to a line end."""
    ours = left.reader.read_at(left.offset - start, start)
    pairs = zip(ours.splitlines(True), reader.read_at(len(ours), start).splitlines(True), strict=False)
    return sum(len(line) for line, _ in takewhile(lambda pair: pair[0] == pair[1] and pair[0].endswith(b"\n"), pairs))
