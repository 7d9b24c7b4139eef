"""Addresses and files that the tools of the MCP server may use.

These are the loopback addresses, the working folder, and the hosts and folders that the user adds with `--allow`. An
address is compared as it is written: another spelling of a permitted host is refused.
"""

import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.config.loading import Config
from wscheck.config.settings import redact_url
from wscheck.model.errors import UsageError
from wscheck.observe.host_limit import url_host
from wscheck.report.formatting import one_line

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts that are always permitted. Another address that begins with 127 is, if an argument of the tool contains it."""

LONGEST = 2_000
"""Largest length of an address or a path."""

SHOWN = 80
"""Largest length at which an error shows an argument."""

_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?(?:[/?#][!-~]*)?"
)
"""Addresses of which every reader sees the same host: without user information, backslashes and encoded characters."""

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH_SETTINGS = ("browser.storage_state", "browser.source_root", "policy.baseline")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts and folders that the tools may use.

    working_folder  the folder from which relative paths start
    folders         folders whose files may be read; their paths are resolved and contain no symbolic links
    hosts           hosts in addition to LOOPBACK, in lower case
    """

    working_folder: Path
    folders: tuple[Path, ...]
    hosts: frozenset[str] = frozenset()

    def url(self, text: str, argument: str, schemes: Iterable[str] = ("http", "https")) -> str:
        """Return `text` if it is an address that a tool may open. Errors contain `argument`, the argument's name.

        Raises:
            UsageError: Programs could read different hosts in the address, its scheme is not one of `schemes`, or its
                host is not permitted.
        """
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        shown, form = _shown(text), f"Write {allowed}HOST:PORT/PATH, for example http://localhost:3000/."
        found = _URL.fullmatch(text) if len(text) <= LONGEST else None
        scheme = text.partition(":")[0].lower()
        if scheme == "file":
            raise UsageError(
                f"`{argument}` {shown} is a file, and only pages of a server are opened.",
                "Serve its folder, for example with `python3 -m http.server --bind 127.0.0.1`.",
            )
        if found is None or found["scheme"] not in schemes or int(found["port"] or 0) > 65_535:
            raise UsageError(f"`{argument}` {shown} is not an address that can be opened.", form)
        self._check_host(url_host(text) or "", f"`{argument}` {shown}")
        return text

    def _check_host(self, host: str, what: str) -> None:
        if host in LOOPBACK or host in self.hosts or _is_loopback(host):
            return
        allow = f"Start `wscheck mcp` with `mcp.allow={_option(host)}`."
        raise UsageError(
            f"{what} has the host {_shown(host)}, and only {', '.join(sorted(LOOPBACK | self.hosts))} are permitted.",
            allow if is_host(host) else "Write the host in its usual form; `mcp.allow=HOST` permits another one.",
        )

    def hosts_for(self, urls: Iterable[str]) -> frozenset[str]:
        """Return all hosts that a run with these addresses may contact."""
        return LOOPBACK | self.hosts | {host for url in urls if (host := url_host(url))}

    def file(self, text: str, argument: str) -> Path:
        """Return the path of a file that a tool may read, with all symbolic links resolved.

        Raises:
            UsageError: The path is not permitted, or is not the path of an ordinary file.
        """
        path = self._path(text, argument)
        if not stat.S_ISREG(self._mode(path, text, argument)):
            raise UsageError(f"`{argument}` {_shown(text)} is not an ordinary file.", "Name a file.")
        return path

    def folder(self, text: str, argument: str) -> Path:
        """Return the path of a folder or file that a tool may read, with all symbolic links resolved.

        Raises:
            UsageError: The path is not permitted, or is neither the path of a folder nor of an ordinary file.
        """
        path = self._path(text, argument)
        mode = self._mode(path, text, argument)
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UsageError(f"`{argument}` {_shown(text)} is neither a folder nor an ordinary file.", "Name a folder.")
        return path

    def permits(self, path: Path) -> bool:
        """Return whether a file may be read, after all links are followed."""
        try:
            return any(path.resolve().is_relative_to(folder) for folder in self.folders)
        except (OSError, RuntimeError, ValueError):
            return False

    def _path(self, text: str, argument: str) -> Path:
        shown = _shown(text)
        if not text or len(text) > LONGEST or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in text):
            raise UsageError(f"`{argument}` {shown} is not a path.", "Name a file or folder below the working folder.")
        path = self.working_folder / text
        if not self.permits(path):
            where = " and ".join(map(str, self.folders)) or "no folder"
            raise UsageError(
                f"`{argument}` {shown} is outside of the permitted folders ({where}).",
                "Start `wscheck mcp` with `mcp.allow=FOLDER`, or in the folder of the project.",
            )
        return _near(path.resolve())

    def _mode(self, path: Path, text: str, argument: str) -> int:
        try:
            return path.stat().st_mode
        except OSError as error:
            reason = (error.strerror or "it cannot be read").lower()
            problem = f"`{argument}` {_shown(text)} cannot be read: {reason}."
            raise UsageError(problem, "Check the path, which starts at the working folder.") from None

    def check_config(self, config: Config) -> None:
        """Check the files, programs and addresses that wscheck.toml and the environment name.

        Raises:
            UsageError: A setting leads to something that is not permitted.
        """
        for name in ("target.url", "verify.page"):
            if (url := config[name]) is not None:
                self.url(str(url), name, ("http", "https", "ws", "wss"))
        for name in _PATH_SETTINGS:
            if (path := config[name]) is not None and not self.permits(self.working_folder / str(path)):
                self._path(str(path), name)
        for path in config["verify.server_log"]:
            self.file(str(path), "verify.server_log")
        if config["browser.cdp"] is not None:
            raise UsageError(
                "`browser.cdp` watches a running browser, whose pages cannot be limited to the permitted hosts.",
                "Leave it out: the tool starts a browser of its own.",
            )
        program = config.values["browser.browser"]
        if program.value is not None and ".toml" in program.origin:
            raise UsageError(
                f"{program.origin}: a file of the project cannot choose the program that is started.",
                "Set the environment variable WSCHECK_BROWSER where the MCP server is configured.",
            )
        for step in _all_steps(config.steps):
            self._check_step(step)

    def _check_step(self, step: BrowserStep) -> None:
        if step.action in ("goto", "tab") and isinstance(step.argument, str):
            parts = urlsplit(step.argument)
            if parts.scheme or parts.netloc or "\\" in step.argument:
                self.url(step.argument, step.location)
        if step.action == "upload":
            self.file(step.typed if isinstance(step.typed, str) else step.typed.reveal(), step.location)


