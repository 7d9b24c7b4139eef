"""The log files that the command line names: files, directories and patterns, each file read once.

The content of a log counts once. These files are left out: links to another file, packed copies, backups, and exports
that another file contains. Names and identical first lines prove nothing, because two servers can start alike. A file
is left out only if all its bytes are at the same offsets in the other file and this cannot be a coincidence.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from wscheck.model.errors import UsageError
from wscheck.observe.tailing.generations import (
    FileFingerprint,
    file_identity,
    find_generations,
    is_generation,
    resolve_links,
    take_fingerprints,
)
from wscheck.observe.tailing.open_file import HEAD_BYTES, FileReader

LOG_SUFFIXES = (".log", ".out", ".err", ".txt", ".json", ".jsonl", ".ndjson")
STDIN = "-"
WILDCARDS = "*?["
HISTORY = 4
"""Number of earlier files that are remembered for each followed name."""
COMPARED_HEAD = 1 << 12
COMPARED_CHUNK = 1 << 18
MAX_LISTED = 3

_UNIQUE_TEXT = re.compile(rb"\d\d:\d\d:\d\d|(?<!\d)\d{10}(?:\d{3})?(?!\d)|(?<![\w-])[\w-]{20}(?![\w-])")
"""Text that two servers do not write alike: a time of day, seconds or milliseconds since the epoch, or a socket id."""

Note = Callable[[str], None]


class DuplicateLog(NamedTuple):
    """A file whose content is all in `original`. `relation` describes it, for example "a copy of"."""

    path: Path
    original: Path
    relation: str


class LogPaths:
    """The log files that `names` stand for, without `-`.

    A directory stands for the logs in it, a pattern (`logs/*.log`) for the files that match, and any other name for
    itself, whether the file exists or not.

    paths  the current files in a fixed order, each once, without duplicates
    """

    def __init__(self, names: Iterable[str], *, rotated: bool, note: Note) -> None:
        """Find the current files. `note` is called with a message about files left out because others contain them.

        rotated  treat each rotated file as a log of its own, the oldest first; otherwise the follower of a log finds
                 its rotated files
        """
        names = [name for name in names if name != STDIN]
        found, aliases = _find_files(names, rotated)
        copies = find_copies(found, growing=not rotated)
        self._note = note
        self._report_duplicates([*aliases, *copies])
        self.paths = _without((copy.path for copy in copies), found)
        self._open_ended = [name for name in names if Path(name).is_dir() or _has_wildcard(name)]
        self._known = {*found, *(alias.path for alias in aliases)}
        self._followed = self.paths
        self._renames = RenameTracker()
        self._renames.update(self._followed if self._open_ended and not rotated else ())

    def _report_duplicates(self, duplicates: Sequence[DuplicateLog]) -> None:
        if duplicates:
            self._note(duplicates_message(duplicates))

    @property
    def directories(self) -> list[Path]:
        """The directories where further logs may appear."""
        return [Path(name) if Path(name).is_dir() else _literal_part(Path(name)) for name in self._open_ended]

    def find_new(self) -> list[Path]:
        """Return the logs that appeared in directories and patterns since the last call."""
        chosen, aliases = _find_files(self._open_ended, rotated=False, followed=self._followed)
        new = [path for path in chosen if path not in self._known]
        duplicates = [alias for alias in aliases if alias.path not in self._known]
        duplicates += self._renames.renamed(new)
        self._renames.update(self._followed)
        if not (new or duplicates):
            return []
        self._known.update(new, (duplicate.path for duplicate in duplicates))
        new = _without((duplicate.path for duplicate in duplicates), new)
        duplicates += [copy for copy in find_copies([*self._followed, *new], growing=True) if copy.path in new]
        self._report_duplicates(duplicates)
        new = _without((duplicate.path for duplicate in duplicates), new)
        self._followed = [*self._followed, *new]
        return new


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError if no log is named, or standard input is named twice."""
    if not names:
        raise UsageError("No log is named.", "Name files, directories or patterns, or - for standard input.")
    if names.count(STDIN) > 1:
        raise UsageError("Standard input is named twice.", "Give - only once.")


