"""Selection of the log files to read from the files, directories and patterns on the command line.

The content of a log counts once. These files are left out: links to another file, packed copies, backups, and exports
that another file contains. Similar names or equal first lines are not enough, because the logs of two servers can start
alike. A copy is left out only if the other file has all its bytes at the same offsets, and not by coincidence.
"""

import fnmatch
import os
import re
import stat
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, cast

from wscheck.model.errors import UsageError
from wscheck.observe.tailing.generations import (
    SEPARATORS,
    KnownFile,
    file_identity,
    generation_age,
    has_generation_name,
    is_generation,
    known_files,
    name_after_date,
    resolve_links,
    sort_by_age,
)
from wscheck.observe.tailing.open_file import HEAD_BYTES, FileIdentity, FileReader, is_unique_text
from wscheck.observe.tailing.packed_log import is_packed

LOG_SUFFIXES = (".log", ".out", ".err", ".txt", ".json", ".jsonl", ".ndjson")
STDIN = "-"
WILDCARDS = "*?["
HISTORY = 4
"""Number of earlier files that are remembered for each followed name."""
COMPARED_HEAD = 1 << 12
COMPARED_CHUNK = 1 << 18
MAX_LISTED = 3

Note = Callable[[str], None]


class DuplicateLog(NamedTuple):
    """A file whose content is all in `original`. `relation` describes it, for example "a copy of"."""

    path: Path
    original: Path
    relation: str


def log_files(names: Iterable[str]) -> list[Path]:
    """Return every file that `names` stand for, also copies of one log. Names that stand for nothing are left out."""
    try:
        _, found, aliases = _find_files([name for name in names if name != STDIN], rotated=True)
    except (OSError, UsageError):
        return []  # reading the logs will report it
    return [*found, *(alias.path for alias in aliases)]


