"""Records over several lines: a message, and the lines below it that contain its values."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line
from wscheck.observe.logs.formats.key_values import find_key_values
from wscheck.observe.logs.lazy_pattern import lazy_pattern

MAX_LINE = 1 << 12
MAX_LINES_BELOW = 6
"""Largest number of lines below a message that may belong to its record."""

CONTINUATION = lazy_pattern(rb"[\s*|-]|\xe2\x80\xa2")
"""Start of a line that continues a record."""


def record_lines(raw: bytes, below: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a line and the lines below that continue its record."""
    yield raw
    for each in below[:MAX_LINES_BELOW]:
        if not CONTINUATION.match(each):
            return
        yield each


def with_fields_below(message: LogMessage, below: Sequence[bytes]) -> LogMessage:
    """Return a message whose fields also contain the key-value pairs on the lines below it."""
    pairs: Mapping[str, str] = {
        pair.key: pair.value for raw in below for pair in find_key_values(decode_line(raw[:MAX_LINE]))
    }
    return msgspec.structs.replace(message, fields={**pairs, **(message.fields or {})}) if pairs else message
