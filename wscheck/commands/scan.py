"""`wscheck scan`: evaluate source code, without running it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wscheck.commands.options import Baseline, FailOn, Formats, Strict

if TYPE_CHECKING:
    from wscheck.model.report import ScanReport
    from wscheck.model.secrets import Redactor
    from wscheck.run.scan.run import ScanPlan


def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the frontend's source code, or a file.")
    ] = Path(),
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Add missing cleanups where they are certain, print the diff, and scan again.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Print the changes that --fix would make as a diff, without making them.")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Pass if nothing opens a connection, e.g. in a pre-commit hook.")
    ] = False,
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
    from wscheck.model.errors import UsageError
    from wscheck.model.findings import Verdict
    from wscheck.model.report import ScanReport
    from wscheck.report import formats
    from wscheck.run.scan.run import plan_scan, run_scan

    if diff and (fix or any("=" not in each for each in format or ())):
        raise UsageError("--diff uses stdout.", "Leave out --fix, and give each --format a file: --format json=PATH.")
    outputs = formats.prepare_outputs(format, inputs=[folder]) if format or not diff else []
    flags = {"policy.baseline": baseline, "verify.fail_on": fail_on, "verify.strict": strict}
    empty = ScanReport(schema="wscheck.scan/1", target=str(folder), verdict=Verdict.INCONCLUSIVE)
    with write_on_abort(outputs, lambda: empty):
        config = load_config(flags)
        plan = plan_scan(config, folder, allow_empty=allow_empty)
        report = run_scan(plan)
        if fix or diff:
            report = _fix(plan, report, config.redactor, write=fix)
    formats.write_outputs(outputs, report, [], redactor=config.redactor)
    raise typer.Exit(exit_codes.exit_code(report.verdict))


def _fix(plan: "ScanPlan", report: "ScanReport", redactor: "Redactor", write: bool) -> "ScanReport":
    """Print a diff that adds missing cleanups. With `write`, change the files and return their new report."""
    from wscheck.detect.code.cleanup_patches import unified_diff
    from wscheck.model.secrets import redact_credentials_in_code
    from wscheck.report.formatting import plural
    from wscheck.run.scan.run import proposed_changes, run_scan, write_change

    changes = list(proposed_changes(plan, report))
    output = sys.stderr.buffer if write else sys.stdout.buffer
    for change in changes:
        difference = unified_diff(change.path, change.before, change.after)
        shown = redactor.redact_forms(redact_credentials_in_code(difference))
        output.write(shown.encode())
        if shown != difference and not write:
            hint = "the diff hides a credential and cannot be applied; --fix makes the change."
            print(f"{change.path}: {hint}", file=sys.stderr)
    output.flush()
    if not write or not changes:
        return report
    for change in changes:
        write_change(plan, change)
    effects = plural(sum(change.fixed for change in changes), "effect")
    print(f"added a cleanup to {effects} in {plural(len(changes), 'file')}", file=sys.stderr)
    return run_scan(plan)
