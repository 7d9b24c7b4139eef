"""What was read of one line: a marker, with which a record begins, or a detail of one."""

from typing import NamedTuple

import msgspec


class Reading(msgspec.Struct):
    """A record's marker as read.

    ids     what its own line says, by role
    before  what stands before the marker on its line
    behind  the time that stands at the end of the line, where one does
    bare    nothing but the marker's own words is on its line before it
    opens   an object begins at the end of the line: its keys follow until it is closed
    closed  nothing that belongs to it can follow
    block   the marker is one of the keys of an object over several lines
    doubt   it may be prose: without ids it does not count
    unclear it has an id of which cannot be told where it ends, and which was left out
    """

    kind: str
    ids: dict[str, str]
    before: str = ""
    behind: str = ""
    bare: bool = False
    opens: bool = False
    closed: bool = False
    block: bool = False
    doubt: bool = False
    unclear: bool = False


class Detail(NamedTuple):
    """A line that may belong to a record: what stands before its first key (None: it has no key), and its ids.

    unclear  the roles of ids of which cannot be told where they end
    """

    before: str | None
    ids: dict[str, str]
    bullet: bool
    value: str
    unclear: frozenset[str] = frozenset()

    @property
    def roles(self) -> set[str]:
        """What the line gives, whether it can be told or not."""
        return {*self.ids, *self.unclear}
