"""Number of function calls as a measure of work that does not depend on the load of the machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class CallCount:
    """Calls of functions, built-in ones included."""

    calls = 0

    def _count(self, frame: object, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")


@contextmanager
def counted_calls() -> Iterator[CallCount]:
    """Count the calls within the block."""
    count, previous = CallCount(), sys.getprofile()
    sys.setprofile(count._count)
    try:
        yield count
    finally:
        sys.setprofile(previous)
