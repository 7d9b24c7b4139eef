"""`--format FMT[=PATH]`: which formats were asked for, and getting each to its place whole or not at all."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from wscheck.model.errors import UsageError
from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.report import REPORTERS


@dataclass(frozen=True)
class ReportOutput:
    """One requested format. `path` None means stdout."""

    format: str
    path: Path | None = None


def prepare_outputs(values: Sequence[str] | None, choices: Iterable[str] = REPORTERS) -> list[ReportOutput]:
    """What a command line asks for, each with a place to write it to. Raises UsageError as `parse` and `prepare` do."""
    outputs = parse_outputs(values or (), choices)
    create_directories(outputs)
    return outputs


def parse_outputs(values: Sequence[str], choices: Iterable[str] = REPORTERS) -> list[ReportOutput]:
    """The outputs that `values` (each `FMT` or `FMT=PATH`) ask for; the terminal's to stdout when there are none.

    `choices` are the formats that the calling command has something to say in.

    `FMT=-` is stdout too. Raises UsageError for an unknown format, for a second format on stdout (its reader could
    not tell where one ends), and for two formats in one file.
    """
    outputs = [_parse_one(value, tuple(choices)) for value in values or ["terminal"]]
    _refuse_sharing(outputs)
    return outputs


def create_directories(outputs: Iterable[ReportOutput]) -> None:
    """Make every parent directory before the run, so that a path that cannot be written costs no run. Raises
    UsageError."""
    for output in outputs:
        if output.path is None:
            continue
        if output.path.is_dir():
            raise UsageError(f"{output.path} is a directory.", f"Name a file: --format {output.format}=PATH.")
        try:
            output.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(output.path, error) from error


def write_outputs(
    outputs: Sequence[ReportOutput],
    report: Report,
    events: Sequence[AnyEvent],
    stdout: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Render every output and put it in its place. One that cannot be written does not keep the others from it."""
    failed: list[UsageError] = []
    for output in outputs:
        try:
            _deliver_one(output, report, events, stdout or sys.stdout, environ)
        except UsageError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees the old file or the whole new one, never a part.

    What exists and is no regular file (`/dev/stderr`, a pipe) is written to as it is: renaming would replace it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise _unwritable(path, error) from error


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
        problem = f"Unknown format `{name}`." if name not in REPORTERS else f"`{name}` is no format of this command."
        raise UsageError(problem, f"Choose from: {', '.join(choices)}; FORMAT=PATH writes to a file.")
    if equals and not path:
        raise UsageError(f"`--format {value}` names no file.", f"Write --format {name}=PATH, or {name} for stdout.")
    return ReportOutput(name, None if path in ("", "-") else Path(path))


def _refuse_sharing(outputs: Sequence[ReportOutput]) -> None:
    taken: dict[Path | None, str] = {}
    for output in outputs:
        place = output.path.absolute() if output.path else None
        if place in taken:
            where = f"the file {output.path}" if output.path else "stdout"
            first = taken[place]
            problem = f"The formats `{first}` and `{output.format}` were both asked to write to {where}."
            raise UsageError(problem, f"Give one of them its own file: --format {output.format}=PATH.")
        taken[place] = output.format


def _deliver_one(
    output: ReportOutput, report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]
) -> None:
    if output.format == "github" and (summary := environ.get("GITHUB_STEP_SUMMARY")):
        _append_summary(Path(summary), report, events)
    if output.path is None:
        _show(output.format, report, events, stdout, environ)
        return
    content = REPORTERS[output.format]()(report, events)
    write_atomically(output.path, content.encode() if isinstance(content, str) else content)
    print_written_path(output)


def print_written_path(output: ReportOutput) -> None:
    """Say which file holds it."""
    if output.path is not None:
        print(f"wrote {output.path}", file=sys.stderr)


def _show(name: str, report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]) -> None:
    """On standard output, to the last byte: what a full disk keeps back must not go unsaid."""
    try:
        if name == "terminal":
            from wscheck.report.terminal import show

            show(report, events, stdout, environ)
            stdout.flush()
        else:
            _print(REPORTERS[name]()(report, events), stdout)
    except BrokenPipeError:
        raise  # the reader left, which is no failure
    except OSError as error:
        raise UsageError(
            f"Standard output cannot be written: {error.strerror}.", "Write to a file: --format FORMAT=PATH."
        ) from error


def _append_summary(path: Path, report: Report, events: Sequence[AnyEvent]) -> None:
    """The step summary belongs to every step of a job: it is added to, never replaced."""
    from wscheck.report.github import step_summary

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(step_summary(report, events))
    except OSError as error:
        raise _unwritable(path, error) from error


def _print(content: str | bytes, stdout: TextIO) -> None:
    """Text or bytes to `stdout`; bytes past its encoding, since JSON and XML declare their own."""
    raw = content.encode() if isinstance(content, str) else content
    if (buffer := getattr(stdout, "buffer", None)) is not None:
        stdout.flush()
        buffer.write(raw)
    else:
        stdout.write(raw.decode())
    stdout.flush()


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another path.")