def new_access(allowed: Iterable[str], working_folder: Path, home: Path) -> Access:
    """Return the hosts and folders that the tools may use.

    The working folder is left out if it contains the home directory: a client that starts the server there did not
    choose a project.

    Args:
        allowed: The values of `--allow`, each a host or a folder.
        working_folder: The current directory.
        home: The home directory of the user.

    Raises:
        UsageError: A value is neither a host nor a folder.
    """
    working_folder = working_folder.resolve()
    folders = [] if home.resolve().is_relative_to(working_folder) else [working_folder]
    hosts = set[str]()
    for value in allowed:
        path = working_folder / os.path.expanduser(value)  # noqa: PTH111  # leaves the name of an unknown user
        if is_host(_bracketed(value.lower())) and not path.is_dir():
            hosts.add(_bracketed(value.lower()))
        elif value and path.is_dir():
            folders.append(path.resolve())
        else:
            raise UsageError(
                f"`mcp.allow={value}` is neither a host nor a folder.",
                "Write a host without scheme and port, such as staging.example, or the path of a folder.",
            )
    return Access(working_folder=working_folder, folders=tuple(dict.fromkeys(folders)), hosts=frozenset(hosts))


def is_host(host: str) -> bool:
    """Return whether a text is a host name, or an IP address in its usual spelling (not 127.1 or 0x7f.1)."""
    if host.startswith("["):
        return _address(host) is not None
    if not _HOST_NAME.fullmatch(host):
        return False
    # Browsers read a name whose last part is a number as an address: 127.1, 2130706433, 0x7f.1.
    looks_numeric = re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2])
    return not looks_numeric or _address(host) is not None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address in the text `host`, None for a host name or for an unusual spelling of an address."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    mapped = isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id)
    return address if not mapped and _bracketed(str(address)) == host else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _option(host: str) -> str:
    return f"'{host}'" if host.startswith("[") else host


def _near(path: Path) -> Path:
    """Return a path in the form for reports: relative to the current directory if it is below this directory.

    The name `-` stays absolute, because log readers take it for standard input.
    """
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) and path.name != "-" else path


def _all_steps(steps: Iterable[BrowserStep]) -> Iterator[BrowserStep]:
    for step in steps:
        yield step
        yield from _all_steps(step.steps)


def _shown(text: str) -> str:
    """Return the value of an argument for an error message, on one line and shortened."""
    if len(text) > LONGEST:
        return f"({len(text):,} characters)"
    start = one_line(redact_url(text))
    return f"`{start[:SHOWN]}...`" if len(start) > SHOWN else f"`{start}`"
