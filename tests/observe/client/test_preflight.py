"""The first handshake of a run: answers in pieces, and answers that have a message of their own."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.bad_servers import HANDSHAKE, answering, serving
from wscheck.commands.secret_file import read_secret
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.errors import Rejected, UsageError, failure_reason
from wscheck.model.secrets import Redactor
from wscheck.observe.client.preflight import polling_handshake


async def shake(url: str) -> bool:
    return await polling_handshake(ServerTarget(url=url), Credentials("ada"), Redactor())


async def test_a_handshake_may_arrive_in_pieces() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for char in HANDSHAKE:
            await response.write(char.encode())
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_get("/socket.io/", answer)
    async with serving(app) as url:
        assert await shake(url)


async def test_too_large_headers_have_a_message() -> None:
    async with serving(answering(431, "no")) as url:
        with pytest.raises(Rejected, match="HTTP 431: the headers of the request are larger than it allows"):
            await shake(url)


def test_a_token_file_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes("\ufefftöken\r\n".encode())
    assert read_secret(file) == "töken"
    for encoding in ("utf-16", "utf-16-be"):
        file.write_bytes(("" if encoding == "utf-16" else "\ufeff").encode(encoding) + "token".encode(encoding))
        with pytest.raises(UsageError, match="UTF-16 text with a byte-order mark; save it as UTF-8"):
            read_secret(file)
    file.write_bytes(b"\xff\x00")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        read_secret(file)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "no such file or directory"),
        (aiohttp.ClientPayloadError("<class 'X'> 400, message='y'"), "broke"),
        (KeyError("sid"), "broke"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is not UTF-8 text"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "broke"),
        (AttributeError("'NoneType' object has no attribute 'x'"), "broke"),
    ],
)
def test_no_message_contains_the_text_of_an_exception(error: Exception, reason: str) -> None:
    if isinstance(error, ssl.SSLError):
        assert "_ssl.c" not in failure_reason(error, "broke")
    else:
        assert failure_reason(error, "broke") == reason
