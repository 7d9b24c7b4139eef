"""A load balancer without sticky sessions: each further TCP connection goes to the next server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit


@asynccontextmanager
async def balanced(*urls: str) -> AsyncIterator[str]:
    """Balance over the servers at `urls` until the block ends; yields the URL."""
    ports = cycle([urlsplit(url).port for url in urls])
    passing = set[asyncio.Task[None]]()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", next(ports))
        passing.update(asyncio.ensure_future(_pass(*way)) for way in ((reader, ours), (theirs, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
