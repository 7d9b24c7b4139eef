"""Timestamps of loggers and collectors, as seconds since the epoch."""

import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from msgspec import json

from wscheck.observe.logs.lazy_pattern import lazy_pattern

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?:[  ]?[AaPp]\.?[Mm]\b\.?)?"

STAMP_SOURCE = rf"""(?P<iso>\d{{4}}-\d\d-\d\d[T ]\d\d[:.]\d\d[:.]\d\d(?:[.,]\d+)?(?:\s?(?:Z|UTC)|\s?[+-]\d\d:?\d\d)?)
    |(?P<clf>\d{{1,2}}/(?:{_MONTHS})/\d{{4}}[: ]\d\d:\d\d:\d\d(?:\s[+-]\d{{4}})?)
    |(?P<ymd>\d{{4}}/\d\d/\d\d[ ,]\s?{_CLOCK})
    |(?P<mdy>(?<![\d/.-])\d{{1,2}}(?P<between>[/.-])\d{{1,2}}(?P=between)\d{{4}},?\s{_CLOCK})
    |(?P<dmy>\d{{1,2}}\s(?:{_MONTHS})\s(?:\d{{4}}\s)?{_CLOCK})
    |(?P<syslog>(?:{_MONTHS})\s+\d{{1,2}},?\s(?:\d{{4}},?\s(?:@\s)?)?{_CLOCK}(?:\s(?:GMT[+-]\d{{4}}|\d{{4}}\b(?!:)))?)
    |(?P<klog>(?<!\w)[IWEF](?:\d{{4}})?\d{{4}}\s{_CLOCK})
    |(?P<clock>(?<![\d:.]){_CLOCK})
    |(?P<epoch>(?<![\w.-])1[5-9]\d{{8}}(?:\.\d{{1,9}}|\d{{3}})?(?![\w-]))
    """
"""The forms of timestamps, as the source of a verbose pattern; each group is named after its form."""

STAMP = lazy_pattern(STAMP_SOURCE, re.VERBOSE)

TIME_WITHIN = 40
"""Number of characters at the start of a line that may contain its time. A later time belongs to the message."""

_DATE_SIGN = lazy_pattern(r"[/.-]")
_NUMERIC_DATE = lazy_pattern(rb"(?<![\d/.-])(\d\d?)[/.-](\d\d?)[/.-]\d{4},?\s\d\d?:\d\d:\d\d")
LAST_MONTH = 12

_TAIL = lazy_pattern(rf"\s\[?{_CLOCK}\]?\s*$")

# The application's own time comes first: it is more precise than the collector's.
KEYS = (
    "time",
    "timestamp",
    "ts",
    "@timestamp",
    "startTime",
    "date",
    "datetime",
    "eventTime",
    "__REALTIME_TIMESTAMP",
    "TimeGenerated",
    "_time",
    "@t",
    "requestTimeEpoch",
    "requestTime",
)

_DAY_S = 86_400.0
OUT_OF_ORDER_S = 5.0
"""Maximum difference in time between lines of several writers that are out of order."""
AMBIGUOUS_S = 3600.0 + OUT_OF_ORDER_S
"""Maximum error of a local time that occurs twice in autumn."""

TimeReader = Callable[[bytes], float | None]
"""Function that converts a time in a log to seconds since the epoch, None if it is not a time."""

_FRACTION = lazy_pattern(r"\d[:.]\d\d[:.]\d\d[.,]\d")
"""Seconds with a fraction."""

MIN_MILLISECONDS = 1e11
"""Numbers from this on are epoch times in milliseconds or a smaller unit."""

MILLISECONDS = rb"[1-9]\d{12}"
"""Milliseconds since the epoch, as pino and Date.now() write them, for every year from 2001 to 2286."""


