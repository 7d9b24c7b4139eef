"""WHO SAW IT: our own process. A stalled checker makes ping timeouts that no server is to blame for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wscheck.model.events import SOURCE_HEARTBEAT, Event, ProcessStalled

BEAT_S = 0.05
WORTH_TELLING_S = 0.25


@asynccontextmanager
async def heartbeat(record: Callable[[Event], None]) -> AsyncIterator[None]:
    """While the block runs, record a Lagged whenever the event loop was late by more than a quarter of a second."""

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_S)
            late = time.monotonic() - before - BEAT_S
            if late > WORTH_TELLING_S:
                record(ProcessStalled(at=time.time(), source=SOURCE_HEARTBEAT, seconds=round(late, 3)))

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
