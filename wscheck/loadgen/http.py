"""HTTP/1.1 RESPONSES, sans-I/O: what a handshake and a long poll need, and no more."""

import msgspec

LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 16 * 1024 * 1024


class HttpError(ValueError):
    """Bytes that are no HTTP response, or one that is too large."""


class Response:
    """Feed it what arrived until `complete`. Header names are lower case; `rest` is what follows the response.

    A 101 is complete after its head: what follows it is the new protocol's.
    """

    __slots__ = ("_data", "_left", "body", "complete", "headers", "status")

    def __init__(self) -> None:
        self._data = bytearray()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False
        self._left: int | None = None

    @property
    def rest(self) -> bytes:
        return bytes(self._data)

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close" and (self._left is not None or self._is_chunked)

    @property
    def _is_chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    def feed(self, data: bytes) -> bool:
        """Takes what arrived; True once the response is complete."""
        self._data += data
        if not self.status and not self._read_head():
            return False
        if not self.complete:
            self._read_body()
        if len(self.body) > LARGEST_BODY:
            raise HttpError("a body that is too large")
        return self.complete

    def end(self) -> bool:
        """The connection ended; True if that completes the response."""
        if self.status and not self.complete and self._left is None and not self._is_chunked:
            self.complete = True
        return self.complete

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > LARGEST_HEAD or not b"HTTP/1.".startswith(self._data[:7]):
                raise HttpError("what came is no HTTP response")
            return False
        lines = self._data[:end].decode("latin-1").split("\r\n")
        del self._data[: end + 4]
        self.status = _status(lines[0])
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise HttpError("a header without a colon")
            self.headers[name.strip().lower()] = value.strip()
        self._plan_body()
        return True

    def _plan_body(self) -> None:
        if self.status == 101 or self.status in (204, 304):
            self.complete = True
        elif not self._is_chunked and "content-length" in self.headers:
            self._left = _number(self.headers["content-length"], 10)
            if self._left > LARGEST_BODY:
                raise HttpError("a body that is too large")

    def _read_body(self) -> None:
        if self._is_chunked:
            while self._read_chunk():
                pass
            return
        part = self._data if self._left is None else self._data[: self._left]
        self.body += part
        del self._data[: len(part)]
        if self._left is not None:
            self._left -= len(part)
            self.complete = not self._left

    def _read_chunk(self) -> bool:
        """Takes one whole chunk off the data; False when there is none, or it was the last."""
        line = self._data.find(b"\r\n")
        if line < 0:
            if len(self._data) > 1024:
                raise HttpError("a chunk without a size")
            return False
        size = _number(self._data[:line].decode("latin-1").partition(";")[0], 16)
        if size > LARGEST_BODY:
            raise HttpError("a body that is too large")
        end = line + 2 + size
        if len(self._data) < end + 2:
            return False
        if self._data[end : end + 2] != b"\r\n":
            raise HttpError("a chunk that does not end where it says")
        self.body += self._data[line + 2 : end]
        del self._data[: end + 2]
        self.complete = not size
        return bool(size)


def _status(line: str) -> int:
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise HttpError("what came is no HTTP response")
    return int(rest[:3])


def _number(text: str, base: int) -> int:
    text = text.strip()
    if not text.isalnum() or not text.isascii():
        raise HttpError("a length that is no number")
    try:
        return int(text, base)
    except ValueError:
        raise HttpError("a length that is no number") from None


_REFUSALS = {
    0: "unknown transport",
    1: "unknown session id",
    2: "bad handshake method",
    3: "bad request",
    4: "forbidden",
    5: "unsupported protocol version",
}
"""What an Engine.IO server's error code means (engine.io, lib/server.ts)."""


class _Refusal(msgspec.Struct):
    code: int


def refusal(response: Response) -> str:
    """The kind under which a handshake that was refused is counted: `http-400 unknown session id`, `http-502`."""
    try:
        meaning = _REFUSALS.get(msgspec.json.decode(bytes(response.body), type=_Refusal).code)
    except (msgspec.DecodeError, UnicodeError):
        meaning = None
    return f"http-{response.status} {meaning}" if meaning else f"http-{response.status}"
