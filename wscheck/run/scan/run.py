"""Run of `wscheck scan`: the source files of a folder, the facts about them, and the report."""

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from wscheck.config.loading import Config
from wscheck.detect.allowed_findings import allow_notes
from wscheck.detect.code import source_tree
from wscheck.detect.code.cleanup_patches import Edit, patched
from wscheck.detect.code.packages import Package, parse_manifest
from wscheck.detect.code.server_rendering import ServerOpenings
from wscheck.detect.code.source_tree import FileFacts, Use
from wscheck.detect.code.syntax import SUFFIXES, TooComplex, limited, parse_source
from wscheck.detect.code.url_values import ModuleConstants, ModuleIndex, module_constants, references
from wscheck.detect.rules import ranked
from wscheck.detect.verdict import first_message, verdict
from wscheck.model.code_facts import OpeningCall
from wscheck.model.errors import UsageError
from wscheck.model.findings import Bar, Finding
from wscheck.model.gaps import Gap, NotTried
from wscheck.model.report import ScanReport, Scope
from wscheck.observe.utf_16 import utf_16_name

MAX_FILE_BYTES = 1 << 18
"""Larger files are bundles, which nobody wrote by hand."""

MAX_FILES = 200_000
MAX_MODULES = 2_000
"""Largest number of files that are read for the URLs that they define."""

SCOPE = Scope(
    checked="the source code",
    not_checked="which components are mounted at the same time",
    closes_with="wscheck browser URL",
)

LONGEST_LINE = 5_000
"""A file with a longer line is minified."""

IGNORED_FOLDERS = frozenset(
    {"node_modules", "bower_components", "dist", "build", "out", "vendor", "coverage", "public/build", "target"}
)
_TEST = re.compile(
    r"(?:^|/)(?:__tests__|__mocks__|tests?|e2e|cypress|playwright)/|\.(?:test|spec|stories|cy|e2e)\.\w+$|\.d\.\w+$"
)
_MINIFIED = re.compile(r"[.-]min\.\w+$")


MAX_FILE_SECONDS = 10.0
"""Longest time of the processor in which a file is read. The time grows faster than the size of the file, and code that
people write takes a fraction of a second.
"""

QUICK_SECONDS, SPARE_SECONDS = 1.0, 60.0
"""Time of the processor that each file may take, and the time beyond it that all files share. Without this limit,
thousands of generated files would take 10 s each.
"""


