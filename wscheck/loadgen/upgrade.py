"""THE WEBSOCKET'S OPENING HANDSHAKE (RFC 6455, section 4), as text."""

import base64
import hashlib
import os

from wscheck.loadgen.http import Response, refusal

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The handshake failed; the kind under which that is counted."""


def new_key() -> bytes:
    """A fresh Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16))


def request(path: str, headers: str, key: bytes) -> bytes:
    """The upgrade request. `headers` are whole lines, Host among them."""
    return (
        f"GET {path} HTTP/1.1\r\n{headers}Connection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    ).encode()


def check(response: Response, key: bytes) -> None:
    """Raises Refused unless `response` switches to the websocket that `key` asked for."""
    if response.status != 101:
        raise Refused(refusal(response))
    wanted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    if response.headers.get("sec-websocket-accept") != wanted:
        raise Refused("protocol")
