"""Coroutines in the event loop of a separate thread, for callers that are not asynchronous.

The caller's thread may already run an event loop, as with pytest-playwright's synchronous API. There, `asyncio.run`
would raise RuntimeError.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class BackgroundTask(Generic[T]):
    """Coroutine that runs in a separate thread. It starts when the object is created."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="wscheck", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(asyncio.run(self._work))
        except BaseException as error:
            self._errors.append(error)

    @property
    def running(self) -> bool:
        """True until the coroutine has ended."""
        return self._thread.is_alive()

    def result(self) -> T:
        """Wait for the end of the coroutine. Return its result or raise its error."""
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def run_in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in the event loop of a separate thread, and return its result."""
    return BackgroundTask(work).result()