class LogPaths:
    """The log files that `names` stand for. The name `-` (standard input) is ignored.

    A directory stands for the logs in it, a pattern (`logs/*.log`) for the files that match, and any other name for
    itself, whether the file exists or not.

    paths  the current files in a fixed order, each once, without duplicates
    nodes  dict of each file to a name for the server process that wrote it. A log and its rotated files have the same
           name: the path of the log
    """

    def __init__(self, names: Iterable[str], *, rotated: bool, note: Note) -> None:
        """Find the current files. `note` is called with a message about files left out because others contain them.

        rotated  treat each rotated file as a log of its own, the oldest first; otherwise the follower of a log finds
                 its rotated files
        """
        names = [name for name in names if name != STDIN]
        families, found, aliases = _find_files(names, rotated)
        copies = find_copies(found, growing=not rotated)
        self._note = note
        self._report_duplicates([*aliases, *copies])
        self.paths = _without((copy.path for copy in copies), found)
        log_of = {path: base for base, earlier in families.items() for path in (base, *earlier)}
        self.nodes = {path: str(log_of[path]) for path in self.paths}
        self._open_ended = [name for name in names if Path(name).is_dir() or _has_wildcard(name)]
        self._known = {*found, *(alias.path for alias in aliases)}
        self._followed = dict.fromkeys(self.paths)
        self._rotated, self._families = rotated, _Families()
        self._waiting = list(self.paths)
        self._renames = RenameTracker()
        self._renames.update(self._followed if self._open_ended and not rotated else ())

    def _report_duplicates(self, duplicates: Sequence[DuplicateLog]) -> None:
        if duplicates:
            self._note(duplicates_message(duplicates))

    @property
    def directories(self) -> list[Path]:
        """The directories where further logs may appear."""
        found = dict.fromkeys(directory for name in self._open_ended for directory in _directories(name))
        return list(found)

    def find_new(self, appeared: Iterable[Path] | None = None) -> list[Path]:
        """Return the logs that appeared in the directories, or that match the patterns, since the last call.

        appeared  the only names that appeared, None to search for them
        """
        if appeared is not None:
            appeared = list(appeared)
            self._renames.update(path for path in appeared if path in self._followed)
            if any(path.is_dir() for path in appeared):
                appeared = None  # it may contain logs already
        if appeared is None:
            _, chosen, aliases = _find_files(self._open_ended, rotated=False, followed=list(self._followed))
            self._renames.update(self._followed)
        else:
            chosen, aliases = self._choose(appeared)
        new = [path for path in chosen if path not in self._known]
        duplicates = [alias for alias in aliases if alias.path not in self._known]
        duplicates += self._renames.renamed(new)
        if not (new or duplicates):
            return []
        self._known.update(new, (duplicate.path for duplicate in duplicates))
        new = _without((duplicate.path for duplicate in duplicates), new)
        duplicates += [copy for copy in find_copies(new, growing=True, beside=self._followed) if copy.path in new]
        self._report_duplicates(duplicates)
        new = _without((duplicate.path for duplicate in duplicates), new)
        self._followed.update(dict.fromkeys(new))
        self._renames.update(new)
        self._waiting += new
        return new

    def _choose(self, appeared: Iterable[Path]) -> tuple[list[Path], list[DuplicateLog]]:
        """Return those names in `appeared` that are new logs, and those that are other names of known files."""
        found = [path for path in dict.fromkeys(appeared) if path not in self._known and path.is_file()]
        found = [path for path in found if any(_stands_for(name, path) for name in self._open_ended)]
        found = [path for path in found if self._rotated or not self._is_rotated(path)]
        aliases = []
        for path in found:
            followed = self._renames.former_name(path)
            if followed is not None and file_identity(followed) == file_identity(path):
                aliases.append(DuplicateLog(path, followed, "another name of"))
        found = _without((alias.path for alias in aliases), found)
        # Several names of one file may have appeared at once.
        aliases += find_aliases(found, (), self._followed)
        return _without((alias.path for alias in aliases), found), aliases

    def _is_rotated(self, path: Path) -> bool:
        """Return whether the name shows that this is a rotated file of a followed log."""
        for log in self._waiting:
            self._families.add(log, self._families.places(log))
        self._waiting.clear()
        return bool(self._families.logs_rotated_to(path, self._families.places(path)))


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError if no log is named, or standard input is named twice."""
    if not names:
        raise UsageError("No log is named.", "Name files, directories or patterns, or - for standard input.")
    if names.count(STDIN) > 1:
        raise UsageError("Standard input is named twice.", "Give - only once.")


def _find_files(
    names: Sequence[str], rotated: bool, followed: Sequence[Path] = ()
) -> tuple[dict[Path, list[Path]], list[Path], list[DuplicateLog]]:
    """Find the files that `names` and `followed` stand for, each under one name.

    Return a dict of each log to its rotated files, the files to read, and the other names of files with several names.
    """
    found = [*followed, *(path for name in names for path in _expand(name))]
    named = {Path(name) for name in names}
    aliases = find_aliases(found, named, followed)
    families = _group_generations(_without((alias.path for alias in aliases), found))
    chosen = [
        path
        for base, earlier in families.items()
        for path in (*(generation for generation in earlier if rotated or generation in named), base)
    ]
    return families, chosen, aliases


def _without(excluded: Iterable[Path], paths: Iterable[Path]) -> list[Path]:
    """Return `paths` in their order, each once, without the paths in `excluded`."""
    left_out = set(excluded)
    return [path for path in dict.fromkeys(paths) if path not in left_out]


class _Families:
    """Collection of logs. It finds the logs to which a rotated file may belong by the name of the rotated file."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        self._by_stem: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)

    def add(self, path: Path, places: Iterable[tuple[str, str]]) -> None:
        """Add the log `path`. `places` are its pairs (directory, name), as the method `places` returns them."""
        for directory, name in places:
            self._by_stem[directory, Path(name).stem][name] = path

    def places(self, path: Path) -> set[tuple[str, str]]:
        """Return (directory, name) of the path and, if it is a link, of its target. The directory contains no link."""
        directory, name = os.path.split(path)
        target = self._targets.get(directory)
        if target is None:
            target = self._targets[directory] = os.path.realpath(directory)
        if path.is_symlink() or name in {"", ".."}:
            return {(target, name), cast("tuple[str, str]", os.path.split(os.path.realpath(path)))}
        return {(target, name)}

    def logs_rotated_to(self, path: Path, places: Iterable[tuple[str, str]]) -> list[tuple[Path, Path]]:
        """Return the other logs of which `path` may be a rotated file, according to the name of `path`.

        `places` are the pairs (directory, name) of `path`, as the method `places` returns them.

        Each result is a pair: the path of the log, and the path of its file, which differs if the log is a link.
        """
        found = []
        for directory, name in places:
            for start in _possible_stems(name):
                for base, log in self._by_stem.get((directory, start), {}).items():
                    if log != path and base != name and has_generation_name(base, name):
                        found.append((log, Path(directory, base)))
        return found


