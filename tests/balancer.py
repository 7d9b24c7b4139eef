"""A load balancer without sticky sessions: each further TCP connection goes to the next server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit

ACCEPTING = 5
"""Turns of the loop in which asyncio makes a connection of what it accepted."""


@asynccontextmanager
async def balanced(*urls: str) -> AsyncIterator[str]:
    """Balance over the servers at `urls` until the block ends; yields the URL."""
    ports = cycle([urlsplit(url).port for url in urls])
    held, passing = list[asyncio.StreamWriter](), list[asyncio.Task[None]]()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        theirs, ours = await asyncio.open_connection("127.0.0.1", next(ports))
        held.append(ours)
        passing.extend(asyncio.ensure_future(_passed(*way)) for way in ((reader, ours), (theirs, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)
    for writer in held:
        writer.transport.abort()
    await asyncio.gather(*passing, *(writer.wait_closed() for writer in held), return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
