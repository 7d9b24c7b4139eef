"""Rotated files of a log, also copied and packed ones. They are called generations.

They are in the directory of the log, in a folder in it (`olddir old` of logrotate), or where an open file was seen to
move. Their names follow logrotate(8) (`name.1`, `name-20260115`, `.gz`), pm2-logrotate and winston-daily-rotate-file
(`stem__2026-01-15.log`, `stem-2026-01-15.log`), rotating-file-stream (`20260115-0300-01-name`), or are those to which
an open file was renamed.
"""

import bisect
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from wscheck.observe.tailing.open_file import (
    HEAD_BYTES,
    SETTLED_NS,
    TAIL_BYTES,
    FileIdentity,
    FilePosition,
    FileReader,
    OpenLog,
    find_overlap,
)
from wscheck.observe.tailing.packed_log import PACKED_SUFFIXES

ScanResult = TypeVar("ScanResult")
MAX_SCANS = 50
UNFINISHED = (".tmp", ".part", ".lock", ".swp", "~", ".checkpoint", ".partial")
MAX_FOLDERS = 16
"""Maximum number of folders beside a log that are searched for its rotated files. If there are more, none is."""
MAX_LEARNED = 8
COARSE_NS = 2_000_000_000
"""Minimum age of a directory's last change for caching its names, on file systems that store whole seconds."""
MAX_LISTINGS = 1_000
LINES_CHUNK = 1 << 20


class DirectoryUnstable(Exception):
    """Error: the files of a log are renamed faster than they can be listed.

    A repeated listing will find all of them.
    """


class Continuation(NamedTuple):
    """The file and offset at which reading of a log goes on. The path must still name the file `identity`, if any."""

    path: Path
    offset: int
    identity: FileIdentity | None = None


class FileVersion(NamedTuple):
    """Identity, size and time of the last change of a file. While these are equal, the content counts as unchanged."""

    identity: FileIdentity
    size: int
    changed_ns: int


class FileEnd(msgspec.Struct, frozen=True, array_like=True):
    """The end of a file that was read completely: its offset, and digests of the first bytes and of the last bytes.

    changed_ns  time of the last change of the file
    """

    offset: int
    head_size: int
    head: bytes
    tail: bytes
    changed_ns: int

    @classmethod
    def from_position(cls, position: FilePosition, changed_ns: int) -> "FileEnd":
        """Return the end of the file that was read up to `position`."""
        return cls(position.offset, len(position.head), _digest(position.head), _digest(position.tail), changed_ns)

    @property
    def content(self) -> tuple[int, int, bytes, bytes]:
        """The offset and the digests as a tuple. The tuples of two files with the same content are equal."""
        return self.offset, self.head_size, self.head, self.tail

    def matches(self, reader: FileReader) -> bool:
        """Return whether the content of the file of `reader` (unpacked) is exactly the content up to this end."""
        if not reader.is_packed and reader.status.st_size != self.offset:
            return False
        return self.is_start_of(reader) and not reader.read_at(1, self.offset)

    def is_start_of(self, reader: FileReader) -> bool:
        """Return whether the file of `reader` begins with exactly the content that was read up to this end."""
        if not reader.is_packed and reader.status.st_size < self.offset:
            return False
        tail = min(TAIL_BYTES, self.offset)
        return (
            _digest(reader.read_at(self.head_size, 0)) == self.head
            and _digest(reader.read_at(tail, self.offset - tail)) == self.tail
        )


def _digest(data: bytes) -> bytes:
    from hashlib import blake2b  # loads OpenSSL, which a log without rotated files does not need

    return blake2b(data, digest_size=8).digest()


class KnownFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that existed before reading started, so that the content it had then is not read.

    It is recognised by its identity, size, first bytes and last bytes, even after it was renamed, copied or packed.
    """

    identity: FileIdentity
    size: int
    head: bytes
    tail: bytes
    changed_ns: int

    @property
    def head_size(self) -> int:
        """Number of the first bytes that are in the digest `head`."""
        return min(HEAD_BYTES, self.size)

    @classmethod
    def from_reader(cls, reader: FileReader) -> "KnownFile":
        """Return the file that `reader` reads."""
        status = reader.status
        identity, size = (status.st_dev, status.st_ino), status.st_size
        head = tail = _digest(reader.read_raw(min(HEAD_BYTES, size), 0))
        if size > min(HEAD_BYTES, TAIL_BYTES):
            tail = _digest(reader.read_raw(min(TAIL_BYTES, size), max(0, size - TAIL_BYTES)))
        return cls(identity, size, head, tail, status.st_mtime_ns)

    def is_same_file(self, reader: FileReader) -> bool:
        """Return whether `reader` reads this file. Another file that reuses its inode has other first bytes."""
        return (
            reader.identity == self.identity
            and reader.status.st_size >= self.size
            and _digest(reader.read_raw(self.head_size, 0)) == self.head
        )

    def has_grown(self, reader: FileReader) -> bool:
        """Return whether `reader` reads this file, and a late writer added something."""
        return reader.status.st_size > self.size and self.is_same_file(reader) and self._is_at(reader.read_raw)

    def matches(self, reader: FileReader) -> bool:
        """Return whether `reader` reads this file, a copy of it, or the file packed."""
        if self.is_same_file(reader):
            return True
        if not self.size:
            return False
        if reader.status.st_size == self.size and self._is_at(reader.read_raw):
            return True
        return reader.is_packed and self._is_at(reader.read_at) and not reader.read_at(1, self.size)

    def _is_at(self, read_at: Callable[[int, int], bytes]) -> bool:
        tail = min(TAIL_BYTES, self.size)
        head_matches = _digest(read_at(self.head_size, 0)) == self.head
        return head_matches and _digest(read_at(tail, self.size - tail)) == self.tail


class _Listing:
    """The names in a directory, sorted so that the names with a given start are found fast."""

    def __init__(self, path: Path) -> None:
        names, self.folders = list[str](), list[Path]()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        self.folders.append(path / entry.name)
        except OSError:
            pass
        self.names = frozenset(names)
        # Sorted, the names that start alike follow each other.
        self._sorted = sorted((name, name) for name in names)
        self._after_date = sorted((name_after_date(name), name) for name in names if name[:1].isdigit())

    def starting_with(self, stem: str) -> Iterator[str]:
        """Yield the names that start with `stem` and a separator, or with a date and then `stem` and a separator."""
        for keys in filter(None, (self._sorted, self._after_date)):
            for start in (stem + separator for separator in SEPARATORS):
                for position in range(bisect.bisect_left(keys, (start, "")), len(keys)):
                    if not keys[position][0].startswith(start):
                        break
                    yield keys[position][1]


SEPARATORS = "._-"
_DATE = re.compile(r"\d[-\d_.:TZ]*[-._]")


def name_after_date(name: str) -> str:
    """Return the name without a date at its start."""
    date = _DATE.match(name)
    return name[date.end() :] if date is not None else name


_listings: dict[Path, tuple[int, _Listing]] = {}


def _list(path: Path) -> _Listing:
    """Return the names in a directory. They are cached until the directory changes."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return _Listing(path)
    kept = _listings.get(path)
    if kept is not None and kept[0] == changed:
        return kept[1]
    before = time.time_ns()
    listing = _Listing(path)
    resolution = COARSE_NS if changed % 1_000_000_000 == 0 else SETTLED_NS
    # Changes within the resolution of the directory's time would not be seen.
    if changed + resolution < before:
        if len(_listings) >= MAX_LISTINGS:
            _listings.clear()
        _listings[path] = changed, listing
    return listing


