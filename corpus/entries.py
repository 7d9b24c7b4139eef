"""The entries of the corpus: one TOML file per application, with its versions and its expected result."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

APPS = Path(__file__).with_name("apps")
SOURCES = ("browser", "loop", "har", "scan")
"""Ways of looking at an application: `wscheck browser`, the same with `--loop`, `wscheck har` and `wscheck scan`."""

REGISTRIES = ("npm", "npm-files", "pypi", "pypi-files")


class Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Change of an installed file, made before the application is served. The text to find occurs once."""

    file: str
    find: str
    replace: str


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Version of an application.

    install  requirements of the package manager, each with a fixed version; the first one is the application
    patch    changes of the installed files
    """

    install: list[str]
    patch: list[Patch] = []


class StandIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Server in place of the application's backend: serves its frontend, and speaks enough for it to connect.

    root       folder of the frontend, below the installation
    websocket  dialect of the websockets, one of `corpus.servers.stand_in.DIALECTS`
    answers    path to the JSON that a request for it is answered with
    """

    root: str
    websocket: str = "silent"
    answers: dict[str, Any] = {}


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to serve an application: its own backend, a stand-in, or a page of the corpus that uses the library.

    command  arguments; {port}, {port2}, {folder} (the installation), {files} (`corpus/files`) and {work} (a new folder)
    env      additional environment of the command
    page     folder below `corpus/pages` that is built with the library
    """

    command: list[str] = []
    env: dict[str, str] = {}
    stand_in: StandIn | None = None
    page: str = ""


class Visit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user opens and does.

    path     path of the page
    watch    time that wscheck watches the page
    steps    browser steps, as in `wscheck.toml`
    options  additional options of `wscheck browser`, as a team would set them for this application
    scan     folder below the installation whose source code `wscheck scan` reads
    """

    path: str = "/"
    watch: str = "5s"
    steps: list[dict[str, Any]] = []
    options: list[str] = []
    scan: str = ""


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Known result of an application.

    fault        the fault in a sentence; empty for an application without one
    known_by     the public report or the code that shows it
    before       connections to one endpoint that the page holds or opens in a row, in the faulty version
    after        the same in the fixed version, or in an application without fault
    rules        rules that may report the fault
    openers      groups of `file:line`; one of each group opens a connection
    causes       acceptable causes, the best first
    fix          what the fix changes
    fix_words    patterns of which one is in an acceptable fix
    shown_by     the sources that can show the fault
    """

    known_by: str
    after: int
    fault: str = ""
    before: int = 0
    rules: list[str] = []
    openers: list[list[str]] = []
    causes: list[str] = []
    fix: str = ""
    fix_words: list[str] = []
    shown_by: list[str] = []


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An application of the corpus.

    name       name of the entry: that of its file
    kind       `application` (its own frontend) or `library` (a page of the corpus that uses it as documented)
    registry   `npm`, `pypi`, or `npm-files` and `pypi-files` (the package's files without its dependencies)
    faulty     the version with the fault, absent for an application without one
    healthy    the fixed version, or the version without fault
    excluded   reason for which the entry does not count in the figures any more; it stays in the tables
    """

    name: str
    kind: str
    framework: str
    protocol: str
    licence: str
    registry: str
    healthy: Variant
    serve: Serve
    expected: Expected
    faulty: Variant | None = None
    visit: Visit = Visit()
    excluded: str = ""


@dataclass(frozen=True)
class Case:
    """One version of an application: what a run checks."""

    entry: Entry
    is_faulty: bool

    @property
    def id(self) -> str:
        """Return the name of the case: `marimo-faulty`."""
        return f"{self.entry.name}-{'faulty' if self.is_faulty else 'healthy'}"

    @property
    def variant(self) -> Variant:
        """Return the version that the case installs."""
        if not self.is_faulty:
            return self.entry.healthy
        assert self.entry.faulty is not None
        return self.entry.faulty


def read_entry(path: Path) -> Entry:
    """Return the entry of a file.

    Raises:
        ValueError: a field is missing, unknown or contradicts another.
    """
    try:
        entry = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Entry)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if problem := _contradiction(entry, path.stem):
        raise ValueError(f"{path.name}: {problem}")
    return entry


def _contradiction(entry: Entry, stem: str) -> str:
    """Return what is wrong with an entry, or an empty text."""
    expected, serve = entry.expected, entry.serve
    stated = expected.openers and expected.causes and expected.rules and expected.shown_by
    installed = [*entry.healthy.install, *(entry.faulty.install if entry.faulty else [])]
    wrong = {
        "the name is not that of the file": entry.name != stem,
        "the kind is neither application nor library": entry.kind not in ("application", "library"),
        "the registry is unknown": entry.registry not in REGISTRIES,
        "it is served by a command, or by a stand-in": bool(serve.command) == bool(serve.stand_in),
        "a page needs a stand-in": bool(serve.page) and not serve.stand_in,
        "a faulty version and a fault belong together": bool(entry.faulty) != bool(expected.fault),
        "a fault has rules, openers, causes and sources that show it": bool(entry.faulty) and not stated,
        "it names an unknown source": not set(expected.shown_by) <= set(SOURCES),
        "a package has no fixed version": not all(map(_has_version, installed)),
    }
    return next((text for text, is_wrong in wrong.items() if is_wrong), "")


def _has_version(requirement: str) -> bool:
    """Return whether a requirement of npm or pip has a version, exact or bounded."""
    return "@" in requirement[1:] or any(sign in requirement for sign in ("==", "<"))


def read_entries(names: list[str]) -> list[Entry]:
    """Return the entries with these names, or all of them.

    Raises:
        ValueError: there is no such entry, or a file is wrong.
    """
    paths = {path.stem: path for path in sorted(APPS.glob("*.toml"))}
    if unknown := [name for name in names if name not in paths]:
        raise ValueError(f"there is no {', '.join(unknown)}: choose from {', '.join(paths)}")
    return [read_entry(path) for stem, path in paths.items() if not names or stem in names]


def cases_of(entries: list[Entry]) -> list[Case]:
    """Return the cases of entries: the faulty version, where there is one, and the healthy one."""
    return [Case(entry, kind) for entry in entries for kind in ([True, False] if entry.faulty else [False])]