def _possible_stems(name: str) -> set[str]:
    """Return the parts of a rotated file's name that may be its log's name without suffix.

    These are the starts of the name that end before a separator: "app" and "app.log" for "app.log.1". If the name
    starts with a date, the starts of the text after the date are added.
    """
    texts = {name, name_after_date(name)}
    return {text[:end] for text in texts for end, sign in enumerate(text) if sign in SEPARATORS and end}


def _group_generations(paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return a dict of each log to the files in `paths` that are its rotated files, the oldest first."""
    families = _Families()
    places = {path: families.places(path) for path in paths}
    for path, known in places.items():
        families.add(path, known)
    earlier = defaultdict[Path, list[tuple[Path, Path]]](list)
    generations = set[Path]()
    for path, known in places.items():
        for log, base in families.logs_rotated_to(path, known):
            earlier[log].append((base, path))
            generations.add(path)
    return {path: _sort_by_age(earlier[path]) if path in earlier else [] for path in places if path not in generations}


def _sort_by_age(found: Iterable[tuple[Path, Path]]) -> list[Path]:
    """Sort the pairs (file of a log, rotated file of this log). Return the rotated files, the oldest first."""
    return sort_by_age((generation_age(base, path, _changed_ns(path)), path) for base, path in dict.fromkeys(found))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return sorted(_files_in(path), key=str)
    if _has_wildcard(name) and not path.exists():
        return sorted(found for found in Path(path.anchor or ".").glob(_relative(path)) if found.is_file())
    return [path]


def _files_in(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if _is_log(path := directory / entry.name) and entry.is_file():
                yield path


def _stands_for(name: str, path: Path) -> bool:
    """Return whether a directory or pattern on the command line stands for the file at `path`."""
    pattern = Path(name)
    if pattern.is_dir():
        return path.parent == pattern and _is_log(path)
    return _parts_match(path.parts, pattern.parts)


def _parts_match(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not (parts and patterns):
        return not parts and all(pattern == "**" for pattern in patterns)
    if patterns[0] == "**":
        return _parts_match(parts, patterns[1:]) or _parts_match(parts[1:], patterns)
    return fnmatch.fnmatchcase(parts[0], patterns[0]) and _parts_match(parts[1:], patterns[1:])


def _directories(name: str) -> Iterator[Path]:
    """Yield the directories to watch for new files and folders that match `name`, a directory or a pattern."""
    path = Path(name)
    if path.is_dir():
        yield path
        return
    yield _literal_part(path)
    for parent in path.parents:
        if _has_wildcard(str(parent)):
            anchor = Path(parent.anchor or ".")
            yield from (found for found in anchor.glob(_relative(parent)) if found.is_dir())


def _has_wildcard(name: str) -> bool:
    return any(char in name for char in WILDCARDS)


def _relative(pattern: Path) -> str:
    return str(pattern.relative_to(pattern.anchor)) if pattern.anchor else str(pattern)


def _is_log(path: Path) -> bool:
    """Return whether the name has a log suffix anywhere, as in `app.log.1`, `app.log.2.gz`, `app.log-20260115`."""
    return any(suffix in LOG_SUFFIXES or re.sub(r"[-_]\d+$", "", suffix) in LOG_SUFFIXES for suffix in path.suffixes)


def _literal_part(pattern: Path) -> Path:
    """Return the longest parent directory of a pattern that contains no wildcard."""
    return next(parent for parent in pattern.parents if not _has_wildcard(str(parent)))


# --- duplicates ------------------------------------------------------------------------------------------------------


class RenameTracker:
    """The files that had one of the followed names, so that a renamed file is not mistaken for a new log."""

    def __init__(self) -> None:
        self._files: dict[Path, deque[KnownFile]] = defaultdict(lambda: deque(maxlen=HISTORY))
        self._names: dict[FileIdentity, Path] = {}

    def update(self, names: Iterable[Path]) -> None:
        """Remember the files that have these `names` now."""
        changed = [name for name in names if not self._is_current(name)]
        for path, file in known_files(changed).items():
            files = self._files[path]
            if len(files) == HISTORY and self._names.get(files[0].identity) == path:
                del self._names[files[0].identity]
            files.append(file)
            self._names[file.identity] = path

    def _is_current(self, name: Path) -> bool:
        try:
            status = name.stat()
        except OSError:
            return True
        if not stat.S_ISREG(status.st_mode):
            return True
        if not (files := self._files.get(name)):
            return False
        last = files[-1]
        unchanged = (last.size, last.changed_ns) == (status.st_size, status.st_mtime_ns)
        return last.identity == (status.st_dev, status.st_ino) and (unchanged or last.head_size == HEAD_BYTES)

    def former_name(self, path: Path) -> Path | None:
        """Return the followed name that the file at `path` had, None if it had none."""
        identity = file_identity(path)
        return self._names.get(identity) if identity is not None else None

    def renamed(self, paths: Iterable[Path]) -> list[DuplicateLog]:
        """Return the files in `paths` that had a followed name before."""
        found = []
        for path in paths:
            name = self.former_name(path)
            if name is None:
                continue
            with suppress(OSError), closing(FileReader(path, raw=True)) as reader:
                if any(file.is_same_file(reader) for file in self._files[name]):
                    found.append(DuplicateLog(path, name, "renamed from"))
        return found


def find_copies(paths: Sequence[Path], *, growing: bool, beside: Iterable[Path] = ()) -> list[DuplicateLog]:
    """Return the files whose whole content is in another file.

    growing  True if the files will be followed. Only packed files are then returned, because a plain file that is a
             copy now may get other content later
    beside   further files to compare with `paths`; the result may contain them too
    """
    if growing and not any(map(is_packed, paths)):
        return []
    files = [path for path in dict.fromkeys((*beside, *paths)) if path.is_file()]
    packed = list(_packed_twins(files))
    excluded = {duplicate.path for duplicate in packed}
    return [*packed, *_copies_by_content([path for path in files if path not in excluded], growing)]


def find_aliases(paths: Iterable[Path], named: Container[Path], followed: Container[Path]) -> list[DuplicateLog]:
    """Return the other names of files that have several: links, and names such as `a.log` and `./a.log`.

    One name of each file is kept, and the others are returned. A name in `followed` is kept before all others, and the
    name of a rotated file after all others. Otherwise a link on the command line (`named`), which may later lead to
    another file, is kept first. A link found in a directory is kept last, because its next target will be found too.
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
        original = path.with_suffix("") if is_packed(path) else None
        if original in existing and original is not None and _contains(original, path):
            yield DuplicateLog(path, original, "packed from")


def _copies_by_content(paths: Sequence[Path], growing: bool) -> Iterator[DuplicateLog]:
    # Sorted by their first bytes, files that start like a shorter one directly follow it.
    heads = [
        (head, index) for index, path in enumerate(paths) if is_unique_text(_after_first_line(head := _head(path)))
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
    """Yield the indexes of the files that start with `head`.

    heads     sorted pairs: the first bytes of a file, and the index of the file
    position  position in `heads` at which the search starts
    """
    while position < len(heads) and heads[position][0].startswith(head):
        yield heads[position][1]
        position += 1


def _redundant_file(one: Path, other: Path, growing: bool) -> DuplicateLog | None:
    """Return the file that repeats the other, None if neither does.

    Of two equal files, the packed file is the duplicate, else the rotated file, else the second file.
    """

    def sort_key(pair: tuple[Path, Path]) -> tuple[bool, bool]:
        path, original = pair
        return not is_packed(path), not is_generation(original, path)

    for path, original in sorted(((other, one), (one, other)), key=sort_key):
        if (is_packed(path) or not growing) and _contains(original, path):
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
