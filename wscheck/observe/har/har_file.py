"""HAR files as typed entries: HAR 1.2 with the extensions of Chrome's DevTools and Playwright.

DevTools writes the times of `_webSocketMessages` in seconds, and the stack in `_initiator`. Playwright writes these
times in milliseconds, adds `_frameref`, writes bodies to separate files (`_file`) and has no `_initiator`. Entries that
cannot be parsed are counted.

Source: http://www.softwareishard.com/blog/har-12-spec/.
"""

import base64
import binascii
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec

from wscheck.model.errors import BadEvidence
from wscheck.observe.browser.source_map import MAX_MAP_BYTES, read_inside
from wscheck.protocols.event_stream import MEDIA_TYPE

MIN_MILLISECONDS = 1e11
"""Times from this number on are milliseconds: as seconds it is the year 5138, as milliseconds 1973."""

MAX_TIME_S = 1e11
"""Times after this number of seconds since the epoch, and longer durations, are invalid."""

SAVE_AGAIN = "Save it again: DevTools, Network, `Save all as HAR with content`; or Playwright's `recordHar`."


class HarHeader(msgspec.Struct):
    name: str = ""
    value: str = ""


class HarPostData(msgspec.Struct):
    text: str | None = None


class HarContent(msgspec.Struct):
    text: str | None = None
    encoding: str | None = None
    size: float | None = None
    mime_type: str | None = msgspec.field(default=None, name="mimeType")
    file: str | None = msgspec.field(default=None, name="_file")


class HarRequest(msgspec.Struct, rename="camel"):
    url: str
    method: str = "GET"
    headers: list[HarHeader] = []
    post_data: HarPostData | None = None


class HarResponse(msgspec.Struct, rename="camel"):
    status: int = 0
    http_version: str = ""
    headers: list[HarHeader] = []
    content: HarContent | None = None
    error: str | None = msgspec.field(default=None, name="_error")
    failure: str | None = msgspec.field(default=None, name="_failureText")

    def __post_init__(self) -> None:
        if not -1 <= self.status <= 999:
            raise ValueError("invalid status")


class HarFrame(msgspec.Struct):
    """Websocket frame. With `opcode` 2, the payload is binary, and `data` is its base64."""

    type: str
    time: float
    opcode: float = 1
    data: str = ""

    def __post_init__(self) -> None:
        _check_time(self.at)

    @property
    def at(self) -> float:
        """Time of the frame in seconds since the epoch."""
        return self.time / 1000 if self.time > MIN_MILLISECONDS else self.time

    def content(self) -> str | bytes:
        """Return the payload, empty if its base64 is invalid."""
        if self.opcode != 2:
            return self.data
        try:
            return base64.b64decode(self.data)
        except (binascii.Error, ValueError):
            return b""


class HarStreamEvent(msgspec.Struct):
    """Event that EventSource received, in files by DevTools. `time` is in seconds since the epoch."""

    time: float
    name: str = msgspec.field(default="message", name="eventName")
    data: str = ""

    def __post_init__(self) -> None:
        _check_time(self.time)


class HarEntry(msgspec.Struct, kw_only=True):
    """One request or websocket.

    time  duration in milliseconds; -1 or None if the request did not end
    """

    started: str = msgspec.field(name="startedDateTime")
    request: HarRequest
    response: HarResponse = msgspec.field(default_factory=HarResponse)
    time: float | None = None
    pageref: str = ""
    resource_type: str | None = msgspec.field(default=None, name="_resourceType")
    frames: list[HarFrame] | None = msgspec.field(default=None, name="_webSocketMessages")
    stream_events: list[HarStreamEvent] = msgspec.field(default_factory=list, name="_eventSourceMessages")
    initiator: Any = msgspec.field(default=None, name="_initiator")
    frame_id: str | None = msgspec.field(default=None, name="_frameref")

    def __post_init__(self) -> None:
        _check_time(self.at)
        _check_time(self.ended_at)
        urlsplit(self.request.url).port  # noqa: B018  # an invalid URL makes the entry invalid

    @property
    def at(self) -> float:
        """Time at which the request was sent, in seconds since the epoch, rounded down to milliseconds."""
        return datetime.fromisoformat(self.started).timestamp()

    @property
    def ended_at(self) -> float:
        """Time at which the request ended, in seconds since the epoch."""
        return self.at + max(self.time or 0.0, 0.0) / 1000

    @property
    def is_websocket(self) -> bool:
        """True if the entry is a websocket."""
        return self.resource_type == "websocket" or self.request.url.startswith(("ws:", "wss:"))

    @property
    def is_stream(self) -> bool:
        """True if the entry is a request for server-sent events, by EventSource or by fetch()."""
        if self.request.method != "GET" or self.is_websocket:
            return False
        content = self.response.content
        media_type = (content.mime_type if content is not None else "") or ""
        return self.resource_type == "eventsource" or media_type.startswith(MEDIA_TYPE)


