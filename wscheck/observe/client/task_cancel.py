"""Ending tasks for certain: `wait_for` of Python 3.11, inside the client library, can swallow a cancellation."""

import asyncio
from collections.abc import Iterable

ASK_AGAIN_S = 1.0


async def ended(tasks: "Iterable[asyncio.Future[None]]") -> None:
    """Cancel `tasks` until all have ended, giving each a moment to clean up; a task group would wait for ever."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=ASK_AGAIN_S)


def is_cancelled() -> bool:
    """Whether it is this task that was cancelled, rather than something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
