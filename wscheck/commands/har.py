"""`wscheck har`: judge what somebody's browser recorded, without a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wscheck.commands.options import FailOn, Formats, Grace, IdentityRule, MaxAttempts, SourceRoot, Strict

if TYPE_CHECKING:
    from wscheck.config.loading import Config
    from wscheck.model.events import AnyEvent
    from wscheck.model.report import BrowserReport


def har(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="HAR files of Chrome's DevTools or Playwright.")],
    identity: IdentityRule = None,
    source_maps: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A build's folder with its .map files (repeatable)."),
    ] = None,
    source_root: SourceRoot = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
) -> None:
    """Judge HAR files that a browser recorded.

    Says who held more than one connection, which line opened each, why, and what to change. Tokens, cookies and
    payloads in the files never reach an output.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check (no HAR, or no Socket.IO in it).
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats
    from wscheck.run.page_report import blank

    outputs = formats.prepare_outputs(format)
    flags = {
        "browser.identity": identity,
        "browser.source_root": source_root,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    with write_on_abort(outputs, lambda: blank(", ".join(map(str, files))), inputs=files):
        report, events = _judged(load_config(flags), files, source_maps or [])
    formats.write_outputs(outputs, report, events)
    raise typer.Exit(exit_codes.exit_code(report.verdict))


def _judged(config: "Config", files: list[Path], folders: list[Path]) -> "tuple[BrowserReport, list[AnyEvent]]":
    from wscheck.model.errors import UsageError
    from wscheck.observe.har import read
    from wscheck.observe.traffic import IdentityRule
    from wscheck.run import page_report

    missing = next((folder for folder in folders if not folder.is_dir()), None)
    if missing is not None:
        raise UsageError(f"--source-maps {missing} is no directory.", "Name the folder that the build wrote.")
    heard = read(files, IdentityRule.parse(config["browser.identity"]), folders, config["browser.source_root"] or "")
    report = page_report.report(
        heard.events,
        config.judge_options,
        config.bar,
        target=", ".join(map(str, files)),
        pages=heard.pages,
        notes=heard.notes,
    )
    times = [event.at for event in heard.events if event.at is not None]
    if times:
        report.started_at, report.duration_s = min(times), round(max(times) - min(times), 3)
    return report, page_report.recorded(heard.events)
