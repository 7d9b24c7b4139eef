"""Which logs are meant: files as they are named, directories and patterns as what they hold, now and later."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from wscheck.errors import UsageError
from wscheck.following.generations import siblings

LIVE = (".log", ".out", ".err", ".txt", ".json", ".jsonl", ".ndjson")
STDIN = "-"
WILD = "*?["


def logs_in(names: Iterable[str], *, rotated: bool) -> list[Path]:
    """The log files that `names` stand for, in a fixed order, each once; `-` is left out.

    A directory stands for the logs in it, a pattern (`logs/*.log`) for what it matches, any other name for itself,
    whether it is there or not. `rotated`: earlier generations count as logs too; otherwise following finds them.
    """
    found = [path for name in names if name != STDIN for path in _meant(name)]
    chosen = list(dict.fromkeys(found))
    if rotated:
        return chosen
    named = {Path(name) for name in names}
    earlier = {sibling for path in chosen for sibling in siblings(path)} - named
    return [path for path in chosen if path not in earlier]


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

    def new(self) -> list[Path]:
        """The logs that were not there before."""
        found = [path for path in logs_in(self._names, rotated=False) if path not in self._known]
        self._known.update(found)
        return found