def node_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a dict of each log file to the name of the server process that writes it: the path of its current file."""
    families = _group_generations(list(paths))
    return {path: str(base) for base, earlier in families.items() for path in (base, *earlier)}


def _find_files(
    names: Sequence[str], rotated: bool, followed: Sequence[Path] = ()
) -> tuple[list[Path], list[DuplicateLog]]:
    """Return the files that `names` and `followed` stand for, each under one name, and their other names."""
    found = [*followed, *(path for name in names for path in _expand(name))]
    named = {Path(name) for name in names}
    aliases = find_aliases(found, named, followed)
    families = _group_generations(_without((alias.path for alias in aliases), found))
    return [
        path
        for base, earlier in families.items()
        for path in (*(generation for generation in earlier if rotated or generation in named), base)
    ], aliases


def _without(excluded: Iterable[Path], paths: Iterable[Path]) -> list[Path]:
    """Return `paths` in their order, each once, without the paths in `excluded`."""
    left_out = set(excluded)
    return [path for path in dict.fromkeys(paths) if path not in left_out]


def _group_generations(paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return a dict of each log to the files in `paths` that are its rotated files, the oldest first."""
    by_file = {resolve_links(path): path for path in paths}
    earlier = {path: [by_file[p] for p in _generations(path) if p in by_file and by_file[p] != path] for path in paths}
    generations = {generation for each in earlier.values() for generation in each}
    return {path: earlier[path] for path in paths if path not in generations}


def _generations(path: Path) -> list[Path]:
    return [resolve_links(generation) for generation in find_generations(path, include_packed_twins=True)]


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return sorted(found for found in path.iterdir() if found.is_file() and _is_log(found))
    if _has_wildcard(name) and not path.exists():
        return sorted(found for found in Path(path.anchor or ".").glob(_relative(path)) if found.is_file())
    return [path]


def _has_wildcard(name: str) -> bool:
    return any(char in name for char in WILDCARDS)


def _relative(pattern: Path) -> str:
    return str(pattern.relative_to(pattern.anchor)) if pattern.anchor else str(pattern)


def _is_log(path: Path) -> bool:
    """Return whether the name has a log suffix anywhere, as in `app.log.1`, `app.log.2.gz`, `app.log-20260115`."""
    return any(re.sub(r"-\d+$", "", suffix) in LOG_SUFFIXES for suffix in path.suffixes)


def _literal_part(pattern: Path) -> Path:
    """Return the longest parent directory of a pattern that contains no wildcard."""
    return next(parent for parent in pattern.parents if not _has_wildcard(str(parent)))


# --- duplicates ------------------------------------------------------------------------------------------------------


