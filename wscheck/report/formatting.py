"""Text formatting that all report formats share: counts, times, and escaping of text from outside."""

import re
from datetime import UTC, datetime

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that control a terminal, reorder a line or are invisible, and those that XML forbids."""

_CI_COMMAND = re.compile(r"(?im)^(?P<indent>[^\S\n]*):(?=:[a-z][\w-]*(?:[ \t][^\n]*)?::)|#(?=#(?:|vso|teamcity)\[)")
"""First character of a command that a CI server executes when it reads it in the output of a job.

GitHub reads `::error::` at the start of a line and `##[error]` everywhere, Azure Pipelines `##vso[...]`, TeamCity
`##teamcity[...]`. An IPv6 address (`::1`, `::ffff:10.0.0.1`) is no command.
"""


def escape_control(text: str) -> str:
    r"""Return `text` with control characters, bidirectional overrides and lone surrogates as escapes such as `\x1b`.

    User ids, event names and disconnect reasons come from the target. They must not control a terminal or a CI server,
    break XML or reverse a line. Tabs and line feeds are not escaped.
    """
    return escape_ci_commands(UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text))


def escape_ci_commands(text: str) -> str:
    """Return `text` with escapes that keep a CI server from executing its lines as commands such as `::error::`."""
    if "::" not in text and "##" not in text:
        return text
    return _CI_COMMAND.sub(lambda found: f"{found['indent'] or ''}\\x{ord(found[0][-1]):02x}", text)


def one_line(text: str) -> str:
    """Return `text` with escaped control characters and with each run of white space as one space."""
    return " ".join(escape_control(text).split())


def on_one_line(text: str) -> str:
    """Return `text` with escaped control characters and line feeds.

    Keep other white space, because command-line options in the text may need it.
    """
    return escape_control(text).replace("\n", "\\n")


def escape_markdown(text: str) -> str:
    """Return `text` on one line, escaped so that Markdown shows it literally. HTML is escaped too."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    escaped = "".join(f"\\{char}" if char in "\\`*_[]|#~@!" else char for char in escaped)
    return _AUTOMATIC_LINK.sub(r"\\\g<0>", escaped)


_AUTOMATIC_LINK = re.compile(r":(?=//)|(?i:(?<=\bwww))\.|:(?=[A-Za-z][\w+-]*:)")
"""Sign that makes a link of an address without markup on GitHub, or starts the name of an emoji."""


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return for example `1 connection` or `1,200 connections`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def format_duration(seconds: float) -> str:
    """Return for example `42 ms`, `8.1 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`."""
    if 0 < seconds < 0.095:
        return f"{seconds * 1000:.2g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds else "0 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return _in_two_units(round(seconds), 60, "min", "s")
    if seconds < 72 * 3_600:
        return _in_two_units(round(seconds / 60), 60, "h", "min")
    return _in_two_units(round(seconds / 3_600), 24, "d", "h")


def _in_two_units(value: int, parts: int, unit: str, smaller_unit: str) -> str:
    whole, rest = divmod(value, parts)
    return f"{whole:,} {unit} {rest} {smaller_unit}" if rest else f"{whole:,} {unit}"


def format_rate(per_second: float) -> str:
    """Return for example `3.6/s` or `12/s`. Rates below 0.1 per second are given per minute: `3/min`."""
    if per_second < 0.1:
        return f"{per_second * 60:.2g}/min"
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:.0f}/s"


def format_bytes(count: int) -> str:
    """Return for example `512 bytes`, `3.7 kB` or `1.2 GB`, in powers of 1000."""
    value, units = float(count), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 1000 and (larger := next(units, None)) is not None:
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def format_clock_time(at: float) -> str:
    """Return the UTC time of day of an epoch time: `12:00:01.123`."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-3]


def format_date_time(at: float) -> str:
    """Return the UTC date and time of an epoch time: `2026-11-23 12:00:01 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
