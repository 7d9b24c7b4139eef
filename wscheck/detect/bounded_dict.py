"""A dict of bounded size."""

from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(dict[K, V]):
    """Dict that evicts its oldest entries when it has more than `max_size` entries.

    Only `put` evicts. Setting an entry with `[]` may exceed the size.
    """

    def __init__(self, max_size: int) -> None:
        super().__init__()
        self._max_size = max_size

    def put(self, key: K, value: V) -> None:
        """Set `key` to `value`, and evict the oldest entries if there are too many."""
        self[key] = value
        if len(self) > self._max_size:
            # Evict an eighth at once: finding the oldest entry takes longer the more entries were deleted before.
            for oldest in list(islice(self, 1 + self._max_size // 8)):
                del self[oldest]
