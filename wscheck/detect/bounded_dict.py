"""WHAT IS REMEMBERED OF LATE: a dict that forgets its oldest entries, so that memory does not grow with time; pure."""

from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedDict(dict[Key, Value]):
    """The latest `most` entries that were kept, at most."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: Key, value: Value) -> None:
        """Remember `value` as `key`."""
        self[key] = value
        if len(self) > self._most:
            # Many at once: a dict finds its oldest entry only past all those that were taken from before it.
            for oldest in list(islice(self, 1 + self._most // 8)):
                del self[oldest]