def _check_time(seconds: float) -> None:
    if not 0 <= seconds < MAX_TIME_S:
        raise ValueError("invalid time")


class _HarCreator(msgspec.Struct):
    name: str = ""
    version: str = ""


class _HarPage(msgspec.Struct):
    id: str = ""
    title: str | None = None


class _HarLog(msgspec.Struct):
    entries: list[msgspec.Raw]
    creator: _HarCreator = msgspec.field(default_factory=_HarCreator)
    pages: list[_HarPage] | None = None


class _HarDocument(msgspec.Struct):
    log: _HarLog


class HarFile(msgspec.Struct):
    """Contents of a HAR file.

    titles               dict of page id to page title
    invalid_entries      number of entries that could not be parsed
    invalid_connections  number of invalid entries that may belong to a connection
    invalid_messages     number of messages of connections that could not be parsed
    """

    path: Path
    creator: str
    entries: list[HarEntry]
    titles: dict[str, str]
    invalid_entries: int = 0
    invalid_connections: int = 0
    invalid_messages: int = 0

    @property
    def by_playwright(self) -> bool:
        """True if Playwright wrote the file."""
        return self.creator == "Playwright"

    def payload(self, entry: HarEntry) -> str | bytes | None:
        """Return the content of a response, as bytes if it is not text; None if the file does not contain it."""
        content = entry.response.content
        if content is not None and content.text is not None and content.encoding == "base64":
            return _decode_base64(content.text)
        return self.body(entry)

    def body(self, entry: HarEntry) -> str | None:
        """Return the text of a response, None if the file does not contain the body, or the body is not text."""
        content = entry.response.content
        if content is None:
            return None
        if content.file is not None:
            return _read_attached_body(self.path, content.file)
        if content.text is not None and content.encoding == "base64":
            text = _decode_base64(content.text)
            return text if isinstance(text, str) else None
        return content.text


def load_har_file(path: Path) -> HarFile:
    """Read a HAR file.

    Raises:
        BadEvidence: The file is missing, truncated or not a HAR file.
    """
    try:
        with path.open("rb") as file, _open_content(file, path) as content:
            return _parse(content, path)
    except OSError as error:
        raise BadEvidence(f"The HAR {path} cannot be read: {error.strerror}.", "Check the path.") from error


@contextmanager
def _open_content(file: BinaryIO, path: Path) -> Iterator[mmap.mmap | bytes]:
    """Map the file into memory; a pipe is read instead.

    A copy would cost hundreds of megabytes for a HAR file with content.
    """
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise BadEvidence(f"The HAR {path} is empty.", SAVE_AGAIN) from None
    except OSError:
        yield _read_pipe(file, path)
    else:
        with mapped:
            yield mapped


def _read_pipe(file: BinaryIO, path: Path) -> bytes:
    content = file.read()
    if not content:
        raise BadEvidence(f"The HAR {path} is empty.", SAVE_AGAIN)
    return content


def _parse(content: mmap.mmap | bytes, path: Path) -> HarFile:
    _refuse_compressed(content[:4], path)
    with memoryview(content) as view:
        text = view[3:] if content[:3] == b"\xef\xbb\xbf" else view
        try:
            log = _parse_log(text, path)
            har = HarFile(path, log.creator.name, [], {page.id: page.title or "" for page in log.pages or ()})
            # A comprehension leaves no reference to a raw entry.
            har.entries = [entry for raw in log.entries if (entry := _parse_entry(raw, har)) is not None]
            return har
        finally:
            # Raw entries refer to the mapped file, which is closed next.
            log = None  # type: ignore[assignment]
            text.release()


