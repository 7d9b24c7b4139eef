"""Rotated files of a log, also copied and packed ones, in the directory of the log. They are called generations.

Their names follow logrotate(8) (`name.1`, `name-20260115`, `.gz`), pm2-logrotate and winston-daily-rotate-file
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

from wscheck.observe.tailing.open_file import HEAD_BYTES, FileIdentity, FilePosition, FileReader, OpenLog

ScanResult = TypeVar("ScanResult")
MAX_SCANS = 50
UNFINISHED = (".tmp", ".part", ".lock", ".swp", "~", ".bz2", ".xz", ".zst", ".checkpoint")


class DirectoryUnstable(Exception):
    """Error: the files of a log are renamed faster than they can be listed.

    A repeated listing will find all of them.
    """


class Continuation(NamedTuple):
    """A file and offset from which to continue. If `identity` is set, the path must still name that file."""

    path: Path
    offset: int
    identity: FileIdentity | None = None


class FileFingerprint(msgspec.Struct, frozen=True):
    """The identity, size and first bytes of a file, by which the file is recognised after it was renamed."""

    identity: FileIdentity
    size: int
    head: bytes

    def matches(self, reader: FileReader) -> bool:
        """Return whether `reader` reads this file. Another file that reuses its inode has other first bytes."""
        return (
            reader.identity == self.identity
            and reader.status.st_size >= self.size
            and reader.read_at(len(self.head), 0) == self.head
        )


def find_generations(name: Path, *, include_packed_twins: bool = False) -> list[Path]:
    """Return the files that may be rotated files (generations) of `name`, the oldest first.

    If `name` is a link, the generations of its target are included: Kubernetes rotates the file to which the link
    points. `include_packed_twins` also returns a packed file whose unpacked original still exists.
    """
    found: dict[FileIdentity, tuple[tuple[int, int, tuple[int, ...]], Path]] = {}
    for base in dict.fromkeys((name, resolve_links(name))):
        for path in _named_like(base, include_packed_twins):
            try:
                status = path.stat()
            except OSError:
                continue
            found[status.st_dev, status.st_ino] = ((status.st_mtime_ns, *_age_in_name(base, path)), path)
    return [path for _, path in sorted(found.values())]


def is_generation(name: Path, path: Path) -> bool:
    """Return whether `path` has the name of a rotated file of `name` or of the file to which `name` links."""
    return any(
        path.parent == base.parent and _generation_pattern(base.name).fullmatch(path.name)
        for base in {name, resolve_links(name)}
    )


def resolve_links(path: Path) -> Path:
    """Return the final target of `path`, also if the link is broken or circular (`Path.resolve` can raise)."""
    return Path(os.path.realpath(path))


def _named_like(base: Path, include_packed_twins: bool) -> Iterator[Path]:
    pattern = _generation_pattern(base.name)
    try:
        entries = list(base.parent.iterdir())
    except OSError:
        return
    names = {entry.name for entry in entries}
    for entry in entries:
        if pattern.fullmatch(entry.name) is None or entry.name.endswith(UNFINISHED):
            continue
        is_packed_twin = entry.suffix == ".gz" and entry.name.removesuffix(".gz") in names
        if (include_packed_twins or not is_packed_twin) and entry.is_file():
            yield entry


@lru_cache
def _generation_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern for the names of rotated files of the log `name`."""
    stem, suffix = map(re.escape, (Path(name).stem, Path(name).suffix))
    dated = rf"{stem}[-._]+\d[-\d_.T:]*{suffix}(\.\d+)?(\.gz)?"
    return re.compile(rf"{re.escape(name)}[.-].*|{dated}", re.DOTALL)


def _age_in_name(base: Path, path: Path) -> tuple[int, tuple[int, ...]]:
    """Return a key that sorts files of the same modification time, the oldest first.

    `.10` is older than `.2`, and an earlier date is older than a later date. If both styles exist, the numbered files
    are older: logrotate does not rename them when it is switched to dates.
    """
    name = path.name.removesuffix(".gz")
    extended = name.startswith(base.name)
    age = name.removeprefix(base.name) if extended else name.removeprefix(base.stem).removesuffix(base.suffix)
    numbers = tuple(map(int, re.findall(r"\d+", age)))
    return (0, (-numbers[0],)) if re.fullmatch(r"[-._]+\d{1,3}", age) else (1, numbers)


def scan_stable(name: Path, scan: Callable[[], ScanResult]) -> ScanResult:
    """Return the result of a `scan` during which no rotated file of `name` was renamed.

    A rotation renames one file after another, and a scan reads one file after another. If both run at once, the scan
    can miss a file, which later looks like a file that was already read. Raises DirectoryUnstable.
    """
    for _ in range(MAX_SCANS):
        before = _identities(name)
        result = scan()
        if _identities(name) == before:
            return result
    raise DirectoryUnstable


