"""`wscheck compare`: compare the measures in two JSON reports."""

from pathlib import Path
from typing import Annotated

import typer

from wscheck.commands.options import Strict

FORMATS = ("terminal", "markdown", "json", "html", "junit", "github")


def compare(
    before: Annotated[
        Path,
        typer.Argument(metavar="BEFORE", help="JSON report of the first run of `wscheck load` or `wscheck verify`."),
    ],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", help="JSON report of the second run, made by the same command.")
    ],
    format: Annotated[
        list[str] | None, typer.Option(metavar="FORMAT[=PATH]", help=f"{', '.join(FORMATS)} (repeatable).")
    ] = None,
    strict: Strict = None,
) -> None:
    """Compare two runs and show what got better and what got worse.

    Exit codes: 0 nothing got worse, 1 something got worse, 2 usage, 3 a run proved nothing or cannot be read.
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats
    from wscheck.run.compare import compare as compare_reports
    from wscheck.run.compare import empty_comparison, read_reports

    outputs = formats.prepare_outputs(format, FORMATS, inputs=[before, after])
    with write_on_abort(outputs, lambda: empty_comparison(str(before), str(after)), inputs=[before, after]):
        config = load_config({"verify.strict": strict})
        report = compare_reports(*read_reports(before, after), config.bar)
    formats.write_outputs(outputs, report, [], redactor=config.redactor)
    raise typer.Exit(exit_codes.exit_code(report.verdict))