def _refuse_compressed(start: bytes, path: Path) -> None:
    if start[:2] == b"PK":
        raise BadEvidence(f"{path} is a ZIP archive.", "Unpack it, and give the .har file in it.")
    if start[:2] == b"\x1f\x8b":
        raise BadEvidence(f"{path} is compressed.", f"Unpack it first: gunzip {path.name}.")


def _parse_log(text: memoryview, path: Path) -> _HarLog:
    try:
        return msgspec.json.decode(text, type=_HarDocument).log
    except msgspec.ValidationError as problem:
        raise BadEvidence(f"{path} is JSON but not a HAR file: {problem}.", SAVE_AGAIN) from None
    except msgspec.DecodeError as problem:
        truncated = "truncated" in str(problem)
        reason = "is cut short: it ends in the middle of its JSON" if truncated else f"is not a HAR file: {problem}"
        raise BadEvidence(f"{path} {reason}.", SAVE_AGAIN) from None
    except (UnicodeError, RecursionError):
        raise BadEvidence(f"{path} is not a HAR file: it is not JSON in UTF-8.", SAVE_AGAIN) from None


_INVALID = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)


def _parse_entry(raw: msgspec.Raw, har: HarFile) -> HarEntry | None:
    """Return an entry without its invalid parts, None if the rest is invalid too. Count invalid data in `har`."""
    try:
        entry = msgspec.json.decode(raw, type=HarEntry)
    except _INVALID:
        try:
            loose = msgspec.json.decode(raw)
        except _INVALID:
            loose = None
        har.invalid_messages += _remove_invalid_parts(loose) if isinstance(loose, dict) else 0
        try:
            entry = msgspec.convert(loose, HarEntry)
        except _INVALID:
            har.invalid_entries += 1
            har.invalid_connections += _may_be_connection(loose)
            return None
    return _without_needless_content(entry)


def _remove_invalid_parts(entry: dict[str, Any]) -> int:
    """Remove the invalid messages, headers and durations of an entry. Return the number of its invalid messages."""
    invalid = 0
    for name, form in (("_webSocketMessages", HarFrame), ("_eventSourceMessages", HarStreamEvent)):
        if name in entry:
            messages = entry[name] if isinstance(entry[name], list) else [entry[name]]
            entry[name] = [each for each in messages if _has_form(each, form)]
            invalid += len(messages) - len(entry[name])
    for message in (entry.get("request"), entry.get("response")):
        if isinstance(message, dict) and "headers" in message:
            headers = message["headers"] if isinstance(message["headers"], list) else []
            message["headers"] = [each for each in headers if _has_form(each, HarHeader)]
    duration = entry.get("time")
    if not isinstance(duration, int | float) or duration >= MAX_TIME_S:
        entry["time"] = None
    return invalid


def _has_form(value: object, form: type) -> bool:
    try:
        msgspec.convert(value, form)
    except _INVALID:
        return False
    return True


_CONNECTIONS, _REQUESTS = ("websocket", "eventsource"), ("fetch", "xhr")
"""Types of resources that are connections, and that may be polls or streams."""


def _may_be_connection(entry: Any) -> bool:
    """Return whether an entry that cannot be parsed may belong to a connection."""
    if not isinstance(entry, dict):
        return True
    kind, request = entry.get("_resourceType"), entry.get("request")
    if isinstance(kind, str) and kind not in _REQUESTS:
        return kind in _CONNECTIONS
    url = request.get("url") if isinstance(request, dict) else None
    if not isinstance(url, str) or not url.startswith(("http:", "https:")):
        return True
    return "EIO=" in url or MEDIA_TYPE in str(entry.get("response"))


def _without_needless_content(entry: HarEntry) -> HarEntry:
    url = entry.request.url
    if not (entry.resource_type == "script" or "EIO=" in url or ".map" in url):
        # Other content, such as images, is most of a HAR file and is not needed.
        content = entry.response.content
        entry.response.content = HarContent(mime_type=content.mime_type) if content is not None else None
    return entry


def _decode_base64(text: str) -> str | bytes | None:
    try:
        content = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _read_attached_body(har: Path, name: str) -> str | None:
    """Return the text of the file `name` in the folder of the HAR file, None if it cannot be read.

    The HAR file contains `name` and is untrusted, so a path to another folder is refused.
    """
    if Path(name).name != name:
        return None
    content = read_inside(har.parent, name, MAX_MAP_BYTES)
    try:
        return content.decode() if content is not None else None
    except UnicodeDecodeError:
        return None
