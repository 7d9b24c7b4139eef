"""Pages whose connections the server replaces again and again, because the page reconnects."""

from collections import Counter

from wscheck.detect.changes import ReplacedChange

MIN_REPLACEMENTS = 2
"""Replacements of connections of one page from which on the page is in a loop."""


class ReplacementLoops:
    """Replacements per user and page.

    In a loop, chance decides which connection is open at a moment and which one receives an event. A missing connection
    or event is then a consequence of the loop, which has a finding of its own.
    """

    def __init__(self) -> None:
        self._replacements = Counter[tuple[str | None, str | None]]()

    def observe(self, change: ReplacedChange) -> None:
        """Count a replacement."""
        if change.old is not None and change.old.page is not None:
            self._replacements[change.user, change.old.page] += 1

    def contains(self, user: str | None, page: str | None) -> bool:
        """Return whether the page is in a loop."""
        return self._replacements[user, page] >= MIN_REPLACEMENTS
