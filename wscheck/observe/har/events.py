"""Events from HAR files: their entries as requests and frames, in the order of time, fed to `TrafficDemux`.

The scripts and source maps of the files name the lines that opened the connections.
"""

import binascii
import glob
import re
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from wscheck.detect import stack_frames
from wscheck.model.events import SOURCE_HAR, CodeLocation, Event, NotEvaluated, PhaseEnded, Unreadable
from wscheck.model.report import PageSummary
from wscheck.observe.browser.opener import (
    DevToolsStack,
    OpenerCodeReader,
    attribute_packages,
    attribute_reconnects,
)
from wscheck.observe.browser.source_map import (
    MAX_MAP_BYTES,
    InvalidSourceMap,
    SourceMap,
    decode_data_uri,
    mapped_source,
    module_name,
    read_inside,
    relative_to_vite_root,
    vite_base,
)
from wscheck.observe.har.har_file import HarEntry, HarFile, HarRequest, HarResponse, load_har_file
from wscheck.observe.traffic import (
    ConnectionOrigin,
    IdentityRule,
    Initiator,
    TrafficDemux,
    TrafficRedactor,
    TrafficSession,
    UrlFormatter,
)
from wscheck.protocols.event_stream import encode_event

CLOSE_DELAY_S = 0.0005
"""Seconds. In a HAR file by DevTools, a websocket has closed if it ends later than its last frame by more than this."""

# In Engine.IO 3, the length of the packet precedes it.
_HANDSHAKE = re.compile(r'^(?:\d+:|[\0\1][\0-\x09]+\xff)?0\{.*?"sid"\s*:\s*"([^"]+)"')
_SOURCE_MAP_COMMENT = "sourceMappingURL="
_SID_PARAMETER = re.compile(r"[?&]sid=([^&#]+)")

NO_OPENERS = (
    "A HAR file by Playwright contains neither the code that opened a connection nor the end of a websocket that was "
    "cut. `wscheck browser --cdp URL -- npx playwright test` observes both."
)
UNSEEN_S = 0.25
"""Seconds. A websocket was open beside the next one if it has a message that is later than its opening by this much."""

NO_ENDS = (
    "it does not show when a connection ended, so that it is unknown whether an earlier one was still open when the "
    "page opened the next one"
)
NO_MESSAGES = "it lists Socket.IO websockets without their messages"
NO_BODIES = "it contains no response bodies, so long polling cannot be read"

# Order of steps with the same time: responses, then requests, then frames, then ends.
_RESPONSE, _REQUEST, _FRAME, _END = range(4)

TrafficStep = tuple[float, int, Callable[[], Any]]
"""Tuple of time, rank among the steps of the same time, and a function that calls TrafficDemux."""


class HarContents(msgspec.Struct):
    """Events and pages of HAR files.

    notes     sentences for the report about what was read only in part
    redactor  knows the secrets of the traffic
    cookies   values of all cookies in the files
    """

    events: list[Event]
    pages: list[PageSummary]
    notes: list[str]
    redactor: TrafficRedactor
    cookies: frozenset[str]


