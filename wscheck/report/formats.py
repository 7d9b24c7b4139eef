"""Option `--format FORMAT[=PATH]`: parsing the requested formats, and writing them to files or stdout."""

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from wscheck.model.errors import UsageError
from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.model.secrets import Redactor
from wscheck.report import REPORTERS

MAX_WAIT_FOR_READER_S = 5.0
"""Longest time that a report for a named pipe waits for the reader of the pipe."""


@dataclass(frozen=True)
class ReportOutput:
    """A requested format with its file. `path` is None for stdout."""

    format: str
    path: Path | None = None


def prepare_outputs(
    values: Sequence[str] | None, choices: Iterable[str] = REPORTERS, inputs: Iterable[Path | None] = ()
) -> list[ReportOutput]:
    """Parse the values of `--format`, and create the directories of the files to write.

    No file to write may be one of `inputs`, the files that the command reads.

    Raises:
        UsageError: As `parse_outputs`, `reject_inputs` and `create_directories` do.
    """
    outputs = parse_outputs(values or (), choices)
    reject_inputs([output.path for output in outputs], inputs)
    create_directories(outputs)
    return outputs


def parse_outputs(values: Sequence[str], choices: Iterable[str] = REPORTERS) -> list[ReportOutput]:
    """Parse the values of `--format`, each `FORMAT` or `FORMAT=PATH`. Without values, return the terminal format.

    `FORMAT` and `FORMAT=-` both mean stdout. `choices` are the formats that the command supports.

    Raises:
        UsageError: A format is unknown, two formats have the same file, or two formats go to stdout, where a reader
            could not separate them.
    """
    outputs = [_parse_one(value, tuple(choices)) for value in values or ["terminal"]]
    _reject_shared_files(outputs)
    return outputs


