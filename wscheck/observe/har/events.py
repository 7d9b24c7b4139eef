"""What a HAR tells, in the order of its time: its entries as requests and frames, fed to Traffic."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from wscheck.model.events import SOURCE_HAR, Event, NotEvaluated, PhaseEnded, Unreadable
from wscheck.model.report import PageSummary
from wscheck.observe.browser.opener import DevToolsStack, resolve
from wscheck.observe.browser.reconnects import attribute_reconnects
from wscheck.observe.har.har_file import HarEntry, HarFile, load
from wscheck.observe.har.scripts import HarScripts
from wscheck.observe.traffic import ConnectionOrigin, EngineSession, IdentityRule, Initiator, TrafficDemux

CLOSING_S = 0.0005
"""DevTools says when a websocket last did something. Later than its last frame by this much: it closed then."""

_OPEN = re.compile(r'^0\{.*?"sid"\s*:\s*"([^"]+)"')
_SID = re.compile(r"[?&]sid=([^&#]+)")

NO_OPENERS = (
    "A HAR by Playwright does not say which code opened a connection, nor when a websocket closed without saying so."
    " `wscheck browser --cdp URL -- npx playwright test` sees both."
)
NO_MESSAGES = "it names Socket.IO websockets and holds none of their messages"
NO_BODIES = "it holds no response bodies, so long polling cannot be read"


class HarContents(msgspec.Struct):
    """What the files told. `notes`: what could not be seen as well as it should, in sentences."""

    events: list[Event]
    pages: list[PageSummary]
    notes: list[str]


Step = tuple[float, int, Callable[[], Any]]


def read(
    paths: Sequence[Path], identity: IdentityRule | None = None, folders: Sequence[Path] = (), root: str = ""
) -> HarContents:
    """Reads HAR files of one application as if one browser had been watched. `folders` hold source maps; `root` is
    where in the checkout the frontend lies.

    Raises BadEvidence for a file that is missing, cut short or no HAR.
    """
    traffic = TrafficDemux(identity, source=SOURCE_HAR)
    bundles = HarScripts(traffic.addresses, folders, root)
    files = [_File(load(path), traffic, bundles, number) for number, path in enumerate(paths)]
    tabs = 0
    for file in files:
        tabs = file.label(tabs)
    steps = sorted((step for file in files for step in file.steps()), key=lambda step: step[:2])
    for _, _, act in steps:
        act()
    events = _events(traffic, bundles, files)
    return HarContents(events, _pages(files, traffic), [*_notes(files, bundles), *filter(None, [traffic.note])])


def _events(traffic: TrafficDemux, bundles: HarScripts, files: Sequence["_File"]) -> list[Event]:
    traffic.settle()
    found = {id(session): _whence(session, bundles) for session in traffic.sessions}
    whence = attribute_reconnects(traffic.sessions, found, ())
    events: list[Event] = traffic.events(lambda session: whence[id(session)])
    last = events[-1].at if events else None
    doubts = [event for file in files for event in file.doubts(last)]
    ended = [PhaseEnded(at=max(file.ended for file in files), source=SOURCE_HAR)] if events else []
    return [*events, *doubts, *ended]


def _whence(session: EngineSession, bundles: HarScripts) -> ConnectionOrigin:
    stack = session.origin.stack
    return resolve(stack, bundles) if isinstance(stack, DevToolsStack) else ConnectionOrigin()


def _pages(files: Sequence["_File"], traffic: TrafficDemux) -> list[PageSummary]:
    return [
        PageSummary(url=traffic.addresses.page(url), title="" if "://" in title else traffic.hiding.clean(title))
        for file in files
        for url, title in file.pages()
    ]


def _notes(files: Sequence["_File"], bundles: HarScripts) -> list[str]:
    notes = [f"{file.broken} of {file.archive.path} cannot be read." for file in files if file.broken]
    if any(file.archive.playwright for file in files):
        notes.append(NO_OPENERS)
    return [*notes, *bundles.notes.values()]


class _File:
    """One HAR: its entries as steps in time. Keys carry its number, so that files do not mix."""

    def __init__(self, archive: HarFile, traffic: TrafficDemux, bundles: HarScripts, number: int) -> None:
        self.archive, self._traffic, self._number = archive, traffic, number
        self._engine = [entry for entry in archive.entries if "EIO=" in entry.request.url]
        self._documents = [entry for entry in archive.entries if entry.kind == "document"]
        self._tabs: dict[str, str] = {}
        for entry in archive.entries:
            if (entry.kind == "script" or ".map" in entry.request.url) and (text := archive.body(entry)):
                bundles.served(entry.request.url, text)

    @property
    def broken(self) -> str:
        """How many entries could not be read, empty when all could."""
        count = self.archive.broken
        return f"{count} {'entry' if count == 1 else 'entries'}" if count else ""

    @property
    def ended(self) -> float:
        """When the last that it tells of happened, Socket.IO's or not; 0 when it tells of nothing."""
        frames = (message.at for entry in self._engine for message in entry.messages or ())
        return max((*(max(entry.at, entry.ended) for entry in self.archive.entries), *frames), default=0.0)

    def label(self, before: int) -> int:
        """Numbers the tabs from `before`; returns how many there are then. DevTools records one tab, in which each
        navigation is a page; Playwright one page for each tab."""
        pages = dict.fromkeys(entry.pageref for entry in (*self._documents, *self._engine))
        for count, page in enumerate(pages if self.archive.playwright else [""], start=before + 1):
            self._tabs[page] = f"tab {count}"
        return before + len(self._tabs)

    def pages(self) -> Iterator[tuple[str, str]]:
        """(address, title) of every page that was shown."""
        for entry in self._documents:
            if entry.frame is None or entry.frame == self._main(entry.pageref):
                yield entry.request.url, self.archive.titles.get(entry.pageref, "")

    def steps(self) -> Iterator[Step]:
        answered = dict(self._handshakes())
        for number, entry in enumerate(self._engine):
            sid = _SID.search(entry.request.url)
            at = max(entry.at, answered.get(sid[1], 0.0)) if sid else entry.at
            key = f"{self._number}.{number}"
            yield from self._websocket(entry, key, at) if entry.websocket else self._poll(entry, key, at)
        for entry in filter(_shows, self._documents):
            for holder in self._left(entry):
                yield entry.ended, 3, partial(self._traffic.gone, holder, entry.ended)

    def doubts(self, at: float | None) -> Iterator[Event]:
        """What keeps this file from proving anything."""
        path = str(self.archive.path)
        sockets = [entry for entry in self._engine if entry.websocket and entry.response.status == 101]
        polls = [entry for entry in self._engine if not entry.websocket and entry.response.status == 200]
        if sockets and not any(entry.messages for entry in sockets):
            yield NotEvaluated(at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {NO_MESSAGES}")
        if polls and not any(self.archive.body(entry) for entry in polls):
            yield NotEvaluated(at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {NO_BODIES}")
        if self.broken:
            yield Unreadable(at=at, source=SOURCE_HAR, path=path, reason=f"{self.broken} cannot be read")

    # --- one entry ----------------------------------------------------------------------------------------------

    def _poll(self, entry: HarEntry, key: str, at: float) -> Iterator[Step]:
        body = entry.request.post_data.text if entry.request.post_data is not None else None
        origin, headers, url, status = self._origin(entry), _headers(entry), entry.request.url, entry.response.status
        traffic = self._traffic
        yield at, 1, lambda: traffic.requested(key, url, at, origin=origin, headers=headers, body=body)
        ended = max(entry.ended, at)
        if status > 0:
            yield ended, 0, lambda: traffic.answered(key, ended, status=status, body=self.archive.body(entry))
        elif entry.response.error:
            aborted = "ABORTED" in entry.response.error
            yield ended, 0, lambda: traffic.failed(key, ended, cancelled=aborted)

    def _websocket(self, entry: HarEntry, key: str, at: float) -> Iterator[Step]:
        origin, headers, url, status = self._origin(entry), _headers(entry), entry.request.url, entry.response.status
        traffic, frames = self._traffic, sorted(entry.messages or (), key=lambda message: message.at)
        at = min(at, frames[0].at) if frames else at
        yield at, 1, lambda: traffic.socket_opened(key, url, at, origin=origin, headers=headers)
        if status >= 400:
            refused = max(entry.ended, at)
            yield refused, 2, lambda: traffic.socket_refused(key, refused, status=status)
        for frame in frames:
            outgoing = frame.type == "send"
            yield frame.at, 2, partial(traffic.frame, key, frame.at, frame.content(), outgoing=outgoing)
        if (closed := self._closed(entry, frames[-1].at if frames else at)) is not None:
            yield closed, 3, lambda: traffic.socket_closed(key, closed)

    def _closed(self, entry: HarEntry, last: float) -> float | None:
        """When a websocket closed, None while it is open or nobody knows."""
        if entry.response.status != 101:
            return max(entry.ended, last)
        if self.archive.playwright or entry.messages is None:
            return None
        return entry.ended if entry.messages and entry.ended > last + CLOSING_S else None

    # --- who held it --------------------------------------------------------------------------------------------

    def _origin(self, entry: HarEntry) -> Initiator:
        raw = entry.initiator.get("stack") if isinstance(entry.initiator, dict) else None
        stack = DevToolsStack("", raw) if isinstance(raw, dict) and _is_stack(raw) else None
        page = self._tabs.get(entry.pageref) or self._tabs.get("", "")
        return Initiator(id=self._holder(entry), page=page, target=f"page {self._address(entry)}", stack=stack)

    def _holder(self, entry: HarEntry) -> str:
        return f"{self._number} {entry.frame or entry.pageref}"

    def _address(self, entry: HarEntry) -> str:
        """The page that sent `entry`: the last document of its page before it."""
        shown = [each for each in self._documents if each.pageref == entry.pageref and each.at <= entry.at]
        return self._traffic.addresses.page(shown[-1].request.url) if shown else ""

    def _main(self, pageref: str) -> str | None:
        return next((each.frame for each in self._documents if each.pageref == pageref), None)

    def _left(self, entry: HarEntry) -> list[str]:
        """Whom a document's arrival ends: what its frame showed before, or the tab's page before it."""
        if entry.frame is not None:
            return [self._holder(entry)]
        refs = dict.fromkeys(each.pageref for each in self._documents if each.at < entry.at)
        return [f"{self._number} {ref}" for ref in refs if ref != entry.pageref]

    def _handshakes(self) -> Iterator[tuple[str, float]]:
        """(sid, when it was known): milliseconds are too coarse to tell what came before what."""
        for entry in self._engine:
            if not entry.websocket and (opened := _OPEN.match(self.archive.body(entry) or "")):
                yield opened[1], entry.ended


def _headers(entry: HarEntry) -> dict[str, str]:
    return {header.name: header.value for header in entry.request.headers}


def _shows(document: HarEntry) -> bool:
    """Whether what came replaces what was shown: a redirect and a download do not."""
    status = document.response.status
    return status >= 200 and status not in (204, 205) and not 300 <= status < 304


def _is_stack(raw: Any) -> bool:
    """Whether it has the form of CDP's, each frame a script, a line and a column."""
    while isinstance(raw, dict):
        frames = raw.get("callFrames")
        if not isinstance(frames, list) or not all(_is_frame(frame) for frame in frames):
            return False
        if raw.get("parent") is None:
            return True
        raw = raw["parent"]
    return False


def _is_frame(frame: Any) -> bool:
    return (
        isinstance(frame, dict)
        and isinstance(frame.get("scriptId"), str)
        and all(isinstance(frame.get(name), int) for name in ("lineNumber", "columnNumber"))
    )
