"""`wscheck browser`: watch a real page, and name the line that opened each connection."""

import sys
from typing import TYPE_CHECKING, Annotated

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
    Watch,
)

if TYPE_CHECKING:
    from wscheck.run.browser.run import BrowserPlan
    from wscheck.run.page_report import PageOutcome


def browser(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL", help="Pages to open, each in its own tab. After --: a command that drives the browser."
        ),
    ] = None,
    visit: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Page that the first tab opens after the time of --for (repeatable)."),
    ] = None,
    watch_for: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Time to watch each page [5s].")
    ] = None,
    loop: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Follow each link of the page N times, and find connections and handlers that accumulate."
        ),
    ] = None,
    loop_links: Annotated[
        str | None, typer.Option(metavar="N", help="Number of links that --loop follows at most [10].")
    ] = None,
    program: Annotated[
        str | None,
        typer.Option(
            "--browser", metavar="PATH", help="Chromium, Chrome or Edge program to launch [the first one found]."
        ),
    ] = None,
    cdp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Watch a browser that already runs: the address of its debugging port."),
    ] = None,
    storage_state: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="File with cookies and local storage (Playwright's storageState) to start logged in."
        ),
    ] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Accept invalid TLS certificates.")] = None,
    identity: IdentityRule = None,
    source_root: SourceRoot = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    connections: Connections = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
    watch: Watch = False,
) -> None:
    """Watch a real page, and find the line of code that opened each connection.

    Reports how many connections each user has, the file and line that opened each, why, and what to change.

    Launches a headless Chromium, or with --cdp watches a browser that already runs: one with a logged-in user, or that
    of a test run. After -- comes a command that drives the browser; wscheck watches until it ends.

    \b
    wscheck browser http://localhost:3000/dashboard
    wscheck browser http://localhost:3000/ --visit http://localhost:3000/wizard
    wscheck browser http://localhost:3000/ --loop 7
    wscheck browser --cdp http://127.0.0.1:9222 -- npx playwright test

    Steps such as clicks and input are configured in wscheck.toml as [[browser.step]]: see `wscheck docs browser`.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check (no real-time connection), 130 interrupted.
    """
    pages, command = _split_command(urls or [])
    flags = {
        "browser.for": watch_for,
        "browser.loop": loop,
        "browser.loop_links": loop_links,
        "browser.browser": program,
        "browser.cdp": cdp,
        "browser.storage_state": storage_state,
        "target.insecure": insecure,
        "browser.identity": identity,
        "browser.source_root": source_root,
        "policy.connections": connections,
        "policy.baseline": baseline,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.commands.watching import finish_run
    from wscheck.config.loading import load_config
    from wscheck.config.settings import redact_url
    from wscheck.report import formats
    from wscheck.run.browser.run import plan_browser_run
    from wscheck.run.page_report import empty_page_report

    outputs = formats.prepare_outputs(format)
    shown = [redact_url(page.partition("#")[0]) for page in pages]

    def run() -> "PageOutcome":
        with write_on_abort(outputs, lambda: empty_page_report(" ".join(shown))):
            config = load_config(flags)
            plan = plan_browser_run(config, pages, visit or [], command)
            plan.thumbnails = any(output.format == "html" for output in outputs)
            return config.redactor.redact_data(_run_with_progress(plan))

    finish_run(run, outputs, watch=watch)


def _split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the pages and the command: the parser passes both as one list, without the `--` between them."""
    argv = sys.argv[1:]
    command = argv[argv.index("--") + 1 :] if "--" in argv else []
    if command and arguments[-len(command) :] == command:
        return arguments[: -len(command)], command
    return arguments, []


def _run_with_progress(plan: "BrowserPlan") -> "PageOutcome":
    from wscheck.commands import exit_codes
    from wscheck.commands.progress import progress_bar
    from wscheck.run.browser.run import run_browser

    with progress_bar("Watching") as progress:
        return exit_codes.run_until_signal(run_browser(plan, progress))
