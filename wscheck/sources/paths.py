"""Which logs are meant: files as they are named, directories and patterns as what they hold, now and later."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from wscheck.errors import UsageError
from wscheck.following.generations import real, siblings

LIVE = (".log", ".out", ".err", ".txt", ".json", ".jsonl", ".ndjson")
STDIN = "-"
WILD = "*?["


def logs_in(names: Iterable[str], *, rotated: bool) -> list[Path]:
    """The log files that `names` stand for, in a fixed order, each once; `-` is left out.

    A directory stands for the logs in it, a pattern (`logs/*.log`) for what it matches, any other name for itself,
    whether it is there or not. `rotated`: earlier generations count as logs too, each before the one that came after
    it; otherwise following finds them.
    """
    names = [name for name in names if name != STDIN]
    found = [path for name in names for path in _meant(name)]
    chosen = list(dict.fromkeys(found))
    families = _families(chosen)
    if rotated:
        return [path for base, earlier in families.items() for path in (*earlier, base)]
    named = {Path(name) for name in names}
    return [path for base, earlier in families.items() for path in (*(e for e in earlier if e in named), base)]


def nodes(paths: Iterable[Path]) -> dict[Path, str]:
    """For each log the server process that writes it, by the name of its current generation."""
    families = _families(list(paths))
    return {path: str(base) for base, earlier in families.items() for path in (base, *earlier)}


def _families(chosen: Sequence[Path]) -> dict[Path, list[Path]]:
    """Each log with those of `chosen` that are earlier generations of it, the oldest first."""
    by_file = {real(path): path for path in chosen}
    earlier = {path: [by_file[s] for s in _elder(path) if s in by_file and by_file[s] != path] for path in chosen}
    elders = {elder for each in earlier.values() for elder in each}
    return {path: earlier[path] for path in chosen if path not in elders}


def _elder(path: Path) -> list[Path]:
    return [real(sibling) for sibling in siblings(path)]


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
    """Also `app.log.1` and `app.log.2.gz`: a suffix somewhere in the name."""
    return any(suffix in LIVE for suffix in path.suffixes)


def require(names: Sequence[str]) -> None:
    """Raises UsageError when no log is named, or stdin twice."""
    if not names:
        raise UsageError("No log is named.", "Name files, directories or patterns, or - for standard input.")
    if names.count(STDIN) > 1:
        raise UsageError("Standard input is named twice.", "Name - once.")


class Appearing:
    """What turns up in directories and patterns after the start; call it to hear what is new."""

    def __init__(self, names: Sequence[str], known: Iterable[Path]) -> None:
        self._names = [name for name in names if Path(name).is_dir() or any(char in name for char in WILD)]
        self._known = set(known)

    @property
    def places(self) -> list[Path]:
        """The directories in which logs may appear."""
        return [Path(name) if Path(name).is_dir() else _literal(Path(name)) for name in self._names]

    def new(self) -> list[Path]:
        """The logs that were not there before."""
        found = [path for path in logs_in(self._names, rotated=False) if path not in self._known]
        self._known.update(found)
        return found


def _literal(pattern: Path) -> Path:
    """The directory of a pattern, as far as it is spelled out."""
    return next(parent for parent in pattern.parents if not any(char in str(parent) for char in WILD))
