"""Which of several files say only what another says: other names of it, what was packed or copied of it.

A name alone proves nothing, nor do first lines that are alike: two servers begin alike. Only a file of which every byte
stands at the same place in the other is left out, and that only if they cannot be alike by chance.
"""

import re
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from wscheck.observe.tailing import fingerprint
from wscheck.observe.tailing.generations import (
    FileFingerprint,
    file_identity,
    is_generation,
    resolve_links,
    take_fingerprints,
)
from wscheck.observe.tailing.open_file import FileReader

HEAD = 1 << 12
STOOD_FOR = 4
CHUNK = 1 << 18

_ONCE_ONLY = re.compile(rb"\d\d:\d\d:\d\d|(?<!\d)\d{10}(?:\d{3})?(?!\d)|(?<![\w-])[\w-]{20}(?![\w-])")
"""A time of day, seconds or milliseconds since the epoch, a socket's id: no two servers write the same ones."""


class DuplicateLog(NamedTuple):
    """`path` holds nothing that `of` does not hold; `how`: what it is to it."""

    path: Path
    of: Path
    how: str


class RenameTracker:
    """What the followed names stood for, to be known again when it was renamed to something else."""

    def __init__(self) -> None:
        self._traces: dict[Path, deque[FileFingerprint]] = defaultdict(lambda: deque(maxlen=STOOD_FOR))

    def look(self, names: Iterable[Path]) -> None:
        """Remember what they stand for now."""
        changed = (name for name in names if name.is_file() and not self._knows(name))
        for path, trace in take_fingerprints(changed).items():
            self._traces[path].append(trace)

    def _knows(self, name: Path) -> bool:
        last = self._traces[name][-1] if self._traces[name] else None
        return last is not None and len(last.head) == fingerprint.HEAD and last.identity == file_identity(name)

    def renamed(self, paths: Iterable[Path]) -> list[DuplicateLog]:
        """Those of `paths` that are files for which a name stood."""
        found = []
        for path in filter(Path.is_file, paths):
            with suppress(OSError), closing(FileReader(path)) as reader:
                was = next(
                    (name for name, stood in self._traces.items() if any(t.matches(reader) for t in stood)), None
                )
                found += [DuplicateLog(path, was, "which was")] if was is not None else []
        return found


def find_copies(paths: Sequence[Path], *, growing: bool) -> list[DuplicateLog]:
    """Those of `paths` that hold what another holds.

    growing  what is there will be followed: another log may go on otherwise than the one it begins like, a packed
             one goes on no more
    """
    files = [path for path in paths if path.is_file()]
    packed = list(_packed(files))
    left = {repeat.path for repeat in packed}
    return [*packed, *_alike([path for path in files if path not in left], growing)]


def find_aliases(paths: Iterable[Path], named: Container[Path], followed: Container[Path]) -> list[DuplicateLog]:
    """Links, and files named in several ways.

    What is `followed` already stays. What earlier generations are called after is kept before those, and a link that
    somebody named (`named`) before what it leads to: it will lead elsewhere. A link that was only found goes: that
    elsewhere will be found as well.
    """

    def rank(path: Path, among: Iterable[Path]) -> tuple[bool, bool, int]:
        link = path.is_symlink()
        earlier = any(is_generation(of, path) for of in among)
        return path not in followed, earlier, 0 if link and path in named else 1 + link

    files: dict[object, list[Path]] = {}
    for path in dict.fromkeys(paths):
        files.setdefault(file_identity(path) or resolve_links(path), []).append(path)
    found = []
    for names in files.values():
        if len(names) > 1:
            kept = min(names, key=lambda path: rank(path, names))
            found += [DuplicateLog(path, kept, "another name of") for path in names if path != kept]
    return found


def _packed(paths: Sequence[Path]) -> Iterator[DuplicateLog]:
    """`app.log.1.gz` beside `app.log.1`, also while it is being packed."""
    there = set(paths)
    for path in paths:
        of = path.with_suffix("") if path.suffix == ".gz" else None
        if of in there and of is not None and _contains(of, path):
            yield DuplicateLog(path, of, "packed from")


def _alike(paths: Sequence[Path], growing: bool) -> Iterator[DuplicateLog]:
    # In the order of their first bytes, those that begin as a shorter one does come right behind it.
    heads = [(head, order) for order, path in enumerate(paths) if _ONCE_ONLY.search(_rest(head := _head(path)))]
    heads.sort()
    left = set[Path]()
    for place, (head, order) in enumerate(heads):
        for beside in _beginning(head, heads, place + 1):
            pair = paths[order], paths[beside]
            repeat = _copy(*pair, growing) if left.isdisjoint(pair) else None
            if repeat is not None:
                left.add(repeat.path)
                yield repeat


def _beginning(head: bytes, heads: Sequence[tuple[bytes, int]], place: int) -> Iterator[int]:
    """The files from `place` on that begin with `head`."""
    while place < len(heads) and heads[place][0].startswith(head):
        yield heads[place][1]
        place += 1


def _copy(one: Path, other: Path, growing: bool) -> DuplicateLog | None:
    """Which of the two repeats the other; where they are the same the packed one, the earlier one, or the second."""

    def stays(pair: tuple[Path, Path]) -> tuple[bool, bool]:
        path, of = pair
        return path.suffix != ".gz", not is_generation(of, path)

    for path, of in sorted(((other, one), (one, other)), key=stays):
        if (path.suffix == ".gz" or not growing) and _contains(of, path):
            return DuplicateLog(path, of, "a copy of")
    return None


def _head(path: Path) -> bytes:
    try:
        with closing(FileReader(path)) as reader:
            return reader.read_at(HEAD, 0)
    except OSError:
        return b""


def _rest(head: bytes) -> bytes:
    """Without the first line: that may tell when the program was built."""
    return head.partition(b"\n")[2]


def _contains(of: Path, path: Path) -> bool:
    """Whether `of` begins with all that `path` holds."""
    try:
        with closing(FileReader(of)) as whole, closing(FileReader(path)) as part:
            at = 0
            while data := part.read_at(CHUNK, at):
                if whole.read_at(len(data), at) != data:
                    return False
                at += len(data)
    except OSError:
        return False
    return True


def told(found: Sequence[DuplicateLog], most: int = 3) -> str:
    """The line that says what is left out and why."""
    named = [f"{path} ({how} {of})" for path, of, how in found[:most]]
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return f"left out, for it would count twice: {', '.join([*named, *more])}"
