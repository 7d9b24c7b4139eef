"""`wscheck browser`: watch the real page, and name the line that opened the second connection."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wscheck.commands.options import FailOn, Formats, Grace, IdentityRule, MaxAttempts, SourceRoot, Strict

if TYPE_CHECKING:
    from wscheck.config.loading import Config
    from wscheck.run.browser.run import Browse, Outcome


def browser(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL", help="Pages to open, each in a tab of its own. After --: what drives them."),
    ] = None,
    visit: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Go there afterwards, in the first tab (repeatable).")
    ] = None,
    watch_for: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long to watch [5s].")] = None,
    program: Annotated[
        str | None, typer.Option("--browser", metavar="PATH", help="The Chromium to launch [the first on PATH].")
    ] = None,
    cdp: Annotated[
        str | None, typer.Option(metavar="URL", help="Watch a browser that runs, by its debugging port.")
    ] = None,
    storage_state: Annotated[
        str | None, typer.Option(metavar="PATH", help="Begin logged in: a file of Playwright's storageState.")
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Show pages whose TLS certificate nobody vouches for.")
    ] = None,
    identity: IdentityRule = None,
    source_root: SourceRoot = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
) -> None:
    """Watch a real page: which line opened each connection.

    Says who holds how many, the file and line that opened each, why, and what to change.

    Launches a headless Chromium, or with --cdp watches one that runs already: a logged-in browser, or the browser of a
    test run. What follows -- is a program that drives the browser; it is watched until that ends.

    \b
    wscheck browser http://localhost:3000/dashboard
    wscheck browser http://localhost:3000/ --visit http://localhost:3000/wizard
    wscheck browser --cdp http://127.0.0.1:9222 -- npx playwright test

    What to click and to fill in stands in wscheck.toml, as [[browser.step]]: see `wscheck docs browser`.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check (no Socket.IO traffic), 130 interrupted.
    """
    pages, command = _split(urls or [])
    flags = {
        "browser.for": watch_for,
        "browser.browser": program,
        "browser.cdp": cdp,
        "browser.storage_state": storage_state,
        "target.insecure": insecure,
        "browser.identity": identity,
        "browser.source_root": source_root,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.config.settings import redact_url
    from wscheck.report import formats
    from wscheck.run.page_report import blank

    outputs = formats.prepare_outputs(format)
    shown = [redact_url(page.partition("#")[0]) for page in pages]
    with write_on_abort(outputs, lambda: blank(" ".join(shown))):
        config = load_config(flags)
        run = _plan(config, pages, visit or [], command)
        run.picture = any(output.format == "html" for output in outputs)
        outcome = _drive(run)
    formats.write_outputs(outputs, outcome.report, outcome.events)
    raise typer.Exit(exit_codes.exit_code(outcome.report.verdict, interrupted=outcome.report.interrupted))


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """The pages and the command: the parser hands over both as one, without the `--` between."""
    said = sys.argv[1:]
    command = said[said.index("--") + 1 :] if "--" in said else []
    if command and given[-len(command) :] == command:
        return given[: -len(command)], command
    return given, []


def _plan(config: "Config", urls: list[str], visits: list[str], command: list[str]) -> "Browse":
    from wscheck.run.browser.plan import plan

    return plan(config, urls, visits, command)


def _drive(run: "Browse") -> "Outcome":
    from wscheck.commands import exit_codes
    from wscheck.commands.progress import progress_bar
    from wscheck.run.browser.run import browse

    with progress_bar("Watching") as progress:
        return exit_codes.run_until_signal(browse(run, progress))
