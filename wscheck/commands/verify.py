"""`wscheck verify`: run the scenarios against a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import (
    Anonymous,
    Auth,
    Baseline,
    Connections,
    Cookie,
    Endpoint,
    FailOn,
    Formats,
    Grace,
    Header,
    Insecure,
    Key,
    Marker,
    MaxAttempts,
    Namespace,
    Protocol,
    Query,
    Strict,
    Timeout,
    TokenIn,
    UserIn,
    WaitFor,
    Watch,
)
from wscheck.commands.secret_file import read_secret

SETTINGS_FOR_RECORDINGS = ("verify.fail_on", "verify.strict", "policy.baseline", "policy.connections")
"""Settings that may differ from those of the recorded run. All others are taken from the recording."""

WAIT_FOR_RESTART = "10s"
"""Time that --watch waits for the server, which may start again after a change of its own files."""

if TYPE_CHECKING:
    from wscheck.config.loading import Config
    from wscheck.model.report import VerifyReport
    from wscheck.run.verify.run import VerifyOutcome, VerifyRun


def verify(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The server: ws://HOST/PATH, a stream (http://HOST/PATH), or Socket.IO (http://HOST). "
            "Without one: the embedded backend.",
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Run only this scenario (repeatable); `wscheck rules` lists the ids."),
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(
            metavar="unified|per-component",
            help="Client under test [unified]: its components share a connection, or each opens one (the fault).",
        ),
    ] = None,
    reconnect_on_kick: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="With --client per-component: reconnect this long after the server ended the connection [never].",
        ),
    ] = None,
    user_id: Annotated[str | None, typer.Option(metavar="ID", help="Id of the user to connect as [user_123].")] = None,
    second_user_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id of another user, for the scenarios isolation and identity-binding."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File with the user's token; or set WSCHECK_TOKEN.")
    ] = None,
    second_token_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File with the other user's token; or set WSCHECK_SECOND_TOKEN.")
    ] = None,
    expired_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File that contains an expired token of the user; or set WSCHECK_EXPIRED_TOKEN to the token.",
        ),
    ] = None,
    user_in: UserIn = None,
    token_in: TokenIn = None,
    auth: Auth = None,
    header: Header = None,
    cookie: Cookie = None,
    query: Query = None,
    anonymous: Anonymous = None,
    protocol: Protocol = None,
    namespace: Namespace = None,
    path: Endpoint = None,
    transports: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Transports, in the order in which they are tried [polling,websocket]."),
    ] = None,
    insecure: Insecure = None,
    timeout: Timeout = None,
    wait_for: WaitFor = None,
    window: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time to watch for events that must not happen [2s].")
    ] = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    server_log: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Log of the server, read during the run; - for stdin (repeatable)."),
    ] = None,
    marker: Marker = None,
    key: Key = None,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Page that a browser opens, in place of the simulated client, in the scenarios single-connection, "
            "event-handling and component-sharing.",
        ),
    ] = None,
    connections: Connections = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    recording: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Evaluate a recording (--format ndjson) again, without a server."),
    ] = None,
    format: Formats = None,
    watch: Watch = False,
    narrate: Annotated[
        bool, typer.Option("--narrate", help="Print the console messages of the simulated client to stderr.")
    ] = False,
) -> None:
    """Check that a server keeps one connection per user.

    Report each user who has more than one, the component that opened each connection, the cause and the fix.

    Without a URL, check the embedded reference backend, which passes. With --client per-component, each
    component of the client opens a connection, and the check fails.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 130 interrupted.
    """
    flags = {
        "target.url": url,
        "target.protocol": protocol,
        "target.namespace": namespace,
        "target.path": path,
        "target.transports": transports,
        "target.timeout": timeout,
        "target.wait_for": wait_for,
        "target.insecure": insecure,
        "identity.user_id": user_id,
        "identity.second_user_id": second_user_id,
        "identity.token": read_secret(token_file),
        "identity.second_token": read_secret(second_token_file),
        "identity.expired_token": read_secret(expired_token_file),
        "identity.user_in": user_in,
        "identity.token_in": token_in,
        "connect.auth": auth,
        "connect.headers": header,
        "connect.cookies": cookie,
        "connect.query": query,
        "connect.anonymous": anonymous,
        "verify.client": client,
        "verify.reconnect_on_kick": reconnect_on_kick,
        "verify.window": window,
        "verify.server_log": server_log,
        "verify.page": page,
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
    from wscheck.report import formats

    outputs = formats.prepare_outputs(format, inputs=[recording, *map(Path, server_log or [])])

    def run() -> "VerifyOutcome":
        with write_on_abort(outputs, lambda: _empty_report(flags, recording), inputs=[recording]):
            config = load_config(flags)
            if watch and config["target.wait_for"] is None:
                config = load_config({**flags, "target.wait_for": WAIT_FOR_RESTART})
            if recording is None:
                outcome = _run(_plan(config, scenario or [], marker or [], key or [], narrate=narrate))
                return config.redactor.redact_data(outcome)
            others = {"--scenario": scenario, "--narrate": narrate or None, "--watch": watch or None}
            _reject_other_flags({**flags, **others, "--marker": marker, "--key": key})
            return config.redactor.redact_data(_evaluate_recording(recording, config, flags))

    finish_run(run, outputs, watch=watch)


def _empty_report(flags: dict[str, Any], recording: Path | None) -> "VerifyReport":
    from wscheck.commands import fallback_report
    from wscheck.model.findings import Verdict
    from wscheck.model.report import VerifyReport
    from wscheck.run.verify.run import SCHEMA

    target = str(recording) if recording is not None else fallback_report.target_label(flags)
    return VerifyReport(schema=SCHEMA, target=target, verdict=Verdict.INCONCLUSIVE, client="")


def _reject_other_flags(flags: dict[str, Any]) -> None:
    """Raise UsageError for flags that have no effect on the evaluation of a recording."""
    from wscheck.config.settings import SETTINGS
    from wscheck.model.errors import UsageError

    given = [name for name, value in flags.items() if value not in (None, []) and name not in SETTINGS_FOR_RECORDINGS]
    if given:
        names = ", ".join(SETTINGS[name].flag if name in SETTINGS else name for name in given)
        raise UsageError(
            f"--from evaluates a recorded run, and {names} would change nothing in it.",
            "Leave out that option, or run again without --from.",
        )


def _plan(config: "Config", chosen: list[str], markers: list[str], keys: list[str], *, narrate: bool) -> "VerifyRun":
    from wscheck.observe.client.console_messages import discard_line
    from wscheck.run.verify.plan import plan_verify_run

    return plan_verify_run(config, chosen, markers, keys, console=_to_stderr if narrate else discard_line)


def _to_stderr(line: str) -> None:
    from wscheck.report.formatting import one_line

    typer.echo(one_line(line), err=True)


def _run(run: "VerifyRun") -> "VerifyOutcome":
    from wscheck.commands import exit_codes
    from wscheck.commands.progress import progress_bar
    from wscheck.run.verify.run import run_verify

    with progress_bar("Verifying") as progress:
        return exit_codes.run_until_signal(run_verify(run, progress))


def _evaluate_recording(recording: Path, config: "Config", flags: dict[str, Any]) -> "VerifyOutcome":
    from wscheck.run.verify.run import evaluate_recording

    bar_given = flags["verify.fail_on"] is not None or flags["verify.strict"] is not None
    connections = config["policy.connections"] if flags["policy.connections"] is not None else None
    return evaluate_recording(recording, config.bar if bar_given else None, config.bar.allow, connections)
