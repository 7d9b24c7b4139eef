"""`wscheck verify`: replay the scenarios against a server and say whether it holds one connection per user."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import (
    Endpoint,
    FailOn,
    Formats,
    Grace,
    Insecure,
    Key,
    Marker,
    MaxAttempts,
    Namespace,
    Strict,
    Timeout,
    TokenIn,
    UserIn,
)
from wscheck.commands.secret_file import read_secret

JUDGING = ("verify.fail_on", "verify.strict")
"""What may be asked anew of a recorded run; it is judged by everything else as it was made."""

if TYPE_CHECKING:
    from wscheck.config.loading import Config
    from wscheck.model.report import VerifyReport
    from wscheck.run.verify.run import VerifyOutcome, VerifyRun


def verify(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The server, e.g. http://localhost:8000. Without one: the embedded backend."
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this scenario (repeatable); see `wscheck rules`.")
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(
            metavar="unified|per-component", help="The client under test [unified]; the other is the documented fault."
        ),
    ] = None,
    reconnect_on_kick: Annotated[
        str | None, typer.Option(metavar="DURATION", help="per-component: connect again so long after a kick [never].")
    ] = None,
    user_id: Annotated[str | None, typer.Option(metavar="ID", help="The user to connect as [user_123].")] = None,
    second_user_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Another user, for isolation and identity-binding.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A file that holds the user's token; or set WSCHECK_TOKEN.")
    ] = None,
    second_token_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The other user's, likewise; or WSCHECK_SECOND_TOKEN.")
    ] = None,
    user_in: UserIn = None,
    token_in: TokenIn = None,
    namespace: Namespace = None,
    path: Endpoint = None,
    transports: Annotated[
        str | None, typer.Option(metavar="LIST", help="In the order they are tried [polling,websocket].")
    ] = None,
    insecure: Insecure = None,
    timeout: Timeout = None,
    window: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long to watch for what must not happen [2s].")
    ] = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    server_log: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="The server's log, read beside the run; - for stdin (repeatable)."),
    ] = None,
    marker: Marker = None,
    key: Key = None,
    page: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Play the documented scenarios on this page, in a browser."),
    ] = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    recording: Annotated[Path | None, typer.Option("--from", metavar="RUN", help="Judge a recorded run again.")] = None,
    format: Formats = None,
    narrate: Annotated[bool, typer.Option("--narrate", help="Print the client's console lines to stderr.")] = False,
) -> None:
    """Prove that a server holds one connection per user.

    Or say who holds how many, which component opened each, why, and what to change.

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
        "identity.token": read_secret(token_file),
        "identity.second_token": read_secret(second_token_file),
        "identity.user_in": user_in,
        "identity.token_in": token_in,
        "verify.client": client,
        "verify.reconnect_on_kick": reconnect_on_kick,
        "verify.window": window,
        "verify.server_log": server_log,
        "verify.page": page,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
    }
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats

    outputs = formats.prepare_outputs(format)
    with write_on_abort(outputs, lambda: _blank(flags, recording), inputs=[recording]):
        config = load_config(flags)
        if recording is not None:
            _only_judging(
                {**flags, "--scenario": scenario, "--narrate": narrate or None, "--marker": marker, "--key": key}
            )
            outcome = _replay(recording, config, flags)
        else:
            outcome = _drive(_plan(config, scenario or [], marker or [], key or [], narrate=narrate))
    formats.write_outputs(outputs, outcome.report, outcome.events)
    raise typer.Exit(exit_codes.exit_code(outcome.report.verdict, interrupted=outcome.report.interrupted))


def _blank(flags: dict[str, Any], recording: Path | None) -> "VerifyReport":
    from wscheck.commands import fallback_report as unfinished
    from wscheck.model.findings import Verdict
    from wscheck.model.report import VerifyReport
    from wscheck.run.verify.run import SCHEMA

    target = str(recording) if recording is not None else unfinished.target_label(flags)
    return VerifyReport(schema=SCHEMA, target=target, verdict=Verdict.INCONCLUSIVE, client="")


def _only_judging(flags: dict[str, Any]) -> None:
    """Refuse what a recording cannot answer to: a flag that changes nothing must not seem to."""
    from wscheck.config.settings import SETTINGS
    from wscheck.model.errors import UsageError

    given = [name for name, value in flags.items() if value not in (None, []) and name not in JUDGING]
    if given:
        names = ", ".join(SETTINGS[name].flag if name in SETTINGS else name for name in given)
        raise UsageError(
            f"--from judges a recorded run, and {names} would change nothing in it.",
            "Leave that out, or run anew without --from.",
        )


def _plan(config: "Config", chosen: list[str], markers: list[str], keys: list[str], *, narrate: bool) -> "VerifyRun":
    from wscheck.observe.client.console_messages import discard_line
    from wscheck.run.verify.plan import plan_verify_run

    return plan_verify_run(config, chosen, markers, keys, console=_to_stderr if narrate else discard_line)


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def _drive(run: "VerifyRun") -> "VerifyOutcome":
    from wscheck.commands import exit_codes
    from wscheck.commands.progress import progress_bar
    from wscheck.run.verify.run import run_verify as drive

    with progress_bar("Verifying") as progress:
        return exit_codes.run_until_signal(drive(run, progress))


def _replay(recording: Path, config: "Config", flags: dict[str, Any]) -> "VerifyOutcome":
    from wscheck.run.verify.run import evaluate_recording

    asked = flags["verify.fail_on"] is not None or flags["verify.strict"] is not None
    return evaluate_recording(recording, config.bar if asked else None)
