"""Output of `wscheck` without arguments: three commands to try in the working folder, the most suitable first."""

import json
import shlex
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from wscheck.report.formatting import escape_control

PORTS = (3000, 5173, 4200, 8080, 8000, 5000, 3001, 4000)
"""Default ports of development servers. Only the loopback addresses are asked."""

CLIENT_LIBRARIES = (
    "socket.io-client",
    "reconnecting-websocket",
    "react-use-websocket",
    "vue-socket.io",
    "ngx-socket-io",
)

SHOWN = 3

_LOG_FOLDERS = (".", "logs", "log")
_SOURCE_FOLDERS = (".", "frontend", "client", "web", "ui", "app")
_CONNECT_TIMEOUT_S = 0.1


class Suggestion(NamedTuple):
    """A command, its effect, and the reason why it fits the working folder."""

    command: str
    reason: str


_ALWAYS_POSSIBLE = (
    Suggestion("wscheck verify", "checks the server that is part of wscheck; needs nothing else"),
    Suggestion("wscheck browser http://localhost:3000/", "watches a page of yours: write its address"),
    Suggestion("wscheck tail-logs FILE", "reads the log of your server"),
)


def suggestions(folder: Path, ports: Iterable[int] = PORTS) -> list[Suggestion]:
    """Return three commands to try in `folder`. Those that fit the folder or a running server come first.

    `ports` are the local ports on which a server is looked for.
    """
    found = [*_scan(folder), *_browser(ports), *_tail_logs(folder)]
    taken = {_subcommand(each) for each in found}
    return [*found, *(each for each in _ALWAYS_POSSIBLE if _subcommand(each) not in taken)][:SHOWN]


def describe(suggested: Iterable[Suggestion]) -> str:
    """Return the text that `wscheck` without arguments prints."""
    lines = [f"  {command}\n      {reason}" for command, reason in suggested]
    return "\n".join(
        [
            "wscheck finds duplicate, leaked and churning real-time connections. Try in this folder:",
            "",
            *lines,
            "",
            "wscheck --help lists all commands.",
        ]
    )


def _subcommand(suggestion: Suggestion) -> str:
    return suggestion.command.split()[1]


def _scan(folder: Path) -> Iterator[Suggestion]:
    for name in _SOURCE_FOLDERS:
        for library in CLIENT_LIBRARIES:
            if library in _dependencies(folder / name / "package.json"):
                where = "" if name == "." else f" {name}"
                package = "package.json" if name == "." else f"{name}/package.json"
                yield Suggestion(
                    f"wscheck scan{where}", f"lists the places that open a connection ({package} names {library})"
                )
                return


def _dependencies(path: Path) -> set[str]:
    """Return the names of all dependencies in a package.json, none if it cannot be read."""
    try:
        package = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    kinds = package if isinstance(package, dict) else {}
    lists = (kinds.get(kind) for kind in ("dependencies", "devDependencies", "peerDependencies"))
    return {name for listed in lists if isinstance(listed, dict) for name in listed}


def _browser(ports: Iterable[int]) -> Iterator[Suggestion]:
    for port in ports:
        if any(_listens(family, host, port) for family, host in _LOOPBACK):
            yield Suggestion(
                f"wscheck browser http://localhost:{port}/",
                f"watches this page for five seconds (a server listens at port {port})",
            )
            return


_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def _listens(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_CONNECT_TIMEOUT_S)
            return client.connect_ex((host, port)) == 0
    except OSError:  # this machine has no IPv6
        return False


def _tail_logs(folder: Path) -> Iterator[Suggestion]:
    logs = [path for name in _LOG_FOLDERS for path in (folder / name).glob("*.log") if _size(path)]
    if logs:
        newest = max(logs, key=lambda path: path.stat().st_mtime)
        name = escape_control(shlex.quote(str(newest.relative_to(folder))))
        yield Suggestion(f"wscheck tail-logs --no-follow {name}", "reads the newest log file in this folder")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