class RenameTracker:
    """The files that had one of the followed names, so that a renamed file is not mistaken for a new log."""

    def __init__(self) -> None:
        self._fingerprints: dict[Path, deque[FileFingerprint]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def update(self, names: Iterable[Path]) -> None:
        """Remember the files that have these `names` now."""
        changed = (name for name in names if name.is_file() and not self._is_current(name))
        for path, fingerprint in take_fingerprints(changed).items():
            self._fingerprints[path].append(fingerprint)

    def _is_current(self, name: Path) -> bool:
        last = self._fingerprints[name][-1] if self._fingerprints[name] else None
        return last is not None and len(last.head) == HEAD_BYTES and last.identity == file_identity(name)

    def renamed(self, paths: Iterable[Path]) -> list[DuplicateLog]:
        """Return the files in `paths` that had a followed name before."""
        found = []
        for path in filter(Path.is_file, paths):
            with suppress(OSError), closing(FileReader(path)) as reader:
                original = self._former_name(reader)
                found += [DuplicateLog(path, original, "renamed from")] if original is not None else []
        return found

    def _former_name(self, reader: FileReader) -> Path | None:
        return next(
            (name for name, files in self._fingerprints.items() if any(file.matches(reader) for file in files)), None
        )


def find_copies(paths: Sequence[Path], *, growing: bool) -> list[DuplicateLog]:
    """Return the files in `paths` whose whole content is in another file.

    growing  the files will be followed: a plain file may then become different from the file that it repeats, a packed
             file does not
    """
    files = [path for path in paths if path.is_file()]
    packed = list(_packed_twins(files))
    excluded = {duplicate.path for duplicate in packed}
    return [*packed, *_copies_by_content([path for path in files if path not in excluded], growing)]


def find_aliases(paths: Iterable[Path], named: Container[Path], followed: Container[Path]) -> list[DuplicateLog]:
    """Return the other names of files that have several: links, and names such as `a.log` and `./a.log`.

    One name of each file is kept. A name in `followed` comes first, then a name to which names of rotated files
    belong, then a link on the command line (`named`), which may later lead to another file. A link found in a directory
    comes last, because its next target will be found in the directory too.
    """

    def rank(path: Path, same_file: Iterable[Path]) -> tuple[bool, bool, int]:
        link = path.is_symlink()
        earlier = any(is_generation(name, path) for name in same_file)
        return path not in followed, earlier, 0 if link and path in named else 1 + link

    files: dict[object, list[Path]] = {}
    for path in dict.fromkeys(paths):
        files.setdefault(file_identity(path) or resolve_links(path), []).append(path)
    found = []
    for names in files.values():
        if len(names) > 1:
            chosen = min(names, key=lambda path: rank(path, names))
            found += [DuplicateLog(path, chosen, "another name of") for path in names if path != chosen]
    return found


def _packed_twins(paths: Sequence[Path]) -> Iterator[DuplicateLog]:
    """Yield each packed file whose unpacked original is in `paths` too: `app.log.1.gz` if there is `app.log.1`.

    The packed file may still be incomplete.
    """
    existing = set(paths)
    for path in paths:
        original = path.with_suffix("") if path.suffix == ".gz" else None
        if original in existing and original is not None and _contains(original, path):
            yield DuplicateLog(path, original, "packed from")


def _copies_by_content(paths: Sequence[Path], growing: bool) -> Iterator[DuplicateLog]:
    # Sorted by their first bytes, files that start like a shorter one directly follow it.
    heads = [
        (head, index) for index, path in enumerate(paths) if _UNIQUE_TEXT.search(_after_first_line(head := _head(path)))
    ]
    heads.sort()
    excluded = set[Path]()
    for position, (head, index) in enumerate(heads):
        for other in _starting_with(head, heads, position + 1):
            pair = paths[index], paths[other]
            duplicate = _redundant_file(*pair, growing) if excluded.isdisjoint(pair) else None
            if duplicate is not None:
                excluded.add(duplicate.path)
                yield duplicate


def _starting_with(head: bytes, heads: Sequence[tuple[bytes, int]], position: int) -> Iterator[int]:
    """Yield the indexes of the files from `position` on that start with `head`."""
    while position < len(heads) and heads[position][0].startswith(head):
        yield heads[position][1]
        position += 1


def _redundant_file(one: Path, other: Path, growing: bool) -> DuplicateLog | None:
    """Return the file that repeats the other, None if neither does.

    Of two equal files, the packed file is the duplicate, else the rotated file, else the second file.
    """

    def sort_key(pair: tuple[Path, Path]) -> tuple[bool, bool]:
        path, original = pair
        return path.suffix != ".gz", not is_generation(original, path)

    for path, original in sorted(((other, one), (one, other)), key=sort_key):
        if (path.suffix == ".gz" or not growing) and _contains(original, path):
            return DuplicateLog(path, original, "a copy of")
    return None


def _head(path: Path) -> bytes:
    try:
        with closing(FileReader(path)) as reader:
            return reader.read_at(COMPARED_HEAD, 0)
    except OSError:
        return b""


def _after_first_line(head: bytes) -> bytes:
    """Return `head` without its first line, which may contain a build time that several servers share."""
    return head.partition(b"\n")[2]


def _contains(original: Path, path: Path) -> bool:
    """Return whether `original` starts with the whole content of `path`."""
    try:
        with closing(FileReader(original)) as whole, closing(FileReader(path)) as part:
            offset = 0
            while data := part.read_at(COMPARED_CHUNK, offset):
                if whole.read_at(len(data), offset) != data:
                    return False
                offset += len(data)
    except OSError:
        return False
    return True


def duplicates_message(duplicates: Sequence[DuplicateLog]) -> str:
    """Return the message about the files that were left out, with the reason for each."""
    listed = [f"{path} ({relation} {original})" for path, original, relation in duplicates[:MAX_LISTED]]
    more = [f"{len(duplicates) - MAX_LISTED} more"] if len(duplicates) > MAX_LISTED else []
    return f"left out, because their content would count twice: {', '.join([*listed, *more])}"