def _identities(name: Path) -> dict[Path, FileIdentity | None]:
    return {path: file_identity(path) for path in (name, *find_generations(name))}


def take_fingerprints(paths: Iterable[Path]) -> dict[Path, FileFingerprint]:
    """Return the fingerprint of each file in `paths` that can be opened."""
    return {reader.path: _take_fingerprint(reader) for reader in _readers(paths)}


def _take_fingerprint(reader: FileReader) -> FileFingerprint:
    size = reader.status.st_size
    head = b"" if reader.is_gzip else reader.read_at(min(HEAD_BYTES, size), 0)
    return FileFingerprint(reader.identity, size, head)


def _readers(paths: Iterable[Path]) -> Iterator[FileReader]:
    """Yield a reader for each path, closed before the next one. Skip paths that cannot be opened."""
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
    name: Path,
    position: FilePosition,
    excluded: Iterable[FileIdentity | None],
    finished: Iterable[FilePosition] = (),
) -> Continuation | None:
    """Return the file that contains everything before `position`: `name` or one of its rotated files.

    excluded  identities of files that are not considered
    finished  positions at which files were read to their final end; a file that ends there is not considered
    """
    excluded, finished = set(excluded), list(finished)
    for reader in _readers([name, *reversed(find_generations(name))]):
        candidate = reader.identity not in excluded and position.matches(reader.read_at)
        if candidate and not any(_ends_at(reader, end) for end in finished):
            return Continuation(reader.path, position.offset, reader.identity)
    return None


def unread_generations(
    name: Path,
    since_ns: int,
    finished: Iterable[FilePosition],
    initial: Iterable[FileFingerprint],
    open_logs: Iterable[OpenLog],
) -> list[Continuation]:
    """Return the rotated files of `name` that appeared since the last read and were not read, the oldest first.

    since_ns   files that were modified before this time are not considered
    finished   positions at which rotated files ended; a file that ends at such a position was read
    initial    files that existed before reading started
    open_logs  logs that are being read; a file with the content of such a log is a copy
    """
    finished, initial, open_logs = list(finished), list(initial), list(open_logs)
    current = file_identity(name)
    return [
        Continuation(reader.path, 0, reader.identity)
        for reader in _readers(find_generations(name))
        if reader.status.st_mtime_ns >= since_ns
        and reader.identity != current
        and not any(reader.identity == log.reader.identity or log.has_read(reader) for log in open_logs)
        and not any(fingerprint.matches(reader) for fingerprint in initial)
        and not any(_ends_at(reader, position) for position in finished)
    ]


def _ends_at(reader: FileReader, position: FilePosition) -> bool:
    return position.matches(reader.read_at) and not reader.read_at(1, position.offset)


def older_generations(name: Path, reader: FileReader) -> set[FileIdentity]:
    """Return the identities of the rotated files that are older than the file of `reader`, even if it was deleted."""
    paths = (*find_generations(name), name)
    generations = [identity for identity in map(file_identity, paths) if identity is not None]
    if reader.identity in generations:
        return set(generations[: generations.index(reader.identity)])
    last = reader.status.st_mtime_ns
    return {other.identity for other in _readers(find_generations(name)) if other.status.st_mtime_ns <= last}


def file_identity(path: Path) -> FileIdentity | None:
    """Return (device, inode) of the file that `path` names now, None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_empty(path: Path) -> bool:
    """Return whether the file is empty or missing."""
    try:
        return not path.stat().st_size
    except OSError:
        return True


def find_rewritten_copy(path: Path, previous: OpenLog, settled: FilePosition | None) -> Continuation | None:
    """Return where to continue in `path` if it repeats the content of `previous` with a new inode (sed -i, rsync).

    settled  the last position at which `previous` had the log's name; lines that a late writer added later are not in
             the copy
    """
    for reader in _readers([path]):
        if previous.offset and previous.position().matches(reader.read_at):
            return Continuation(path, previous.offset, reader.identity)
        if settled is not None and settled.offset and settled.matches(reader.read_at):
            common = _common_lines_size(reader, previous, settled.offset)
            return Continuation(path, settled.offset + common, reader.identity)
    return None


def _common_lines_size(reader: FileReader, previous: OpenLog, start: int) -> int:
    """Return the number of bytes in the complete lines that both files share from `start` on."""
    expected = previous.reader.read_at(previous.offset - start, start)
    actual = reader.read_at(len(expected), start)
    pairs = zip(expected.splitlines(True), actual.splitlines(True), strict=False)
    return sum(len(line) for line, _ in takewhile(lambda pair: pair[0] == pair[1] and pair[0].endswith(b"\n"), pairs))
