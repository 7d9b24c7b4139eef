"""An object under one of a record's keys, over several lines, as pino-pretty writes it: `data: {` and JSON."""

import re

import msgspec

from wscheck.observe.logs.line_prefix import continues, indentation

NOT_OURS = frozenset(("req", "res", "request", "response", "err", "error", "headers", "_logmeta", "_meta", "query"))
"""Keys of what a record carries along: ids in there are somebody else's."""

_OPENING = re.compile(r"^(?P<before>.*\s\s)(?P<key>(?:[^\W\d]|\$)[\w$.-]*): (?P<bracket>[{\[])$")
_CLOSING = re.compile(r"^(?P<before>.*?)[}\]],?$")


class Under(msgspec.Struct):
    """The object that is open.

    shape   what stands before the record's marker
    indent  how far the object's key is indented
    keys    how far its own keys are
    """

    shape: str
    indent: int
    foreign: bool
    keys: int | None = None

    def takes(self, before: str, text: str) -> bool:
        """Whether a line with `before` in front of its key is one of the object's own, and those may be a record's.

        Its keys are in quotes; without, the object is one that somebody inspected after the record.
        """
        depth = indentation(before)
        if self.keys is None and depth > self.indent:
            self.keys = depth
        return depth == self.keys and not self.foreign and text.startswith('"', len(before))

    def is_closed_by(self, text: str) -> bool:
        """Whether a line without a key closes it."""
        closing = _CLOSING.match(text)
        if closing is None or not continues(closing["before"], self.shape):
            return False
        return indentation(closing["before"]) <= self.indent


def opened_under(text: str, shape: str) -> Under | None:
    """The object that a line opens under a key of a record with `shape` in front, None when it opens none."""
    opening = _OPENING.match(text)
    if opening is None or not continues(opening["before"], shape):
        return None
    foreign = opening["bracket"] == "[" or opening["key"].lower() in NOT_OURS
    return Under(shape, indentation(opening["before"]), foreign)
