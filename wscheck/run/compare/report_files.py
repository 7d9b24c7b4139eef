"""JSON reports read from files, to be compared."""

from pathlib import Path

import msgspec

from wscheck.model import load_report
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, VerifyReport

COMPARABLE: dict[str, type[Report]] = {"wscheck.verify/1": VerifyReport, load_report.SCHEMA: LoadReport}
"""Schema to the type of each report that can be compared."""


class _SchemaField(msgspec.Struct):
    schema: str


def read_reports(before: Path, after: Path) -> tuple[Report, Report]:
    """Read both reports.

    Raises:
        BadEvidence: A file is missing, broken or of another version.
        UsageError: A report cannot be compared, or the two are of different kinds.
    """
    first, second = read_report(before), read_report(after)
    if type(first) is not type(second):
        raise UsageError(
            f"{before} is {first.schema} and {after} is {second.schema}: they have no measure in common.",
            "Compare two load reports or two verify reports.",
        )
    return first, second


def read_report(path: Path) -> Report:
    """Read one report. Raises BadEvidence and UsageError as `read_reports` does."""
    raw = _read_bytes(path)
    try:
        schema = msgspec.json.decode(raw, type=_SchemaField).schema
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} is not a wscheck report: {error}.",
            "Write a report with --format json=PATH. If the file was copied, copy it again: it may be incomplete.",
        ) from None
    kind = COMPARABLE.get(schema)
    if kind is None:
        raise _not_comparable(path, schema)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} does not match its schema {schema}: {error}.", "Write the report again with --format json=PATH."
        ) from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadEvidence(
            f"{path} cannot be read: {error.strerror}.",
            "Write a report with `wscheck load --format json=PATH` or `wscheck verify --format json=PATH`.",
        ) from None


def _not_comparable(path: Path, schema: str) -> UsageError | BadEvidence:
    name = schema.partition("/")[0]
    if any(name == known.partition("/")[0] for known in COMPARABLE):
        return BadEvidence(
            f"{path} has the schema {schema}, which this version of wscheck cannot read.",
            "Use the version of wscheck that wrote it.",
        )
    known = " or ".join(COMPARABLE)
    return UsageError(
        f"{path} has {f'the schema {schema}' if schema else 'no schema'}, which cannot be compared.",
        f"Give two reports of the schema {known}.",
    )