class TimestampParser:
    """Parser that completes timestamps: it adds the date to a time of day, and the year to a syslog timestamp.

    The date is that of the log's last change, or today. A time of day that is half a day earlier than the line before
    belongs to the next day. A local time that occurs twice in autumn means the second occurrence if an earlier line of
    the log is after the first one.

    has_fractions  at least one timestamp was more precise than a second
    """

    def __init__(self, path: str, keys: Sequence[str] = ()) -> None:
        self._keys: Sequence[str] = (*keys, *KEYS) if keys else KEYS
        try:
            changed = Path(path).stat().st_mtime
        except (OSError, ValueError):
            changed = time.time()
        self._log_date = datetime.fromtimestamp(changed)
        self._last: float | None = None
        self._latest = 0.0
        self.has_fractions = False
        self._day_first: bool | None = None

    def find(self, text: str) -> float | None:
        """Return the most precise time in a prefix, None if there is no time."""
        found: float | None = None
        for match in STAMP.finditer(text):
            kind = match.lastgroup or ""
            at = self.parse(kind, match[0])
            if at is None:
                continue
            if found is None:
                found = at
            elif found % 1 == 0 < at % 1 and at % 60 - at % 1 == found % 60:
                return found + at % 1  # date of the collector's timestamp, fraction of the logger's
        return found

    def parse(self, kind: str, text: str) -> float | None:
        """Return the timestamp `text` in seconds since the epoch, None if it is not valid.

        kind  name of the notation of the timestamp in `STAMP_SOURCE`
        """
        if not self.has_fractions and (_FRACTION.search(text) or (kind == "epoch" and len(text) > 10)):
            self.has_fractions = True
        try:
            return self._seconds(kind, text.replace(",", ".") if kind in {"iso", "clock"} else text)
        except (ValueError, OverflowError, OSError):
            return None

    def _seconds(self, kind: str, text: str) -> float:
        if kind == "epoch":
            return float(text) / (1000 if len(text) == 13 and text.isdigit() else 1)
        if kind == "clock":
            return self._clock_time(_clock(text))
        if kind == "iso":
            return self._local_or_absolute(_iso(text))
        return self._local_or_absolute(self._with_date(kind, text))

    def _local_or_absolute(self, moment: datetime) -> float:
        """Return `moment` in seconds since the epoch.

        A time without a zone is local. If it occurs twice in autumn, the second occurrence is used if an earlier line
        of the log is after the first one.
        """
        at = moment.timestamp()
        if moment.tzinfo is None:
            if OUT_OF_ORDER_S < self._latest - at <= AMBIGUOUS_S:
                at = max(at, moment.replace(fold=1).timestamp())
            self._latest = at
        return at

    def _with_date(self, kind: str, text: str) -> datetime:
        if kind == "clf":
            text = text.replace(" ", ":", 1) if text[11] == " " else text
            form = "%d/%b/%Y:%H:%M:%S" + (" %z" if " " in text else "")
            return datetime.strptime(text, form)
        if kind == "klog":
            date, clock = text[1:].split()
            year = int(date[:-4] or self._log_date.year)
            return datetime(year, int(date[-4:-2]), int(date[-2:])) + timedelta(seconds=_clock(clock))
        if kind == "mdy":
            date, _, clock = text.replace(", ", " ").replace(",", " ").partition(" ")
            first, second, year = (int(number) for number in _DATE_SIGN.split(date))
            day, number = (first, second) if self._is_day_first(first, second, year) else (second, first)
            return datetime(year, number, day) + timedelta(seconds=_clock(clock.strip()))
        if kind == "ymd":
            date, _, clock = text.replace(", ", " ").replace(",", " ").partition(" ")
            year, number, day = (int(each) for each in date.split("/"))
            return datetime(year, number, day) + timedelta(seconds=_clock(clock.strip()))
        first_word, second_word, *rest = text.replace("@ ", "").replace(", ", " ").split()
        month, day_text = (second_word, first_word) if kind == "dmy" else (first_word, second_word)
        zone = timezone(_offset(rest.pop())) if rest[-1].startswith("GMT") else None
        years = [rest.pop(at) for at in (0, -1) if len(rest) > 1 and rest[at].isdigit()]
        year = int(years[0]) if years else self._log_date.year
        moment = datetime(year, _MONTHS.split("|").index(month) + 1, int(day_text), tzinfo=zone)
        return moment + timedelta(seconds=_clock(" ".join(rest)))

    def _is_day_first(self, first: int, second: int, year: int) -> bool:
        """Return whether `first` is the day and `second` the month of a date.

        A number above 12 decides it for all dates of the log. Until one occurs, the month is assumed to be first,
        unless only the other order gives a date that is not in the future.
        """
        if first > LAST_MONTH or second > LAST_MONTH:
            self._day_first = first > LAST_MONTH
        if self._day_first is not None:
            return self._day_first
        latest = self._log_date + timedelta(days=1)
        return datetime(year, first, second) > latest >= datetime(year, second, first)

    def detect_date_order(self, log: bytes) -> None:
        """Find out from the first lines of a log whether its dates start with the day or with the month."""
        for match in _NUMERIC_DATE.finditer(log):
            first, second = int(match[1]), int(match[2])
            if max(first, second) > LAST_MONTH >= min(first, second):
                self._day_first = first > LAST_MONTH
                return

    def _clock_time(self, seconds: float) -> float:
        moment = datetime(self._log_date.year, self._log_date.month, self._log_date.day) + timedelta(seconds=seconds)
        if self._last is not None:
            behind = self._last - moment.timestamp()
            moment += timedelta(days=math.ceil((behind - _DAY_S / 2) / _DAY_S) if behind > _DAY_S / 2 else 0)
        self._last = self._local_or_absolute(moment)
        return self._last

    def from_fields(self, fields: dict[str, Any]) -> float | None:
        """Return the time of a structured record, None if no field contains a time."""
        for key in self._keys:
            value = fields.get(key)
            if value is not None and (at := self._from_value(value)) is not None:
                return at
        return None

    def field_reader(self, fields: dict[str, Any]) -> tuple[str, TimeReader | None]:
        """Return the key of the time field in records with the same fields, and a function that parses its JSON value.

        Return ("", None) if no field contains a time. If the value in `fields` is a whole number of milliseconds since
        the epoch, the function reads only such numbers.
        """
        for key in self._keys:
            value = fields.get(key)
            if value is None or isinstance(value, bool):
                continue  # not a time in any record of this shape
            if is_milliseconds(value):
                self.has_fractions = True
                return key, _milliseconds
            return key, lambda raw: self._from_value(json.decode(raw))
        return "", None

    def _from_value(self, value: Any) -> float | None:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return self._from_number(float(value))
        if not isinstance(value, str):
            return None
        if value.isdigit() and len(value) >= 10:
            return self._from_number(float(value))
        match = STAMP.match(value.lstrip("["))
        return self.parse(match.lastgroup or "", match[0]) if match is not None else None

    def _from_number(self, number: float) -> float | None:
        self.has_fractions = self.has_fractions or number >= MIN_MILLISECONDS or not number.is_integer()
        return epoch_seconds(number)


