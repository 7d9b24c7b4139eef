"""Tables: exports of logs as CSV, whose first line names the columns."""

import csv
from typing import NamedTuple

from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern

MIN_COLUMNS = 3
_NAME = lazy_pattern(r"[A-Za-z_@][\w .@/-]{0,60}?(?:\s*\[[\w ]+\])?")
_UNIT = lazy_pattern(r"(?<!\s)\s*+\[[\w ]+\]$")
_TIME_NAME = lazy_pattern(r"(?i)time|date|stamp|^@?(?:ts|t|at|when|(?:ts|occurred|logged|created)_\w{1,8})$")


class Table(NamedTuple):
    """Names of the columns of a log that is a table."""

    columns: tuple[str, ...]

    def fields(self, line: str) -> dict[str, str] | None:
        """Return the values of a line by column, None if the line is not a whole row of the table."""
        values = _split(line)
        return dict(zip(self.columns, values, strict=True)) if len(values) == len(self.columns) else None


def parse_table_header(header: str) -> Table | None:
    """Return the table that starts with the line `header`, None if this line does not name columns.

    One of the columns must be the time. Units, as in "TimeGenerated [UTC]", are not part of a column's name.
    """
    names = _split(header.lstrip("\ufeff").rstrip("\r\n"))
    if len(names) < MIN_COLUMNS or not all(_NAME.fullmatch(name) for name in names) or STAMP.search(header):
        return None
    columns = tuple(_UNIT.sub("", name) for name in names)
    is_table = len(set(columns)) == len(columns) and any(map(_TIME_NAME.search, columns))
    return Table(columns) if is_table else None


def _split(line: str) -> list[str]:
    if "," not in line:
        return []
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
