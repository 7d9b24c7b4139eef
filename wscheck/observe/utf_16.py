"""Detection of UTF-16, which tools on Windows write."""

_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}

DETECTION_BYTES = 8
"""Bytes at the start of a file by which UTF-16 is detected."""

_MIN_ZEROS = 2
"""Zeros in the first `DETECTION_BYTES` bytes, all at even or all at odd positions, that show UTF-16 without a mark."""


def utf_16_name(start: bytes) -> str | None:
    """Return the name of the encoding if a file that begins with `start` is in UTF-16, None otherwise.

    A byte order mark identifies UTF-16; without one, zeros in every second byte do.
    """
    zeros = {parity: start[parity:DETECTION_BYTES:2].count(0) for parity in (0, 1)}
    name = _BYTE_ORDER_MARKS.get(start[:2])
    if name is None and min(zeros.values()) == 0 and max(zeros.values()) >= _MIN_ZEROS:
        name = "utf-16-le" if zeros[1] else "utf-16-be"
    return name
