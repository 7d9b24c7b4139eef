"""`wscheck scan`: evaluate source code, without running it."""

from pathlib import Path
from typing import Annotated

import typer

from wscheck.commands.options import Baseline, FailOn, Formats, Strict


def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the frontend's source code, or a file.")
    ] = Path(),
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
) -> None:
    """Find the places in source code that open connections, and what is certainly wrong with them.

    Reads JavaScript, TypeScript, JSX, Vue, Svelte and HTML, and runs nothing. Lists each call that opens a Socket.IO
    connection, a WebSocket or an EventSource, and reports calls in render, effects without cleanup, several places that
    open the same URL, and listeners that are never removed. `wscheck browser URL` shows what a page really opens.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 nothing found that opens a connection.
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.model.findings import Verdict
    from wscheck.model.report import ScanReport
    from wscheck.report import formats
    from wscheck.run.scan.run import plan_scan, run_scan

    outputs = formats.prepare_outputs(format)
    flags = {"policy.baseline": baseline, "verify.fail_on": fail_on, "verify.strict": strict}
    empty = ScanReport(schema="wscheck.scan/1", target=str(folder), verdict=Verdict.INCONCLUSIVE)
    with write_on_abort(outputs, lambda: empty):
        report = run_scan(plan_scan(load_config(flags), folder))
    formats.write_outputs(outputs, report, [])
    raise typer.Exit(exit_codes.exit_code(report.verdict))
