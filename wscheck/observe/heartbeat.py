"""Monitor of wscheck's own event loop: while it stalls, ping timeouts are not the server's fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wscheck.model.events import SOURCE_HEARTBEAT, Event, ProcessStalled

INTERVAL_S = 0.05
STALL_THRESHOLD_S = 0.25


@asynccontextmanager
async def monitor_event_loop(record: Callable[[Event], None]) -> AsyncIterator[None]:
    """Record a `ProcessStalled` event whenever the event loop is late by more than STALL_THRESHOLD_S."""

    async def monitor() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(INTERVAL_S)
            delay = time.monotonic() - before - INTERVAL_S
            if delay > STALL_THRESHOLD_S:
                record(ProcessStalled(at=time.time(), source=SOURCE_HEARTBEAT, seconds=round(delay, 3)))

    task = asyncio.ensure_future(monitor())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