class Generations:
    """The rotated files of the log `name`, found by their names.

    If `name` is a link, the generations of its target are included: Kubernetes rotates the file to which the link
    points.

    moved_to  pairs (folder, pattern of the new name) for files that had the name of the log and were renamed
    read      files with content that was read or does not count
    """

    def __init__(self, name: Path, moved_to: Iterable[tuple[str, str]] = ()) -> None:
        self.name = name
        self.moved_to = list(moved_to)
        self.read = set[FileVersion]()

    def learn(self, path: Path) -> None:
        """Remember the folder and the form of the name of `path`, to which a file of the log was moved.

        Files that are moved later will get similar names.
        """
        if is_generation(self.name, path) or path in {self.name, resolve_links(self.name)}:
            return
        pattern = re.sub(r"\d+", r"\\d+", re.escape(path.name)) + f"(?:{_PACKED})?"
        if (str(path.parent), pattern) not in self.moved_to:
            self.moved_to = [*self.moved_to, (str(path.parent), pattern)][-MAX_LEARNED:]

    def find(self, *, include_packed_twins: bool = False) -> list[Path]:
        """Return the files that may be generations of the log, the oldest first.

        `include_packed_twins` also returns a packed file whose unpacked original still exists.
        """
        found: dict[FileIdentity, tuple[GenerationAge, Path]] = {}
        bases = (self.name, resolve_links(self.name)) if self.name.is_symlink() else (self.name,)
        for base in bases:
            for path in self._paths(base, include_packed_twins):
                try:
                    status = path.stat()
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[status.st_dev, status.st_ino] = (generation_age(base, path, status.st_mtime_ns), path)
        return sort_by_age(found.values())

    def _paths(self, base: Path, include_packed_twins: bool) -> Iterator[Path]:
        beside = _list(base.parent)
        yield from _named_like(base, base.parent, beside, include_packed_twins)
        for folder in beside.folders if len(beside.folders) <= MAX_FOLDERS else ():
            listing = _list(folder)
            # A folder with a file of the same name has a log of its own.
            if base.name not in listing.names:
                yield from _named_like(base, folder, listing, include_packed_twins)
        for name, pattern in self.moved_to:
            folder = Path(name)
            listing = _list(folder)
            if folder != base.parent:
                yield from _named_like(base, folder, listing, include_packed_twins)
            yield from _matching(re.compile(pattern, re.DOTALL), folder, listing.names, listing, include_packed_twins)


def find_generations(name: Path, *, include_packed_twins: bool = False) -> list[Path]:
    """Return the files that may be rotated files (generations) of `name`, the oldest first."""
    return Generations(name).find(include_packed_twins=include_packed_twins)


GenerationAge = tuple[int, int, tuple[int, ...]]
"""(time of the last change, whether the name has a date, numbers in the name): a sort key, the oldest first."""


def generation_age(base: Path, path: Path, changed_ns: int) -> GenerationAge:
    """Return a sort key for `path`, a rotated file of `base`, by which the oldest file comes first.

    changed_ns  time of the last change of the file
    """
    return (changed_ns, *_age_in_name(base, path))


def sort_by_age(found: Iterable[tuple[GenerationAge, Path]]) -> list[Path]:
    """Return the paths, the oldest first.

    The number in `app.log.2` takes precedence over the time of the file, which packing and copying can change.
    """
    ordered = list[tuple[GenerationAge, Path]]()
    latest: int | None = None
    for (changed, dated, numbers), path in sorted(found, key=lambda each: (each[0][1], each[0][2]), reverse=True):
        if not dated:
            latest = changed if latest is None else min(changed, latest)
        ordered.append(((changed if dated or latest is None else latest, dated, numbers), path))
    return [path for _, path in sorted(ordered)]


def is_generation(name: Path, path: Path) -> bool:
    """Return whether `path` has the name of a rotated file of `name` or of the file to which `name` links."""
    bases = {name, resolve_links(name)}
    return any(path.parent == base.parent and has_generation_name(base.name, path.name) for base in bases)


def has_generation_name(base: str, name: str) -> bool:
    """Return whether `name` is the name of a rotated file of the file with the name `base`."""
    return _generation_pattern(base).fullmatch(name) is not None


def resolve_links(path: Path) -> Path:
    """Return the final target of `path`, also if the link is broken or circular (`Path.resolve` can raise)."""
    return Path(os.path.realpath(path))