def reject_inputs(written: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Reject an output path that leads to a file which the command reads, directly or through a link.

    Raises:
        UsageError: One of the files `written` is one of `inputs`.
    """
    outputs = {_identity(path): path for path in written if path is not None}
    for path in inputs if outputs else ():
        if path is not None and (output := outputs.get(_identity(path))) is not None:
            raise UsageError(f"{output} would be written, and the run reads it ({path}).", "Choose another path.")


def _identity(path: Path) -> object:
    """Return a value that is equal for two paths of the same file, even if the file does not exist yet."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return os.path.realpath(path)


def create_directories(outputs: Iterable[ReportOutput]) -> None:
    """Create the parent directories of all outputs.

    Call this before the run, so that an unwritable path is reported at once.

    Raises:
        UsageError: A path is a directory, or its parent cannot be created.
    """
    for output in outputs:
        if output.path is None:
            continue
        try:
            output.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(output.path.stat().st_mode):
                    raise UsageError(
                        f"{output.path} is a directory.", f"Name a file: `report.format={output.format}=PATH`."
                    )
        except OSError as error:
            raise _unwritable(output.path, error) from error


def write_outputs(
    outputs: Sequence[ReportOutput],
    report: Report,
    events: Sequence[AnyEvent],
    *,
    stdout: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
    redactor: Redactor | None = None,
) -> None:
    """Render and write every output, without the secrets that `redactor` knows and without apparent credentials.

    Raises:
        UsageError: An output cannot be written. All other outputs are written first.
        BrokenPipeError: The reader of stdout has closed it. All other outputs are written first.
    """
    failed: list[UsageError | BrokenPipeError] = []
    report, events = (redactor or Redactor()).redact_data((report, events))
    for output in outputs:
        try:
            _write_output(output, report, events, stdout or sys.stdout, environ)
        except (UsageError, BrokenPipeError) as error:
            failed.append(error)
    if failed:
        raise failed[0]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees either the old file or the complete new one.

    A device or a pipe (`/dev/stderr`) is written to directly, because renaming would replace it.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo():
            _write_to_pipe(path, content)
        elif path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_to_pipe(path: Path, content: bytes) -> None:
    """Write to a named pipe as soon as another process reads it. Raise UsageError if none does within a few seconds."""
    with open_pipe(path) as file:
        file.write(content)


def open_pipe(path: Path) -> BinaryIO:
    """Open a named pipe for writing.

    Raises:
        UsageError: Nobody reads the pipe within `MAX_WAIT_FOR_READER_S`.
    """
    deadline = time.monotonic() + MAX_WAIT_FOR_READER_S
    while True:
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise UsageError(f"{path} is a pipe that nobody reads.", "Start its reader, or name a file.") from None
            time.sleep(0.05)
    os.set_blocking(pipe, True)
    return os.fdopen(pipe, "wb")


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _parse_one(value: str, choices: Sequence[str]) -> ReportOutput:
    name, equals, path = value.partition("=")
    if name not in choices:
        problem = (
            f"Unknown format `{name}`."
            if name not in REPORTERS
            else f"This command does not support the format `{name}`."
        )
        raise UsageError(problem, f"Choose from: {', '.join(choices)}; FORMAT=PATH writes to a file.")
    if equals and not path:
        raise UsageError(
            f"`report.format={value}` names no file.", f"Write `report.format={name}=PATH`, or {name} for stdout."
        )
    return ReportOutput(name, None if path in ("", "-") else Path(path))


def _reject_shared_files(outputs: Sequence[ReportOutput]) -> None:
    formats_by_path: dict[object, str] = {}
    for output in outputs:
        path = _identity(output.path) if output.path else None
        if path in formats_by_path:
            where = f"the file {output.path}" if output.path else "stdout"
            first = formats_by_path[path]
            raise UsageError(
                f"The formats `{first}` and `{output.format}` would both be written to {where}.",
                f"Give one of them its own file: `report.format={output.format}=PATH`.",
            )
        formats_by_path[path] = output.format


def _write_output(
    output: ReportOutput, report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]
) -> None:
    if output.format == "github" and (summary := environ.get("GITHUB_STEP_SUMMARY")):
        _append_summary(Path(summary), report, events)
    if output.path is None:
        _write_to_stdout(output.format, report, events, stdout, environ)
        return
    write_atomically(output.path, _render(output.format, report, events))
    print_written_path(output)


def _render(name: str, report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return the report in the format `name`, encoded as UTF-8."""
    content = REPORTERS[name]()(report, events)
    return content.encode() if isinstance(content, str) else content


def print_written_path(output: ReportOutput) -> None:
    """Print the path of an output to stderr. Print nothing for stdout."""
    if output.path is not None:
        print(f"wrote {output.path}", file=sys.stderr)


def _write_to_stdout(
    name: str, report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]
) -> None:
    """Write to stdout and flush it, so that an error such as a full disk is reported."""
    try:
        if name == "terminal":
            from wscheck.report.terminal import print_report

            print_report(report, events, stdout, environ)
            stdout.flush()
        else:
            _print(_render(name, report, events), stdout)
    except BrokenPipeError:
        raise  # the reader closed the pipe, which is not an error
    except OSError as error:
        raise UsageError(
            f"Standard output cannot be written: {error.strerror}.", "Write to a file: `report.format=FORMAT=PATH`."
        ) from error


def _append_summary(path: Path, report: Report, events: Sequence[AnyEvent]) -> None:
    """Append the report to GitHub's step summary, a file that every step of the job appends to."""
    try:
        with path.open("ab") as file:
            file.write(_render("markdown", report, events))
    except OSError as error:
        raise _unwritable(path, error) from error


def _print(raw: bytes, stdout: TextIO) -> None:
    """Write the UTF-8 text `raw` to `stdout` unchanged, even if the stream has another encoding."""
    if (buffer := getattr(stdout, "buffer", None)) is not None:
        stdout.flush()
        buffer.write(raw)
    else:
        stdout.write(raw.decode())
    stdout.flush()


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another path.")
