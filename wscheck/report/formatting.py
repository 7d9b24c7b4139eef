"""How every reporter spells counts, times and text from outside, so that two reports of one run agree."""

import re
from datetime import UTC, datetime

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def escape_control(text: str) -> str:
    """`text` with control characters, bidirectional overrides and lone surrogates spelled out.

    User ids, event names and disconnect reasons come from the target: they must not steer a terminal, break XML or
    make a line read backwards. Tabs and line feeds stay.
    """
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """`clean` text with every run of white space made one space."""
    return " ".join(escape_control(text).split())


def escape_markdown(text: str) -> str:
    """`text` so that Markdown and HTML in it show as they were written."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{char}" if char in "\\`*_[]|#~@!" else char for char in escaped)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """1 connection, 2 connections, 1,200 connections."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def format_duration(value: float) -> str:
    """42 ms, 8.1 s, 3 min 20 s, 2 h 5 min, 3 d 4 h: as fine as it is useful."""
    if 0 < value < 0.095:
        return f"{value * 1000:.2g} ms"
    if value < 10:
        return f"{value:.1f} s" if value else "0 s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7_200:
        return _in("min", "s", round(value), 60)
    hours = value < 72 * 3_600
    return _in("h", "min", round(value / 60), 60) if hours else _in("d", "h", round(value / 3_600), 24)


def _in(unit: str, finer: str, value: int, parts: int) -> str:
    whole, rest = divmod(value, parts)
    return f"{whole:,} {unit} {rest} {finer}" if rest else f"{whole:,} {unit}"


def format_rate(per_second: float) -> str:
    """3.6/s, 12/s; below one in ten seconds by the minute."""
    if per_second < 0.1:
        return f"{per_second * 60:.2g}/min"
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:.0f}/s"


def format_bytes(count: int) -> str:
    """512 bytes, 3.7 kB, 1.2 GB: powers of 1000."""
    value, units = float(count), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 1000 and (larger := next(units, None)) is not None:
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def format_clock_time(at: float) -> str:
    """12:00:01.123 (UTC)."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-3]


def format_date_time(at: float) -> str:
    """2026-11-23 12:00:01 UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
