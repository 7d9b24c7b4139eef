"""Reliable cancellation of tasks.

`asyncio.wait_for` of Python 3.11, which python-socketio calls, can swallow a cancellation. One call of `Task.cancel` is
therefore not enough.
"""

import asyncio
from collections.abc import Iterable

CANCEL_INTERVAL_S = 1.0


async def cancel_all(tasks: "Iterable[asyncio.Future[None]]") -> None:
    """Cancel `tasks` repeatedly until all of them have ended.

    Each task has `CANCEL_INTERVAL_S` to clean up before it is cancelled again.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_INTERVAL_S)


def is_current_task_cancelled() -> bool:
    """Return whether the running task itself was cancelled.

    A CancelledError in a task may also come from a cancelled task or future that it awaits.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
