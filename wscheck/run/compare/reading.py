"""Reports that wscheck wrote as JSON, read back to be compared."""

from pathlib import Path

import msgspec

from wscheck.model import load_report
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, VerifyReport

KINDS: dict[str, type[Report]] = {"wscheck.verify/1": VerifyReport, load_report.SCHEMA: LoadReport}
"""By schema, what can be compared."""


class _Named(msgspec.Struct):
    schema: str


def read(path: Path) -> Report:
    """The report in `path`. Raises BadEvidence when it is missing or broken, UsageError when it is of no use here."""
    raw = _bytes(path)
    try:
        schema = msgspec.json.decode(raw, type=_Named).schema
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} is not a wscheck report: {error}.",
            "Write one with --format json=PATH; an interrupted copy of a file is cut off: copy it again.",
        ) from None
    kind = KINDS.get(schema)
    if kind is None:
        raise _of_no_use(path, schema)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} says it is {schema} and does not keep to it: {error}.", "Write the report anew with --format json."
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadEvidence(
            f"{path} cannot be read: {error.strerror}.",
            "Write a report with `wscheck load --format json=PATH` or `wscheck verify --format json=PATH`.",
        ) from None


def _of_no_use(path: Path, schema: str) -> UsageError | BadEvidence:
    name = schema.partition("/")[0]
    if any(name == known.partition("/")[0] for known in KINDS):
        return BadEvidence(f"{path} is {schema}, which this wscheck cannot read.", "Use the wscheck that wrote it.")
    known = " or ".join(KINDS)
    return UsageError(f"{path} is {schema or 'of no named kind'}, which cannot be compared.", f"Give two of {known}.")


def read_pair(before: Path, after: Path) -> tuple[Report, Report]:
    """Both reports. Raises as `read` does, and UsageError when they are of different kinds."""
    first, second = read(before), read(after)
    if type(first) is not type(second):
        raise UsageError(
            f"{before} is {first.schema} and {after} is {second.schema}: what they measure is not the same.",
            "Compare two load reports or two verify reports.",
        )
    return first, second