def _named_like(base: Path, folder: Path, listing: _Listing, include_packed_twins: bool) -> Iterator[Path]:
    names = [name for name in listing.starting_with(base.stem) if name != base.name]
    if names:
        yield from _matching(_generation_pattern(base.name), folder, names, listing, include_packed_twins)


def _matching(
    pattern: re.Pattern[str], folder: Path, names: Iterable[str], listing: _Listing, include_packed_twins: bool
) -> Iterator[Path]:
    for name in names:
        if pattern.fullmatch(name) is None or name.endswith(UNFINISHED):
            continue
        packed_twin = _unpacked_name(name) != name and _unpacked_name(name) in listing.names
        if include_packed_twins or not packed_twin:
            yield folder / name


def _unpacked_name(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in PACKED_SUFFIXES if name.endswith(suffix)), name)


_PACKED = "|".join(map(re.escape, PACKED_SUFFIXES))


@lru_cache(1 << 16)
def _generation_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern for the names of rotated files of the log `name`."""
    stem, suffix = map(re.escape, (Path(name).stem, Path(name).suffix))
    end = rf"(\.\d+)?(?:{_PACKED})?"
    after = rf"{stem}[-._]+\d[-\d_.:TZ]*{suffix}{end}"
    before = rf"\d[-\d_.:TZ]*[-._]{re.escape(name)}{end}"
    return re.compile(rf"{re.escape(name)}(?:[.-]|_\d).*|{after}|{before}", re.DOTALL)


def _age_in_name(base: Path, path: Path) -> tuple[int, tuple[int, ...]]:
    """Return a key that sorts files of the same modification time, the oldest first.

    `.10` is older than `.2`, and an earlier date is older than a later date. If both styles exist, the numbered files
    are older: logrotate does not rename them when it is switched to dates.
    """
    name = _unpacked_name(path.name)
    extended = name.startswith(base.name)
    age = name.removeprefix(base.name) if extended else name.removeprefix(base.stem).removesuffix(base.suffix)
    numbers = tuple(map(int, re.findall(r"\d+", age)))
    return (0, (-numbers[0],)) if re.fullmatch(r"[-._]+\d{1,3}", age) else (1, numbers)


def scan_stable(generations: Generations, scan: Callable[[], ScanResult]) -> ScanResult:
    """Return the result of a `scan` during which no rotated file of the log was renamed.

    A rotation renames one file after another, and a scan reads one file after another. If both run at once, the scan
    can miss a file, which later looks like a file that was already read. Raises DirectoryUnstable.
    """
    for _ in range(MAX_SCANS):
        before = _identities(generations)
        result = scan()
        if _identities(generations) == before:
            return result
    raise DirectoryUnstable


def _identities(generations: Generations) -> dict[Path, FileIdentity | None]:
    return {path: file_identity(path) for path in (generations.name, *generations.find())}


def known_files(paths: Iterable[Path]) -> dict[Path, KnownFile]:
    """Return a dict of path to the `KnownFile` by which the file is recognised later, without unreadable paths."""
    return {reader.path: KnownFile.from_reader(reader) for reader in _readers(paths)}


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
    generations: Generations,
    position: FilePosition,
    excluded: Iterable[FileIdentity | None],
    finished: Iterable[FileEnd] = (),
) -> Continuation | None:
    """Return the file that contains everything before `position`: the log or one of its rotated files.

    excluded  identities of files that are not considered
    finished  ends of files that were read completely, which are not considered
    """
    excluded, finished = set(excluded), list(finished)
    for reader in _readers([generations.name, *reversed(generations.find())]):
        candidate = reader.identity not in excluded and position.matches(reader.read_at)
        if candidate and not any(end.matches(reader) for end in finished):
            return Continuation(reader.path, position.offset, reader.identity)
    return None


def unread_generations(
    generations: Generations,
    since_ns: int,
    finished: Iterable[FileEnd],
    known: Iterable[KnownFile],
    open_logs: Iterable[OpenLog],
) -> list[Continuation]:
    """Return the rotated files of the log that appeared since the last read and were not read, the oldest first.

    since_ns   files that were modified before this time are not considered
    finished   ends of the rotated files that were read
    known      files that existed before reading started
    open_logs  logs that are being read; a file with the content of such a log is a copy
    """
    finished, known, open_logs = list(finished), list(known), list(open_logs)
    ends = {end.content for end in finished}
    current, unread, read = file_identity(generations.name), list[Continuation](), set[FileVersion]()
    for path in generations.find():
        version = _file_version(path)
        if version is None or version.changed_ns < since_ns or version.identity == current:
            continue
        if version in generations.read:
            read.add(version)
            continue
        for reader in _readers([path]):
            if any(log.reader.is_recognisable and reader.identity == log.reader.identity for log in open_logs):
                continue
            end = FilePosition.at(reader.read_at, reader.size)
            if (
                FileEnd.from_position(end, 0).content in ends
                or any(file.matches(reader) for file in known if not file.has_grown(reader))
                or any(log.has_read(end) for log in open_logs)
            ):
                read.add(version)
            else:
                offset = _offset_read(reader, finished, known)
                unread.append(Continuation(reader.path, offset, reader.identity))
    generations.read = read
    return unread


def _offset_read(reader: FileReader, finished: Iterable[FileEnd], known: Iterable[KnownFile]) -> int:
    """Return the number of bytes at the start of a file that need not be read.

    They were read before, or existed before reading started. A late writer may have added the rest of the file.
    """
    read = [end.offset for end in finished if end.is_start_of(reader)]
    return max([0, *read, *(file.size for file in known if file.has_grown(reader))])


def _file_version(path: Path) -> FileVersion | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return FileVersion((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


def older_generations(generations: Generations, reader: FileReader) -> set[FileIdentity]:
    """Return the identities of the rotated files that are older than the file of `reader`.

    If the file of `reader` was deleted, its modification time is compared with those of the rotated files.
    """
    paths = generations.find()
    identities = [identity for identity in map(file_identity, (*paths, generations.name)) if identity is not None]
    if reader.identity in identities:
        return set(identities[: identities.index(reader.identity)])
    last = reader.status.st_mtime_ns
    return {other.identity for other in _readers(paths) if other.status.st_mtime_ns <= last}


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

    settled  the end of `previous` when it was last seen under the log's name; lines that a
             process added to `previous` later are not in the copy
    """
    for reader in _readers([path]):
        if previous.offset and previous.position().matches(reader.read_at):
            return Continuation(path, previous.offset, reader.identity)
        if settled is not None and settled.offset and settled.matches(reader.read_at):
            common = _common_lines_size(reader, previous, settled.offset)
            return Continuation(path, settled.offset + common, reader.identity)
        if previous.offset and (kept := previous.overlap(reader)):
            return Continuation(path, kept, reader.identity)
    return None


def find_trimmed(generations: Generations, position: FilePosition) -> Continuation | None:
    """Return where to continue in a log whose start was removed, if it still contains the bytes before `position`."""
    for reader in _readers([generations.name]):
        if kept := find_overlap(position.tail, reader.read_at, position.offset):
            return Continuation(reader.path, kept, reader.identity)
    return None


def count_lines(reader: FileReader, end: int) -> int:
    """Return the number of lines in the first `end` bytes of a file."""
    lines = offset = 0
    while offset < end and (data := reader.read_at(min(LINES_CHUNK, end - offset), offset)):
        lines += data.count(b"\n")
        offset += len(data)
    return lines


def _common_lines_size(reader: FileReader, previous: OpenLog, start: int) -> int:
    """Return the number of bytes in the complete lines that both files share from `start` on."""
    expected = previous.reader.read_at(previous.offset - start, start)
    actual = reader.read_at(len(expected), start)
    pairs = zip(expected.splitlines(True), actual.splitlines(True), strict=False)
    return sum(len(line) for line, _ in takewhile(lambda pair: pair[0] == pair[1] and pair[0].endswith(b"\n"), pairs))