ReportProgress = Callable[[str, int, int], None]
"""Function that is called with the path of the next file, the number of files that were read, and of all files."""


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Plan of a scan: the folder or file to scan, and the criteria that fail the run.

    allow_empty  source code that opens no connection passes; otherwise it is inconclusive
    within       folders outside of which no file is read, also not through a link; empty for no limit
    """

    root: Path
    bar: Bar = msgspec.field(default_factory=Bar)
    allow_empty: bool = False
    within: tuple[Path, ...] = ()


def plan_scan(config: Config, root: Path, *, allow_empty: bool = False) -> ScanPlan:
    """Return the plan of a scan.

    Raises:
        UsageError: `root` does not exist.
    """
    if not root.exists():
        raise UsageError(f"{root} does not exist.", "Name the folder of the frontend's source code: wscheck scan src.")
    return ScanPlan(root=root, bar=config.bar, allow_empty=allow_empty)


def run_scan(plan: ScanPlan, progress: ReportProgress = lambda path, done, total: None) -> ScanReport:
    """Read the source files and evaluate the places that open connections. An error of `progress` ends the scan."""
    started_at, begin = time.time(), time.perf_counter()
    sources = SourceFiles(plan.root, plan.within)
    facts, too_complex, spare = list[FileFacts](), list[str](), SPARE_SECONDS
    for number, (path, content) in enumerate(sources.read()):
        progress(path, number, sources.files)
        if source_tree.may_have_facts(content):
            budget = _Budget(min(MAX_FILE_SECONDS, QUICK_SECONDS + spare))
            try:
                with limited(budget):
                    facts.append(source_tree.file_facts(path, content, sources.find_package(path)))
            except TooComplex:
                too_complex.append(path)
            spare = max(0.0, spare - max(0.0, budget.used() - QUICK_SECONDS))
    groups = source_tree.shared_urls(facts, _Constants(sources, facts).find_module)
    uses = _uses(sources, facts, groups)
    findings = ranked(source_tree.findings_in(facts, uses, _on_server(sources, facts), groups))
    openings = [call for file in facts for call in file.openings]
    gaps = [
        *_gaps(sources, facts, plan),
        *(Gap(id="file-too-complex", reason=f"{path} is too complex to be read") for path in too_complex),
    ]
    decision = verdict(findings, gaps, plan.bar, describe=first_message)
    return ScanReport(
        schema="wscheck.scan/1",
        target=str(plan.root),
        verdict=decision.verdict,
        reason=decision.reason,
        started_at=started_at,
        duration_s=round(time.perf_counter() - begin, 3),
        options=plan.bar.to_dict(),
        findings=list(decision.findings),
        allowed=list(decision.allowed),
        allow_notes=allow_notes(findings, plan.bar.allow),
        gaps=gaps,
        scope=SCOPE,
        files=sources.files,
        openings=openings,
    )


class _Budget:
    """Limit of the CPU time for reading one file: a callable that returns True once the time is used up."""

    def __init__(self, seconds: float) -> None:
        self._begin = time.process_time()
        self._end = self._begin + seconds

    def used(self) -> float:
        """Return the CPU time since the start of the file, in seconds."""
        return time.process_time() - self._begin

    def __call__(self) -> bool:
        return time.process_time() > self._end


class Change(NamedTuple):
    """Change of one file that adds the cleanups whose absence the findings report.

    path    path of the file, as reports show it
    fixed   number of effects to which the change adds a cleanup
    """

    path: str
    before: bytes
    after: bytes
    fixed: int


def proposed_changes(plan: ScanPlan, report: ScanReport) -> Iterator[Change]:
    """Yield one change per file that removes the findings of a report, except the findings that the user allows."""
    sources = SourceFiles(plan.root, plan.within)
    allowed = {_identity(finding) for finding in report.allowed}
    for path in dict.fromkeys(finding.patch.file for finding in report.findings if finding.patch is not None):
        before = sources.read_original(path)
        if before is not None:
            after, fixed = _without_faults(path, before, sources.find_package(path), allowed)
            if fixed:
                yield Change(path, before, after, fixed)


def _without_faults(
    path: str, content: bytes, package: Package, allowed: set[tuple[str, str, str | None]]
) -> tuple[bytes, int]:
    """Return the content of a file without the faults that can be patched, and the number of patches applied.

    Each patch is computed from the content after the previous patch. Findings in `allowed` are not patched.
    """
    fixed = 0
    for _ in range(source_tree.MAX_CALLS):
        findings = source_tree.findings_in([source_tree.file_facts(path, content, package)])
        # A connection that is closed hides its listeners, so they come first.
        findings.sort(key=lambda finding: finding.rule != "listener-not-removed")
        patches = [finding.patch for finding in findings if _identity(finding) not in allowed]
        patch = next((each for each in patches if each is not None), None)
        if patch is None:
            break
        content = patched(content, [Edit(each.start, each.end, each.text) for each in patch.replacements])
        fixed += 1
    return content, fixed


def _identity(finding: Finding) -> tuple[str, str, str | None]:
    """Return those properties of a finding that stay the same while other lines of its file change."""
    (place, *_) = finding.locations
    return finding.rule, place.file, place.function


def write_change(plan: ScanPlan, change: Change) -> None:
    """Write a changed file in place of the old one, with its permissions.

    Raises:
        UsageError: The file has changed since the scan, is outside of the scanned folder, or cannot be written.
    """
    path = Path(change.path).resolve()
    root = (plan.root if plan.root.is_dir() else plan.root.parent).resolve()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if not path.is_relative_to(root) or path.read_bytes() != change.before or not os.access(path, os.W_OK):
            raise UsageError(f"{change.path} is read-only, outside of {root}, or has changed since the scan.", _AGAIN)
        partial.write_bytes(change.after)
        shutil.copymode(path, partial)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{change.path} could not be written: {error.strerror}.", _AGAIN) from error
    finally:
        partial.unlink(missing_ok=True)


_AGAIN = "Other files may be changed already. Make the file writable, and scan again."


class _Constants:
    """Constants of the modules from which files import URLs. A file is read once at most."""

    def __init__(self, sources: "SourceFiles", facts: list[FileFacts]) -> None:
        self._sources = sources
        self._index = ModuleIndex(sources.paths()) if any(_refers(file) for file in facts) else None
        self._read: dict[str, ModuleConstants] = {}

    def find_module(self, file: str, module: str) -> ModuleConstants | None:
        """Return the constants of the module that `file` imports, None if it is not one of the source files."""
        path = self._index.find(file, module) if self._index is not None else None
        if path is None or len(self._read) > MAX_MODULES:
            return None
        if path not in self._read:
            content = self._sources.read_content(path) or b""
            self._read[path] = module_constants(parse_source(path, content))
        return self._read[path]


def _refers(file: FileFacts) -> bool:
    return any(next(references(url), None) is not None for url in file.urls if url is not None)


def _uses(sources: "SourceFiles", facts: list[FileFacts], groups: list[list[OpeningCall]]) -> list[Use]:
    """Return the places in the source files that use a function in which a connection is opened.

    Only two kinds of functions are searched for: those that open another connection at each use, and those that open
    the same URL as another call (`groups`). If there is no such function, no file is read.
    """
    calls = [*(call for group in groups for call in group), *(call for file in facts for call in file.repeated)]
    names = frozenset(call.owner for call in calls if call.owner)
    if not names:
        return []
    encoded = {name.encode() for name in names}
    default_exports = {file.path: file.default_export for file in facts if file.default_export in names}
    modules = [_module_name(path).encode() for path in default_exports]
    return [
        use
        for path, content in sources.read()
        if not encoded.isdisjoint(_WORD.findall(content)) or any(module in content for module in modules)
        for use in source_tree.find_uses(names, path, content, default_exports)
    ]


def _module_name(path: str) -> str:
    """Return the last part of the name by which other files import a file."""
    file = PurePosixPath(path)
    return file.parent.name if file.stem == "index" else file.stem


_WORD = re.compile(rb"[A-Za-z_$][\w$]*")


def _on_server(sources: "SourceFiles", facts: list[FileFacts]) -> list[OpeningCall]:
    """Return the calls that open a connection on the web server too, when it renders a page.

    The other source files are read only if the code around a call permits that a server runs it.
    """
    candidates = [(call, file.package.folder) for file in facts for call in file.on_server]
    openings = ServerOpenings(call for call, _ in candidates)
    if candidates:
        for path, content in sources.read():
            openings.read(sources.find_package(path).folder, content)
    return list(openings.certain([folder for _, folder in candidates]))


def _gaps(sources: "SourceFiles", facts: list[FileFacts], plan: ScanPlan) -> Iterator[Gap]:
    if not any(file.openings for file in facts):
        permitted = plan.allow_empty and not sources.unreadable
        none = (
            f"{_files(sources.skipped)} left out"
            if sources.skipped
            else "there is no JavaScript or TypeScript to scan here"
        )
        where = _files(sources.files) if sources.files else f"0 files: {none}"
        yield Gap(
            id="no-opening-call",
            reason=f"no call that opens a connection was found in {where}",
            closes_with="" if permitted else "wscheck scan DIR",
            blocks=not permitted,
        )
    for file in facts:
        if file.unchecked:
            yield Gap(
                id="file-too-complex",
                reason=f"{file.path} opens connections in too many places: {file.unchecked:,} were not checked",
            )
    if sources.unreadable:
        yield Gap(id="files-unread", reason=f"{_files(sources.unreadable)} could not be read")
    if sources.unread_folders:
        yield Gap(id="files-unread", reason=f"{_folders(sources.unread_folders)} could not be read")
    if sources.skipped:
        yield NotTried(
            id="files-left-out",
            reason=f"not checked: {_files(sources.skipped)} (tests, type declarations, minified or large files)",
            blocks=False,
        )


def _folders(count: int) -> str:
    return "1 folder" if count == 1 else f"{count:,} folders"


def _files(count: int) -> str:
    return "1 source file" if count == 1 else f"{count:,} source files"


class SourceFiles:
    """Source files below a folder, without those that Git ignores.

    files       number of source files
    skipped     number of tests, type declarations, minified and large files
    unreadable  number of files that could not be read
    unread_folders  number of folders that could not be read
    """

    def __init__(self, root: Path, within: Sequence[Path] = ()) -> None:
        self._within = [folder.resolve() for folder in within]
        self._root = root if root.is_dir() else root.parent
        is_inside = self._root.is_absolute() and self._root.is_relative_to(Path.cwd())
        self._prefix = (self._root.relative_to(Path.cwd()) if is_inside else self._root).as_posix()
        listed, self.unread_folders = _listed(root) if root.is_dir() else ([root.name], 0)
        sources = [path for path in listed if PurePosixPath(path).suffix.lower() in SUFFIXES][:MAX_FILES]
        sources = [path for path in sources if _is_file_or_broken_link(self._root / path)]
        self._paths = [path for path in sources if root.is_file() or not _is_excluded(path)]
        self.files, self.skipped, self.unreadable = len(self._paths), len(sources) - len(self._paths), 0
        self._readable: list[str] | None = None
        manifests = [path for path in listed if PurePosixPath(path).name == "package.json"]
        self._manifests = {str(PurePosixPath(self._shown(path)).parent): path for path in manifests}
        self._packages: dict[str, Package] = {}

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each file, in the order of the paths. The first call counts the skipped files."""
        first, readable = self._readable is None, []
        for path in self._paths if self._readable is None else self._readable:
            content = self._content(path)
            if content is None:
                self.unreadable += first
            elif len(content) > MAX_FILE_BYTES or _is_minified(content):
                self.skipped += first
                self.files -= first
            else:
                readable.append(path)
                yield self._shown(path), content
        self._readable = readable

    def _shown(self, path: str) -> str:
        """Return the path as reports show it: relative to the working folder, so that CI finds the file."""
        return path if self._prefix == "." else f"{self._prefix}/{path}"

    def paths(self) -> list[str]:
        """Return the paths of all source files, as reports show them."""
        return [self._shown(path) for path in self._paths]

    def find_package(self, shown: str) -> Package:
        """Return the npm package of a file: the package.json in the nearest folder above the file."""
        folder = next((str(each) for each in PurePosixPath(shown).parents if str(each) in self._manifests), "")
        if folder and folder not in self._packages:
            self._packages[folder] = parse_manifest(folder, self._content(self._manifests[folder]) or b"")
        return self._packages.get(folder, Package())

    def read_content(self, shown: str) -> bytes | None:
        """Return the content of a file by the path that reports show, None if it cannot be read."""
        return self._content(str(Path(shown).absolute()))

    def read_original(self, shown: str) -> bytes | None:
        """Return the bytes of a file in which text can be replaced, None if it is in UTF-16 or cannot be read."""
        content = self._bytes(str(Path(shown).absolute()))
        return None if content is None or utf_16_name(content) is not None else content

    def _content(self, path: str) -> bytes | None:
        content = self._bytes(path)
        if content is not None and (encoding := utf_16_name(content)) is not None:
            return content.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
        return content

    def _bytes(self, path: str) -> bytes | None:
        try:
            if self._within and not any(map((self._root / path).resolve().is_relative_to, self._within)):
                return None
            # A pipe that got the name of a file meanwhile must not stop the scan.
            with os.fdopen(os.open(self._root / path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                return file.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except (OSError, RuntimeError):  # RuntimeError: a loop of links
            return None


def _is_file_or_broken_link(path: Path) -> bool:
    """Return whether `path` is a regular file or a broken link.

    Return False for pipes and devices, and for a file that Git still lists although it was deleted.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return os.path.lexists(path)


def _is_excluded(path: str) -> bool:
    return _TEST.search(path) is not None or _MINIFIED.search(path) is not None


def _is_minified(content: bytes) -> bool:
    return len(content) > LONGEST_LINE and max(map(len, content.split(b"\n"))) > LONGEST_LINE


def _listed(root: Path) -> tuple[list[str], int]:
    """Return the relative paths of the files below `root`, sorted, without those that Git ignores.

    The second value is the number of folders that could not be read.
    """
    try:
        # The configuration of a repository can name a program that Git runs to find changed files.
        git = ["git", "-C", str(root), "-c", "core.fsmonitor=false"]
        command = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
        listed = ran.stdout.decode("utf-8", "surrogateescape").split("\0") if ran.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired):
        listed = None
    unread = 0
    if listed is None or not any(listed):
        listed, unread = _walk(root)
    return sorted(path for path in dict.fromkeys(listed) if path and not _is_in_ignored_folder(path)), unread


def _is_in_ignored_folder(path: str) -> bool:
    return not IGNORED_FOLDERS.isdisjoint(PurePosixPath(path).parts[:-1])


def _walk(root: Path) -> tuple[list[str], int]:
    """Return the relative paths of the files below `root`, and the number of folders that could not be read.

    This function does not use `os.walk`, which exceeds the limit of recursion in deeply nested folders.
    """
    found, unread, waiting = list[str](), 0, [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        found.append(folder + entry.name)
                    elif entry.name not in IGNORED_FOLDERS and not entry.name.startswith("."):
                        waiting.append(f"{folder}{entry.name}/")
        except OSError:
            unread += 1
    return found, unread
