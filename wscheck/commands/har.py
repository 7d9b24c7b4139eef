"""`wscheck har`: evaluate HAR files, without a browser."""

from pathlib import Path
from typing import Annotated

import typer

from wscheck.commands.options import (
    Baseline,
    Connections,
    FailOn,
    Formats,
    Grace,
    IdentityRule,
    MaxAttempts,
    SourceRoot,
    Strict,
)


def har(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="HAR files saved by Chrome's DevTools or by Playwright.")
    ],
    identity: IdentityRule = None,
    source_maps: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Folder of the frontend's build with the source maps, .map files (repeatable)."
        ),
    ] = None,
    source_root: SourceRoot = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    connections: Connections = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
) -> None:
    """Evaluate HAR files that a browser recorded.

    Reports which user has more than one connection, which line opened each, why, and what to change. Tokens, cookies
    and payloads in the files never reach an output.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check (no HAR, or no real-time connection in it).
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats
    from wscheck.run.har.run import plan_har_run, run_har
    from wscheck.run.page_report import empty_page_report

    outputs = formats.prepare_outputs(format, inputs=files)
    flags = {
        "browser.identity": identity,
        "browser.source_root": source_root,
        "policy.connections": connections,
        "policy.baseline": baseline,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    exit_codes.interrupt_on_signals()
    with write_on_abort(outputs, lambda: empty_page_report(", ".join(map(str, files))), inputs=files):
        config = load_config(flags)
        outcome = run_har(plan_har_run(config, files, source_maps or []))
    formats.write_outputs(outputs, outcome.report, outcome.events, redactor=config.redactor)
    raise typer.Exit(exit_codes.exit_code(outcome.report.verdict))