class HarScripts:
    """Scripts of a HAR file, and a resolver of positions in these scripts.

    source_map_dirs  folders that contain .map files
    root             folder of the frontend within the repository, empty if it is the repository's root
    notes            dict of script URL to a sentence with the reason why its positions are not mapped
    """

    def __init__(self, urls: UrlFormatter, source_map_dirs: Sequence[Path], root: str) -> None:
        self._urls, self._source_map_dirs, self._root = urls, source_map_dirs, root
        self._map_url_by_script: dict[str, str] = {}
        self._map_texts: dict[str, str] = {}
        self._maps: dict[str, SourceMap | None] = {}
        self._vite_bases: set[str] = set()
        self.notes: dict[str, str] = {}

    def add(self, url: str, text: str) -> None:
        """Add a script or a source map that the HAR file contains."""
        if urlsplit(url).path.endswith(".map"):
            self._map_texts[url.partition("?")[0]] = text
            return
        if (base := vite_base(url)) is not None:
            self._vite_bases.add(base)
        comment_at = text.rfind(_SOURCE_MAP_COMMENT)
        if comment_at >= 0:
            self._map_url_by_script[url] = text[comment_at + len(_SOURCE_MAP_COMMENT) :].split(None, 1)[0]

    def resolve_frame(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Return the source position of a DevTools call frame, and the original name of the function called there.

        Without a source map, the position is that in the bundle.
        """
        url, line, column = str(frame.get("url", "")), frame.get("lineNumber", 0), frame.get("columnNumber", 0)
        function = str(frame.get("functionName", ""))
        if url not in self._maps:
            self._maps[url] = self._load_map(url)
        source_map = self._maps[url]
        mapped = source_map.find(line, column) if source_map is not None else None
        if mapped is None and source_map is not None and not module_name(url):
            return CodeLocation(stack_frames.UNMAPPED, line + 1, column + 1, function), ""
        if mapped is None:
            return CodeLocation(module_name(url) or self._display_url(url), line + 1, column + 1, function), ""
        place, called_name = mapped
        named = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(named, self._root), called_name

    def position_in_bundle(self, session: str, frame: dict[str, Any]) -> CodeLocation:
        """Return the position of a DevTools call frame in its script, and store a note that it is not in a source file.

        Use this for a frame whose position the script's source map does not contain.
        """
        url, line, column = str(frame.get("url", "")), frame.get("lineNumber", 0), frame.get("columnNumber", 0)
        shown = self._display_url(url)
        note = f"Positions in {shown} are those of the bundle: its source map does not contain them."
        self.notes.setdefault(url, note)
        return CodeLocation(shown, line + 1, column + 1, str(frame.get("functionName", "")))

    def run_number(self, session: str, script_id: str) -> int:
        """Return 0 (unknown): a HAR file does not show how often a script ran."""
        return 0

    def source_at(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, bytes] | None:
        """Return the position of a DevTools call frame in its source file, and the text of this file.

        Return None if the text is not available.
        """
        source_map = self._maps.get(str(frame.get("url", "")))
        if source_map is None:
            return None
        mapped = source_map.find(frame.get("lineNumber", 0), frame.get("columnNumber", 0))
        return mapped_source(source_map, mapped[0], self._root) if mapped is not None else None

    def script_url(self, session: str, script_id: str, url: str) -> str:
        """Return `url` as reports show it: without user and password, its query replaced by a hash."""
        return self._urls.script(url)

    def _display_url(self, url: str) -> str:
        return self._urls.script(url).partition("?")[0]

    def _load_map(self, url: str) -> SourceMap | None:
        """Return the source map of a script, or store a note and return None if it is missing or invalid."""
        try:
            text = self._map_text(url)
            if text is not None:
                return SourceMap(text, relative_to_vite_root(url, self._vite_bases))
            reason = "the HAR does not contain its source map (name the build's folder: --source-maps DIR)"
        except (InvalidSourceMap, OSError, ValueError, binascii.Error) as problem:
            reason = f"its source map cannot be read: {problem}"
        if not stack_frames.is_library_frame(CodeLocation(self._display_url(url))):
            self.notes[url] = f"Positions in {self._display_url(url)} are those of the bundle: {reason}."
        return None

    def _map_text(self, url: str) -> bytes | str | None:
        map_url = self._map_url_by_script.get(url, "")
        if map_url.startswith("data:"):
            return decode_data_uri(map_url)
        path = unquote(urlsplit(url).path)
        name = PurePosixPath(unquote(urlsplit(map_url).path)).name or f"{PurePosixPath(path).name}.map"
        in_har = next((text for each, text in self._map_texts.items() if each.endswith(f"/{name}")), None)
        if in_har is not None:
            return in_har
        return self._map_file(PurePosixPath(path).parent, name)

    def _map_file(self, script_folder: PurePosixPath, name: str) -> bytes | None:
        """Return the content of the map file `name` in `source_map_dirs`, None if there is none.

        In each folder, search first at the path of the script's URL, then at the top, then in all subfolders.
        """
        for folder in self._source_map_dirs:
            nested = sorted(str(each.relative_to(folder)) for each in folder.rglob(glob.escape(name))) if name else []
            for file in (str(PurePosixPath(*script_folder.parts[1:], name)), name, *nested):
                if (content := read_inside(folder, file, MAX_MAP_BYTES)) is not None:
                    return content
        return None


PROGRESS_EVERY = 200
"""Number of messages or events after which progress is reported again."""


def read_har_files(
    paths: Sequence[Path],
    identity: IdentityRule | None = None,
    source_map_dirs: Sequence[Path] = (),
    root: str = "",
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> HarContents:
    """Read HAR files of one application, each with its own tabs. An error of `progress` ends the reading.

    source_map_dirs  folders that contain .map files
    root             folder of the frontend within the repository, empty if it is the repository's root

    Raises:
        BadEvidence: A file is missing, truncated or not a HAR file.
    """
    traffic = TrafficDemux(identity, source=SOURCE_HAR)
    scripts = HarScripts(traffic.urls, source_map_dirs, root)
    readers = [_HarReader(load_har_file(path), traffic, scripts, number) for number, path in enumerate(paths)]
    tab_count = document_count = 0
    for reader in readers:
        tab_count = reader.label_tabs(tab_count)
        document_count = reader.number_documents(document_count)
    steps = sorted((step for reader in readers for step in reader.steps()), key=lambda step: step[:2])
    for number, (_, _, call) in enumerate(steps):
        if not number % PROGRESS_EVERY:
            progress(f"{number:,} of {len(steps):,} messages", number, len(steps))
        call()
    code = OpenerCodeReader(scripts, traffic.redactor)
    events = _events(traffic, code, readers)
    notes = [*_notes(readers, scripts), *code.notes, *traffic.notes]
    cookies = frozenset(value for reader in readers for value in _cookies(reader.har))
    return HarContents(events, _pages(readers, traffic), notes, traffic.redactor, cookies)


def _cookies(har: HarFile) -> Iterator[str]:
    """Yield the value of each cookie in the headers of a HAR file."""
    for entry in har.entries:
        for name, value in _headers(entry.request).items():
            if name.lower() == "cookie":
                yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        for name, value in _headers(entry.response).items():
            if name.lower() == "set-cookie":
                yield from (line.partition(";")[0].partition("=")[2].strip() for line in value.splitlines())


def _events(traffic: TrafficDemux, code: OpenerCodeReader, readers: Sequence["_HarReader"]) -> list[Event]:
    traffic.flush()
    resolved = {id(session): _resolve_origin(session, code) for session in traffic.sessions}
    origins = attribute_reconnects(traffic.sessions, resolved, ())
    origins = attribute_packages(traffic.sessions, origins, code)
    events: list[Event] = traffic.events(lambda session: origins[id(session)])
    last_at = events[-1].at if events else None
    gaps = [event for reader in readers for event in reader.gaps(last_at)]
    ended = [PhaseEnded(at=max(reader.ended_at for reader in readers), source=SOURCE_HAR)] if events else []
    return [*events, *gaps, *ended]


def _resolve_origin(session: TrafficSession, code: OpenerCodeReader) -> ConnectionOrigin:
    stack = session.initiator.raw_stack
    if not isinstance(stack, DevToolsStack):
        return ConnectionOrigin()
    return code.resolve_origin(stack)


def _pages(readers: Sequence["_HarReader"], traffic: TrafficDemux) -> list[PageSummary]:
    return [
        PageSummary(url=traffic.urls.page(url), title="" if "://" in title else traffic.redactor.redact(title))
        for reader in readers
        for url, title in reader.pages()
    ]


def _notes(readers: Sequence["_HarReader"], scripts: HarScripts) -> list[str]:
    notes = [f"{each.invalid_entries} of {each.har.path} cannot be read." for each in readers if each.invalid_entries]
    if any(reader.har.by_playwright for reader in readers):
        notes.append(NO_OPENERS)
    return [*notes, *scripts.notes.values()]


class _LoadedDocuments(NamedTuple):
    """Documents of one page or frame: their times, ascending, and their indexes in the list of all documents."""

    times: list[float]
    indexes: list[int]

    def add(self, at: float, index: int) -> None:
        """Append a document that was requested at the time `at`, not before the documents added so far."""
        self.times.append(at)
        self.indexes.append(index)

    def last_before(self, at: float) -> int | None:
        """Return the index of the last document that was requested at or before a time, None if there is none."""
        count = bisect_right(self.times, at)
        return self.indexes[count - 1] if count else None


class _HarReader:
    """Converter of one HAR file to traffic steps (calls of `TrafficDemux` with their times).

    The file's number is part of every key of a request, so that requests of several files stay separate.
    """

    def __init__(self, har: HarFile, traffic: TrafficDemux, scripts: HarScripts, number: int) -> None:
        self.har, self._traffic, self._number = har, traffic, number
        self._entries = [entry for entry in har.entries if self._is_connection(entry)]
        documents = (entry for entry in har.entries if entry.resource_type == "document")
        self._documents = sorted(documents, key=lambda entry: entry.at)
        self._documents_by_target: dict[str, _LoadedDocuments] = {}
        self._documents_by_page: dict[str, _LoadedDocuments] = {}
        for index, document in enumerate(self._documents):
            for known, key in (
                (self._documents_by_target, self._target_id(document)),
                (self._documents_by_page, document.pageref),
            ):
                known.setdefault(key, _LoadedDocuments([], [])).add(document.at, index)
        self._first_document_at = {
            f"{number} {page}": documents.times[0] for page, documents in self._documents_by_page.items()
        }
        self._tab_labels: dict[str, str] = {}
        self._first_document = 1
        self._has_unseen_end = False
        for entry in har.entries:
            is_script = entry.resource_type == "script" or ".map" in entry.request.url
            if is_script and (text := har.body(entry)):
                scripts.add(entry.request.url, text)

    def _is_connection(self, entry: HarEntry) -> bool:
        """Return whether an entry belongs to a connection: a WebSocket, a stream, or a poll."""
        return entry.is_websocket or entry.is_stream or self._traffic.reads_request(entry.request.url)

    @property
    def invalid_entries(self) -> str:
        """Phrase with the number of entries that could not be read, empty if there are none."""
        count = self.har.invalid_entries
        return f"{count} {'entry' if count == 1 else 'entries'}" if count else ""

    @property
    def ended_at(self) -> float:
        """Time of the last activity in the file, 0 if there is none."""
        frames = (frame.at for entry in self._entries for frame in entry.frames or ())
        events = (event.time for entry in self._entries for event in entry.stream_events)
        return max((*(max(entry.at, entry.ended_at) for entry in self.har.entries), *frames, *events), default=0.0)

    def label_tabs(self, count: int) -> int:
        """Number the tabs from `count` + 1; return the number of the last one.

        DevTools records one tab, in which each navigation is a page. Playwright records one page per tab.
        """
        pages = dict.fromkeys(entry.pageref for entry in (*self._documents, *self._entries))
        for number, page in enumerate(pages if self.har.by_playwright else [""], start=count + 1):
            self._tab_labels[page] = f"tab {number}"
        return count + len(self._tab_labels)

    def number_documents(self, count: int) -> int:
        """Number the documents from `count` + 1; return the number of the last one."""
        self._first_document = count + 1
        return count + len(self._documents)

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield URL and title of every page that a main frame showed."""
        for entry in self._documents:
            if entry.frame_id is None or entry.frame_id == self._main_frame_id(entry.pageref):
                yield entry.request.url, self.har.titles.get(entry.pageref, "")

    def steps(self) -> Iterator[TrafficStep]:
        """Yield all traffic steps of the file, in no particular order."""
        handshake_times = dict(self._handshakes())
        for number, entry in enumerate(self._entries):
            sid = _SID_PARAMETER.search(entry.request.url)
            # Times in milliseconds are too coarse to order a request after the handshake that it depends on.
            at = max(entry.at, handshake_times.get(sid[1], 0.0)) if sid else entry.at
            key = f"{self._number}.{number}"
            if entry.is_websocket:
                yield from self._websocket(entry, key, at)
            elif entry.is_stream:
                yield from self._stream(entry, key)
            else:
                yield from self._poll(entry, key, at)
        for entry in filter(_replaces_document, self._documents):
            close = partial(self._traffic.on_targets_closed, self._is_replaced_by(entry), entry.ended_at)
            yield entry.ended_at, _END, close

    def gaps(self, at: float | None) -> Iterator[Event]:
        """Yield an event for each kind of missing or unreadable data: messages, response bodies, and entries."""
        path = str(self.har.path)
        engine = [entry for entry in self._entries if self._traffic.reads_request(entry.request.url)]
        sockets = [entry for entry in engine if entry.is_websocket and entry.response.status == 101]
        polls = [entry for entry in engine if not entry.is_websocket and entry.response.status == 200]
        if sockets and not any(entry.frames for entry in sockets):
            yield NotEvaluated(at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {NO_MESSAGES}")
        if polls and not any(self.har.payload(entry) for entry in polls):
            yield NotEvaluated(at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {NO_BODIES}")
        if self._has_unseen_end:
            yield NotEvaluated(at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {NO_ENDS}")
        for count, what in (
            (self.har.invalid_connections, "entries that may be of connections"),
            (self.har.invalid_messages, "messages of connections"),
        ):
            if count:
                yield NotEvaluated(
                    at=at, source=SOURCE_HAR, path=path, reason=f"{path}: {what} cannot be read ({count})"
                )
        if self.invalid_entries:
            yield Unreadable(at=at, source=SOURCE_HAR, path=path, reason=f"{self.invalid_entries} cannot be read")

    # --- one entry ----------------------------------------------------------------------------------------------

    def _poll(self, entry: HarEntry, key: str, at: float) -> Iterator[TrafficStep]:
        body = entry.request.post_data.text if entry.request.post_data is not None else None
        initiator, headers = self._initiator(entry), _headers(entry.request)
        url, status = entry.request.url, entry.response.status
        traffic = self._traffic
        yield at, _REQUEST, lambda: traffic.on_request(key, url, at, initiator=initiator, headers=headers, body=body)
        ended_at = max(entry.ended_at, at)
        if status > 0:
            yield (
                ended_at,
                _RESPONSE,
                lambda: traffic.on_response(key, ended_at, status=status, body=self.har.payload(entry)),
            )
        elif entry.response.error:
            aborted = "ABORTED" in entry.response.error
            yield ended_at, _RESPONSE, lambda: traffic.on_request_failed(key, ended_at, cancelled=aborted)

    def _websocket(self, entry: HarEntry, key: str, at: float) -> Iterator[TrafficStep]:
        initiator, headers = self._initiator(entry), _headers(entry.request)
        url, status = entry.request.url, entry.response.status
        traffic, frames = self._traffic, sorted(entry.frames or (), key=lambda frame: frame.at)
        at = min(at, frames[0].at) if frames else at
        yield at, _REQUEST, lambda: traffic.on_websocket_created(key, url, at, initiator=initiator, headers=headers)
        if status >= 400:
            refused_at = max(entry.ended_at, at)
            yield refused_at, _FRAME, lambda: traffic.on_refused(key, refused_at, status=status)
        elif status == 101:
            answer, answered_at = _headers(entry.response), frames[0].at if frames else at
            yield answered_at, _FRAME, lambda: traffic.on_accepted(key, answered_at, answer)
        for frame in frames:
            outgoing = frame.type == "send"
            yield frame.at, _FRAME, partial(traffic.on_frame, key, frame.at, frame.content(), outgoing=outgoing)
        last_activity = frames[-1].at if frames else at
        if (closed_at := self._closed_at(entry, last_activity)) is not None:
            yield closed_at, _END, lambda: traffic.on_closed(key, closed_at)
        elif id(entry) in self._perhaps_ended:
            yield last_activity, _END, lambda: self._end_unseen(key, last_activity)

    def _stream(self, entry: HarEntry, key: str) -> Iterator[TrafficStep]:
        """Yield the steps of a stream of server-sent events.

        A HAR file lists the single events with their times only if EventSource read the stream. Otherwise only the
        request, the answer and the end are yielded.
        """
        initiator, headers, at = self._initiator(entry), _headers(entry.request), entry.at
        traffic, url, response = self._traffic, entry.request.url, entry.response
        events = sorted(entry.stream_events, key=lambda event: event.time)
        answered_at = min([max(entry.at, event.time) for event in events[:1]] or [at])
        yield at, _REQUEST, lambda: traffic.on_stream_requested(key, url, at, initiator=initiator, headers=headers)
        if response.status == 200:
            answer, http = _headers(response), response.http_version.lower()
            yield answered_at, _FRAME, lambda: traffic.on_accepted(key, answered_at, answer, http)
        elif response.status > 0:
            yield answered_at, _FRAME, lambda: traffic.on_refused(key, answered_at, status=response.status)
        for event in events:
            text = encode_event(event.name, event.data)
            yield event.time, _FRAME, partial(traffic.on_frame, key, event.time, text, outgoing=False)
        last_at = events[-1].time if events else answered_at
        error = response.error or ""
        if error or (not self.har.by_playwright and entry.ended_at > last_at + CLOSE_DELAY_S):
            ended_at, is_aborted = max(entry.ended_at, last_at), "ABORTED" in error
            reason = "" if is_aborted else error
            yield ended_at, _END, lambda: traffic.on_closed(key, ended_at, error=reason, by_client=is_aborted)
        elif id(entry) in self._perhaps_ended:
            yield last_at, _END, lambda: self._end_unseen(key, last_at)

    def _closed_at(self, entry: HarEntry, last_activity: float) -> float | None:
        """Return the time at which a websocket closed, None if it is open or the time is unknown."""
        if entry.response.status != 101:
            return max(entry.ended_at, last_activity)
        if self.har.by_playwright or entry.frames is None:
            return None
        return entry.ended_at if entry.frames and entry.ended_at > last_activity + CLOSE_DELAY_S else None

    def _end_unseen(self, key: str, at: float) -> None:
        """Count a connection as open only until its last message, unless it has ended before."""
        if self._traffic.is_open(key):
            self._has_unseen_end = True
            self._traffic.on_closed(key, at)

    @cached_property
    def _perhaps_ended(self) -> frozenset[int]:
        """The `id` of each entry of a connection that may have ended when another one of its page was open.

        Playwright records no end of a websocket. A message that it sends or receives later shows that it was open. Of a
        stream, Playwright records that it ended, but not when.
        """
        found = set()
        for entries in self._by_endpoint(lambda entry: entry.is_websocket).values():
            for before, entry in pairwise(entries):
                if max((frame.at for frame in before.frames or ()), default=0) < entry.at + UNSEEN_S:
                    found.add(id(before))
        for entries in self._by_endpoint(lambda entry: entry.is_stream).values():
            found.update(id(entry) for entry in entries if len(entries) > 1 and entry.response.failure)
        return frozenset(found)

    def _by_endpoint(self, is_included: Callable[[HarEntry], bool]) -> dict[Hashable, list[HarEntry]]:
        """Return Playwright's entries of connections that were accepted, by page and endpoint, the oldest first.

        Those of websockets are also by document. Whether a new document ended a stream is unknown too.
        """
        found: dict[Hashable, list[HarEntry]] = {}
        for entry in sorted(self._entries if self.har.by_playwright else (), key=lambda each: each.at):
            says_end = entry.is_websocket and self._traffic.reads_request(entry.request.url)
            if is_included(entry) and not says_end and entry.response.status < 400:
                document = self._document(entry) if entry.is_websocket else None
                key = self._target_id(entry), document, entry.request.url.partition("?")[0]
                found.setdefault(key, []).append(entry)
        return found

    # --- pages --------------------------------------------------------------------------------------------------

    def _initiator(self, entry: HarEntry) -> Initiator:
        raw = entry.initiator.get("stack") if isinstance(entry.initiator, dict) else None
        stack = DevToolsStack("", raw) if isinstance(raw, dict) and _is_devtools_stack(raw) else None
        page = self._tab_labels.get(entry.pageref) or self._tab_labels.get("", "")
        target = f"page {self._page_url(entry)}"
        return Initiator(self._target_id(entry), page, target, self._document(entry), stack)

    def _target_id(self, entry: HarEntry) -> str:
        return f"{self._number} {entry.frame_id or entry.pageref}"

    def _document(self, entry: HarEntry) -> int:
        """Return the number of the last document that the entry's frame or page had loaded, 0 if unknown."""
        documents = self._documents_by_target.get(self._target_id(entry))
        index = documents.last_before(entry.at) if documents else None
        return self._first_document + index if index is not None else 0

    def _page_url(self, entry: HarEntry) -> str:
        """Return the URL of the page that sent `entry`, "" if it is unknown.

        The URL is that of the last document that the page had loaded before `entry`.
        """
        documents = self._documents_by_page.get(entry.pageref)
        index = documents.last_before(entry.at) if documents else None
        return self._traffic.urls.page(self._documents[index].request.url) if index is not None else ""

    def _main_frame_id(self, pageref: str) -> str | None:
        documents = self._documents_by_page.get(pageref)
        return self._documents[documents.indexes[0]].frame_id if documents else None

    def _is_replaced_by(self, entry: HarEntry) -> Callable[[str], bool]:
        """Return a function that tells, for a page's id, if the page is unloaded when the document `entry` loads.

        If the HAR file names the frame, only the previous page of the frame is unloaded. Otherwise, all earlier pages
        are.
        """
        if entry.frame_id is not None:
            return self._target_id(entry).__eq__
        first_at = self._first_document_at
        own = f"{self._number} {entry.pageref}"
        return lambda target_id: target_id != own and first_at.get(target_id, entry.at) < entry.at

    def _handshakes(self) -> Iterator[tuple[str, float]]:
        """Yield (session id, end time of the response) for each handshake by polling."""
        for entry in self._entries:
            body = self.har.payload(entry) if not entry.is_websocket else None
            text = body.decode("latin-1") if isinstance(body, bytes) else body or ""
            if handshake := _HANDSHAKE.match(text):
                yield handshake[1], entry.ended_at


def _headers(message: HarRequest | HarResponse) -> dict[str, str]:
    return {header.name: header.value for header in message.headers}


def _replaces_document(document: HarEntry) -> bool:
    """Return whether the response to a navigation replaces the document.

    A redirect, and a response without content (204, 205), do not replace it.
    """
    status = document.response.status
    return status >= 200 and status not in (204, 205) and not 300 <= status < 304


def _is_devtools_stack(raw: Any) -> bool:
    """Return whether a JSON value is a valid DevTools stack (Runtime.StackTrace)."""
    while isinstance(raw, dict):
        frames = raw.get("callFrames")
        if not isinstance(frames, list) or not all(_is_call_frame(frame) for frame in frames):
            return False
        if raw.get("parent") is None:
            return True
        raw = raw["parent"]
    return False


def _is_call_frame(frame: Any) -> bool:
    return (
        isinstance(frame, dict)
        and isinstance(frame.get("scriptId"), str)
        and all(isinstance(frame.get(name), int) for name in ("lineNumber", "columnNumber"))
    )