def is_milliseconds(value: Any) -> bool:
    """Return whether the value is a time in milliseconds since the epoch: a whole number of 13 digits."""
    return type(value) is int and 10**12 <= value < 10**13


def _milliseconds(raw: bytes) -> float:
    return int(raw) / 1000


def epoch_seconds(number: float) -> float | None:
    """Return seconds since the epoch from a number of seconds, milliseconds, microseconds or nanoseconds.

    The size of the number shows its unit. Return None if the number is not a time.
    """
    for unit in (1.0, 1e3, 1e6, 1e9):
        if 1e9 <= number / unit < 1e10:
            return number / unit
    return None


def split_trailing_time(text: str) -> tuple[str, str]:
    """Return a line without the time of day that some loggers print at its end, and this time ("" if there is none)."""
    tail = _TAIL.search(text) if text[-1:].isalnum() or text[-1:] in "]." else None
    return (text[: tail.start()], tail[0]) if tail is not None else (text, "")


def _offset(text: str) -> timedelta:
    """Return the offset of a zone such as "GMT+0100"."""
    minutes = int(text[4:6]) * 60 + int(text[6:8])
    return timedelta(minutes=-minutes if text[3] == "-" else minutes)


def _iso(text: str) -> datetime:
    text = text.replace(" UTC", "Z").replace("UTC", "Z").replace(" Z", "Z")
    date, clock = text[:10], text[11:].replace(" ", "")
    return datetime.fromisoformat(f"{date}T{clock[:8].replace('.', ':')}{clock[8:]}")


def _clock(text: str) -> float:
    digits = re.match(r"(\d+):(\d+):(\d+(?:[.,]\d+)?)\s*([AaPp])?", text.replace("\xa0", " ").replace("\u202f", " "))
    if digits is None:
        raise ValueError(text)
    hour = int(digits[1])
    if digits[4] is not None:
        hour = hour % 12 + (12 if digits[4] in "pP" else 0)
    return hour * 3600 + int(digits[2]) * 60 + float(digits[3].replace(",", "."))
