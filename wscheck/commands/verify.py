"""`wscheck verify`: replay the scenarios against a server and say whether it holds one connection per user."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wscheck.config import Config
    from wscheck.verify import Outcome, Run

TARGET, CLIENT, JUDGING, OUTPUT = "Target", "Client and scenarios", "Judging", "Output"


def verify(
    url: Annotated[
        str | None, typer.Argument(help="The server, e.g. http://localhost:8000. Without one: the embedded backend.")
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Only this scenario (repeatable); see `wscheck rules`.", rich_help_panel=CLIENT
        ),
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(metavar="unified|per-component", help="The client under test.", rich_help_panel=CLIENT),
    ] = None,
    reconnect_on_kick: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="per-component: connect again after a kick.", rich_help_panel=CLIENT),
    ] = None,
    user_id: Annotated[str | None, typer.Option(metavar="ID", help="Connect as.", rich_help_panel=TARGET)] = None,
    second_user_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Another user, to test isolation.", rich_help_panel=TARGET)
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The user's token; or set WSCHECK_TOKEN.", rich_help_panel=TARGET),
    ] = None,
    second_token_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The other's; or WSCHECK_SECOND_TOKEN.", rich_help_panel=TARGET),
    ] = None,
    user_in: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Where the user id travels [auth.userId].", rich_help_panel=TARGET),
    ] = None,
    token_in: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Where the token travels [auth.token].", rich_help_panel=TARGET),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Namespace [/].", rich_help_panel=TARGET)] = None,
    path: Annotated[str | None, typer.Option(help="Endpoint [/socket.io].", rich_help_panel=TARGET)] = None,
    transports: Annotated[
        str | None, typer.Option(metavar="LIST", help="[polling,websocket]", rich_help_panel=TARGET)
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Do not verify the TLS certificate.", rich_help_panel=TARGET)
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="For a connection [20s].", rich_help_panel=TARGET)
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Watch this long for what must not happen [2s].", rich_help_panel=JUDGING
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Allowed overlap of two connections [250ms].", rich_help_panel=JUDGING),
    ] = None,
    max_attempts: Annotated[
        str | None, typer.Option(metavar="N/DURATION", help="Allowed attempts [5/10s].", rich_help_panel=JUDGING)
    ] = None,
    server_log: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="The server's log, - for stdin (repeatable).", rich_help_panel=JUDGING),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="error|warning|note", help="What fails the run [error].", rich_help_panel=JUDGING),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict", help="What could not be judged fails the run.", rich_help_panel=JUDGING),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Judge a recorded run again.", rich_help_panel=JUDGING),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT[=PATH]",
            help="terminal, json, ndjson, junit, github, html (repeatable).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    narrate: Annotated[
        bool, typer.Option("--narrate", help="Print the client's console lines to stderr.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Prove that a server holds exactly one connection per user, or say who holds how many, why, and what to change.

    Without a URL the embedded reference backend is checked, which shows what a pass looks like; with
    --client per-component the documented fault is replayed, which shows what a fail looks like.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 130 interrupted.
    """
    flags = {
        "target.url": url,
        "target.namespace": namespace,
        "target.path": path,
        "target.transports": transports,
        "target.timeout": timeout,
        "target.insecure": insecure,
        "identity.user_id": user_id,
        "identity.second_user_id": second_user_id,
        "identity.token": _read_secret(token_file),
        "identity.second_token": _read_secret(second_token_file),
        "identity.user_in": user_in,
        "identity.token_in": token_in,
        "verify.client": client,
        "verify.reconnect_on_kick": reconnect_on_kick,
        "verify.window": window,
        "verify.server_log": server_log,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    from wscheck.config import load
    from wscheck.reporters import formats

    outputs = formats.parse(format or [])
    formats.prepare(outputs)
    config = load(flags)
    if recording is not None:
        outcome = _replay(recording, config, flags)
    else:
        outcome = _drive(_plan(config, scenario or [], narrate=narrate))
    formats.deliver(outputs, outcome.report, outcome.events)
    raise typer.Exit(_exit_code(outcome))


def _read_secret(path: Path | None) -> str | None:
    from wscheck.errors import UsageError

    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"The token file {path} cannot be read: {reason}.", "Check the path.") from None
    if not token:
        raise UsageError(f"The token file {path} is empty.", "Write the token into it, or set WSCHECK_TOKEN.")
    return token


def _plan(config: "Config", chosen: list[str], *, narrate: bool) -> "Run":
    from wscheck.planning import plan

    return plan(config, chosen, narrate=_to_stderr if narrate else None)


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def _drive(run: "Run") -> "Outcome":
    import asyncio

    from wscheck.commands.progress import drawn
    from wscheck.verify import verify as drive

    with drawn("Verifying") as progress:
        return asyncio.run(drive(run, progress))


def _replay(recording: Path, config: "Config", flags: dict[str, Any]) -> "Outcome":
    from wscheck.assessment import Bar
    from wscheck.findings import Severity
    from wscheck.verify import replay

    asked = flags["verify.fail_on"] is not None or flags["verify.strict"] is not None
    return replay(recording, Bar(Severity(config["verify.fail_on"]), config["verify.strict"]) if asked else None)


def _exit_code(outcome: "Outcome") -> int:
    from wscheck.errors import ExitCode
    from wscheck.findings import Verdict

    if outcome.report.interrupted:
        return ExitCode.INTERRUPTED
    codes = {Verdict.PASSED: ExitCode.CLEAN, Verdict.FAILED: ExitCode.FINDINGS}
    return codes.get(outcome.report.verdict, ExitCode.COULD_NOT_CHECK)
