"""A HAR file as typed entries: HAR 1.2 with what Chrome's DevTools and Playwright add; broken ones are counted.

DevTools: `_webSocketMessages` in seconds, `_initiator` with the stack. Playwright: in milliseconds, no initiator,
`_frameref`, and bodies in files beside it (`_file`) when they are attached.
"""

import base64
import binascii
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from wscheck.model.errors import BadEvidence

MILLISECONDS = 1e11
"""Seconds since the epoch stay below this until the year 5138; milliseconds have been above it since 1973."""

SAVE_IT = "Save it anew: DevTools, Network, `Save all as HAR with content`; or Playwright's `recordHar`."


class HarHeader(msgspec.Struct):
    name: str = ""
    value: str = ""


class HarPostData(msgspec.Struct):
    text: str | None = None


class HarContent(msgspec.Struct):
    text: str | None = None
    encoding: str | None = None
    size: float | None = None
    file: str | None = msgspec.field(default=None, name="_file")


class HarRequest(msgspec.Struct, rename="camel"):
    url: str
    method: str = "GET"
    headers: list[HarHeader] = []
    post_data: HarPostData | None = None


class HarResponse(msgspec.Struct):
    status: int = 0
    headers: list[HarHeader] = []
    content: HarContent | None = None
    error: str | None = msgspec.field(default=None, name="_error")


class HarFrame(msgspec.Struct):
    """A websocket frame; `opcode` 2 is binary, as base64."""

    type: str
    time: float
    opcode: float = 1
    data: str = ""

    @property
    def at(self) -> float:
        """Seconds since the epoch, whoever wrote it."""
        return self.time / 1000 if self.time > MILLISECONDS else self.time

    def content(self) -> str | bytes:
        if self.opcode != 2:
            return self.data
        try:
            return base64.b64decode(self.data)
        except (binascii.Error, ValueError):
            return b""


class HarEntry(msgspec.Struct, kw_only=True):
    """One request. `time`: milliseconds until its end, -1 or None where it has none."""

    started: str = msgspec.field(name="startedDateTime")
    request: HarRequest
    response: HarResponse = msgspec.field(default_factory=HarResponse)
    time: float | None = None
    pageref: str = ""
    kind: str | None = msgspec.field(default=None, name="_resourceType")
    messages: list[HarFrame] | None = msgspec.field(default=None, name="_webSocketMessages")
    initiator: Any = msgspec.field(default=None, name="_initiator")
    frame: str | None = msgspec.field(default=None, name="_frameref")

    @property
    def at(self) -> float:
        """When it left, in seconds since the epoch; DevTools and Playwright round down to milliseconds."""
        return datetime.fromisoformat(self.started).timestamp()

    @property
    def ended(self) -> float:
        return self.at + max(self.time or 0.0, 0.0) / 1000

    @property
    def websocket(self) -> bool:
        return self.kind == "websocket" or self.request.url.startswith(("ws:", "wss:"))


class _Creator(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Page(msgspec.Struct):
    id: str = ""
    title: str | None = None


class _Log(msgspec.Struct):
    entries: list[msgspec.Raw]
    creator: _Creator = msgspec.field(default_factory=_Creator)
    pages: list[_Page] | None = None


class _Har(msgspec.Struct):
    log: _Log


class HarFile(msgspec.Struct):
    """A HAR file. `broken` entries could not be read. `titles`: by page id."""

    path: Path
    creator: str
    entries: list[HarEntry]
    broken: int
    titles: dict[str, str]

    @property
    def playwright(self) -> bool:
        return self.creator == "Playwright"

    def body(self, entry: HarEntry) -> str | None:
        """The response's text, None where the file does not hold it."""
        content = entry.response.content
        if content is None:
            return None
        if content.file is not None:
            return _beside(self.path, content.file)
        if content.text is not None and content.encoding == "base64":
            return _decoded(content.text)
        return content.text


def load(path: Path) -> HarFile:
    """Reads `path`. Raises BadEvidence for what is missing, cut short or no HAR."""
    try:
        with path.open("rb") as file, _content(file, path) as content:
            return _read(content, path)
    except OSError as error:
        raise BadEvidence(f"The HAR {path} cannot be read: {error.strerror}.", "Check the path.") from error


@contextmanager
def _content(file: BinaryIO, path: Path) -> Iterator[mmap.mmap | bytes]:
    """The file without a copy in memory: a HAR with content easily has hundreds of megabytes. A pipe has to be read."""
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise BadEvidence(f"The HAR {path} is empty.", SAVE_IT) from None
    except OSError:
        yield _piped(file, path)
    else:
        with mapped:
            yield mapped


def _piped(file: BinaryIO, path: Path) -> bytes:
    content = file.read()
    if not content:
        raise BadEvidence(f"The HAR {path} is empty.", SAVE_IT)
    return content


def _read(content: mmap.mmap | bytes, path: Path) -> HarFile:
    _refuse_packed(content[:4], path)
    with memoryview(content) as view:
        text = view[3:] if content[:3] == b"\xef\xbb\xbf" else view
        try:
            log = _log(text, path)
            entries = [entry for raw in log.entries if (entry := _entry(raw)) is not None]
            titles = {page.id: page.title or "" for page in log.pages or ()}
            return HarFile(path, log.creator.name, entries, len(log.entries) - len(entries), titles)
        finally:
            log = None  # type: ignore[assignment]  # raw entries look into the mapped file, which is about to close
            text.release()


def _refuse_packed(begin: bytes, path: Path) -> None:
    if begin[:2] == b"PK":
        raise BadEvidence(f"{path} is a ZIP archive.", "Unpack it, and give the .har file in it.")
    if begin[:2] == b"\x1f\x8b":
        raise BadEvidence(f"{path} is compressed.", f"Unpack it first: gunzip {path.name}.")


def _log(text: memoryview, path: Path) -> _Log:
    try:
        return msgspec.json.decode(text, type=_Har).log
    except msgspec.ValidationError as problem:
        raise BadEvidence(f"{path} is JSON and no HAR: {problem}.", SAVE_IT) from None
    except msgspec.DecodeError as problem:
        short = "truncated" in str(problem)
        what = "is cut short: it ends in the middle of its JSON" if short else f"is no HAR: {problem}"
        raise BadEvidence(f"{path} {what}.", SAVE_IT) from None
    except (UnicodeError, RecursionError):
        raise BadEvidence(f"{path} is no HAR: it is not JSON in UTF-8.", SAVE_IT) from None


def _entry(raw: msgspec.Raw) -> HarEntry | None:
    try:
        entry = msgspec.json.decode(raw, type=HarEntry)
        entry.at  # noqa: B018  # a time that is none is as bad as a field that is missing
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    if not (entry.kind == "script" or "EIO=" in entry.request.url or ".map" in entry.request.url):
        entry.response.content = None  # pictures and the like are most of a HAR
    return entry


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, ValueError):
        return None


def _beside(har: Path, name: str) -> str | None:
    """An attached body; only one that lies beside the HAR, whatever the HAR says."""
    if Path(name).name != name:
        return None
    try:
        return (har.parent / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
