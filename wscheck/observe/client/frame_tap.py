"""What a broken server sends, named and bounded: the stock client calls it a transport error, however large it is."""

import re
from typing import Any, Protocol

import aiohttp
import engineio

# More than any event of the documented application, and less than what would exhaust a CI machine.
LARGEST_MESSAGE = 16 * 1024 * 1024
TOO_LARGE = f"a message larger than {LARGEST_MESSAGE >> 20} MiB"
NO_PACKET = "a frame that is no Engine.IO packet"

SEPARATOR = b"\x1e"

# Node's engine, then Python's; what else a server answers with 400 says nothing of its session.
_UNKNOWN = re.compile(rb'"code":\s*1\b|Session ID unknown|Invalid session')

MOST_PACKETS = 20_000
TOO_MANY = f"more than {MOST_PACKETS:,} packets in one answer"
# The stock client takes 16 packets from one answer and drops the connection at the 17th, which a burst soon reaches.
engineio.payload.Payload.max_decode_packets = MOST_PACKETS


class Observer(Protocol):
    """Hears what the server sent that nobody can read, in words that follow "the server sent"."""

    def malformed(self, what: str) -> None: ...


class TappedSocket:
    """A websocket that names what the stock read loop only calls a transport error."""

    def __init__(self, ws: Any, observer: Observer) -> None:
        self._ws, self._observer = ws, observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)

    async def receive(self) -> Any:
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.ERROR:
            self._observer.malformed(_named(message.data))
        elif message.type is aiohttp.WSMsgType.TEXT and not message.data[:1].isdigit():
            self._observer.malformed(NO_PACKET)
        return message


def _named(error: object) -> str:
    if getattr(error, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return TOO_LARGE
    return f"a broken websocket frame ({error})"


async def tapped(answer: Any, observer: Observer) -> Any:
    """An answer to long-polling, read as far as it may go; as the stock client has it, a text where that failed."""
    if not isinstance(answer, aiohttp.ClientResponse):
        return answer
    try:
        body = await _bounded(answer)
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or "the answer broke off"
    wrong = TOO_LARGE if body is None else _wrong_with(body) if answer.ok else None
    if wrong is not None:
        answer.close()
        observer.malformed(wrong)
        return wrong
    answer._body = body  # what its read() gives from now on
    return answer


def _wrong_with(body: bytes) -> str | None:
    """An empty answer is how some servers end a poll; otherwise every packet begins with its type."""
    packets = body.split(SEPARATOR) if body else []
    if len(packets) > MOST_PACKETS:
        return TOO_MANY
    return None if all(packet[:1].isdigit() or packet[:1] == b"b" for packet in packets) else NO_PACKET


async def is_astray(answer: Any) -> bool:
    """Whether a request of a session came to a process that does not know the session."""
    if not isinstance(answer, aiohttp.ClientResponse) or answer.status != 400:
        return False
    try:
        body = answer._body if answer._body is not None else await answer.content.read(LARGEST_MESSAGE)
    except (aiohttp.ClientError, TimeoutError):
        return False
    return _UNKNOWN.search(body) is not None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes | None:
    """The body, None when it is larger than a message may be."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > LARGEST_MESSAGE:
            return None
    return bytes(body)
