"""`wscheck compare`: the documented benefits as measured numbers, from two reports."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("terminal", "markdown", "json", "html", "junit", "github")


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="JSON report of `wscheck load` or `wscheck verify`.")
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The other run, of the same command.")],
    format: Annotated[
        list[str] | None, typer.Option(metavar="FORMAT[=PATH]", help=f"{', '.join(FORMATS)} (repeatable).")
    ] = None,
) -> None:
    """Compare two runs: what became better, what worse.

    Exit codes: 0 nothing got worse, 1 something did, 2 usage, 3 a run showed nothing or cannot be read.
    """
    from wscheck.commands import exit_codes as ending
    from wscheck.commands.fallback_report import owed
    from wscheck.model.comparison import blank
    from wscheck.model.comparison import compare as compared
    from wscheck.report import formats
    from wscheck.run.compare.reading import read_pair

    outputs = formats.prepare_outputs(format, FORMATS)
    with owed(outputs, lambda: blank(str(before), str(after)), inputs=[before, after]):
        report = compared(*read_pair(before, after))
    formats.write_outputs(outputs, report, [])
    raise typer.Exit(ending.exit_code(report.verdict))
