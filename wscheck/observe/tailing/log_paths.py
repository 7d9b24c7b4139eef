"""Which logs are meant: files as they are named, directories and patterns as what they hold, now and later."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from wscheck.model.errors import UsageError
from wscheck.observe.tailing.duplicates import DuplicateLog, RenameTracker, find_aliases, find_copies, told
from wscheck.observe.tailing.generations import find_generations, resolve_links

LIVE = (".log", ".out", ".err", ".txt", ".json", ".jsonl", ".ndjson")
STDIN = "-"
WILD = "*?["

Note = Callable[[str], None]


class LogPaths:
    """The log files that `names` stand for; `-` is left out.

    A directory stands for the logs in it, a pattern (`logs/*.log`) for what it matches, any other name for itself,
    whether it is there or not.

    paths  those that are meant now, in a fixed order, each file once; what only repeats another is left out
    """

    def __init__(self, names: Iterable[str], *, rotated: bool, note: Note) -> None:
        """`rotated`: earlier generations count as logs too, each before the one that came after it; otherwise
        following finds them. `note` is told what is left out.
        """
        names = [name for name in names if name != STDIN]
        found, others = _chosen(names, rotated)
        same = find_copies(found, growing=not rotated)
        self._note = note
        self._tell([*others, *same])
        self.paths = _without((repeat.path for repeat in same), found)
        self._wide = [name for name in names if Path(name).is_dir() or any(char in name for char in WILD)]
        self._known = {*found, *(other.path for other in others)}
        self._followed = self.paths
        self._before = RenameTracker()
        self._before.look(self._followed if self._wide and not rotated else ())

    def _tell(self, repeats: Sequence[DuplicateLog]) -> None:
        if repeats:
            self._note(told(repeats))

    @property
    def places(self) -> list[Path]:
        """The directories in which logs may appear."""
        return [Path(name) if Path(name).is_dir() else _literal(Path(name)) for name in self._wide]

    def appeared(self) -> list[Path]:
        """The logs in directories and patterns that were not there before."""
        chosen, others = _chosen(self._wide, rotated=False, followed=self._followed)
        new = [path for path in chosen if path not in self._known]
        left = [other for other in others if other.path not in self._known]
        left += self._before.renamed(new)
        self._before.look(self._followed)
        if not (new or left):
            return []
        self._known.update(new, (repeat.path for repeat in left))
        new = _without((repeat.path for repeat in left), new)
        left += [copy for copy in find_copies([*self._followed, *new], growing=True) if copy.path in new]
        self._tell(left)
        new = _without((repeat.path for repeat in left), new)
        self._followed = [*self._followed, *new]
        return new


def _chosen(
    names: Sequence[str], rotated: bool, followed: Sequence[Path] = ()
) -> tuple[list[Path], list[DuplicateLog]]:
    """Each file that `names` stand for, and those that are `followed`, by one name; and its other names."""
    found = [*followed, *(path for name in names for path in _meant(name))]
    named = {Path(name) for name in names}
    others = find_aliases(found, named, followed)
    families = _families(_without((other.path for other in others), found))
    return [
        path
        for base, earlier in families.items()
        for path in (*(elder for elder in earlier if rotated or elder in named), base)
    ], others


def _without(left: Iterable[Path], paths: Iterable[Path]) -> list[Path]:
    """`paths` in their order, each once."""
    gone = set(left)
    return [path for path in dict.fromkeys(paths) if path not in gone]


def nodes(paths: Iterable[Path]) -> dict[Path, str]:
    """For each log the server process that writes it, by the name of its current generation."""
    families = _families(list(paths))
    return {path: str(base) for base, earlier in families.items() for path in (base, *earlier)}


def _families(chosen: Sequence[Path]) -> dict[Path, list[Path]]:
    """Each log with those of `chosen` that are earlier generations of it, the oldest first."""
    by_file = {resolve_links(path): path for path in chosen}
    earlier = {path: [by_file[s] for s in _elder(path) if s in by_file and by_file[s] != path] for path in chosen}
    elders = {elder for each in earlier.values() for elder in each}
    return {path: earlier[path] for path in chosen if path not in elders}


def _elder(path: Path) -> list[Path]:
    return [resolve_links(sibling) for sibling in find_generations(path, packing=True)]


def _meant(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return sorted(found for found in path.iterdir() if found.is_file() and _is_log(found))
    if any(char in name for char in WILD) and not path.exists():
        return sorted(found for found in Path(path.anchor or ".").glob(_relative(path)) if found.is_file())
    return [path]


def _relative(pattern: Path) -> str:
    return str(pattern.relative_to(pattern.anchor)) if pattern.anchor else str(pattern)


def _is_log(path: Path) -> bool:
    """Also `app.log.1`, `app.log.2.gz` and `app.log-20260115`: a suffix somewhere in the name."""
    return any(re.sub(r"-\d+$", "", suffix) in LIVE for suffix in path.suffixes)


def require(names: Sequence[str]) -> None:
    """Raises UsageError when no log is named, or stdin twice."""
    if not names:
        raise UsageError("No log is named.", "Name files, directories or patterns, or - for standard input.")
    if names.count(STDIN) > 1:
        raise UsageError("Standard input is named twice.", "Name - once.")


def _literal(pattern: Path) -> Path:
    """The directory of a pattern, as far as it is spelled out."""
    return next(parent for parent in pattern.parents if not any(char in str(parent) for char in WILD))
