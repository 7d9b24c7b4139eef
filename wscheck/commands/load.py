"""`wscheck load`: what duplicate connections cost a server, measured with a swarm of users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import Endpoint, FailOn, Insecure, Namespace, Timeout, TokenIn, UserIn
from wscheck.commands.secret_file import read_secret

if TYPE_CHECKING:
    from wscheck.model.load_report import LoadReport
    from wscheck.model.report import Report
    from wscheck.run.load.plan import Plan

FORMATS = ("terminal", "json", "html", "markdown", "junit", "github")


def load(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="The server, e.g. http://localhost:8000. Without one: an embedded backend."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What each user's page does [unified]: duplicated, tabs, strict-mode, storm, soak."
        ),
    ] = None,
    before_after: Annotated[
        bool, typer.Option("--before-after", help="Run duplicated, then unified, and compare.")
    ] = False,
    users: Annotated[str | None, typer.Option(metavar="N", help="Simulated users [50].")] = None,
    spawn_rate: Annotated[str | None, typer.Option(metavar="N", help="Users that start each second [all].")] = None,
    run_time: Annotated[str | None, typer.Option(metavar="DURATION", help="How long the run lasts [10s].")] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N", help="Worker processes [1]; with more, a master beside them.")
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A file of users: id and token on each line.")
    ] = None,
    user_prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Users are TEXT0, TEXT1... [load-user-].")
    ] = None,
    source_addresses: Annotated[
        str | None, typer.Option(metavar="LIST", help="Local addresses to connect from, in turn.")
    ] = None,
    tabs: Annotated[int | None, typer.Option(metavar="N", min=1, help="tabs: pages that a user opens [3].")] = None,
    reconnect_on_kick: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="duplicated, tabs: connect again so long after a kick [300ms]."),
    ] = None,
    jitter: Annotated[
        float | None,
        typer.Option(metavar="0..1", min=0, max=1, help="The part of the backoff that is random [0.5]."),
    ] = None,
    backoff: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Before a lost connection is tried again [1s]; doubles up to 5s."),
    ] = None,
    emit_every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Between a user's events, 0 for none [1s].")
    ] = None,
    emit_event: Annotated[str | None, typer.Option(metavar="NAME", help="What they emit [request_bot_status].")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="A file that holds the token, {user} in it becomes the id; or set WSCHECK_TOKEN."
        ),
    ] = None,
    user_in: UserIn = None,
    token_in: TokenIn = None,
    namespace: Namespace = None,
    path: Endpoint = None,
    transports: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="websocket, or polling,websocket to poll first and upgrade [websocket]."),
    ] = None,
    timeout: Timeout = None,
    insecure: Insecure = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="PEM file of an authority to trust beside the system's.")
    ] = None,
    permitted: Annotated[
        bool,
        typer.Option("--i-may-load-this-target", help="The server is mine to load: needed for any but this machine."),
    ] = False,
    max_connections_per_user: Annotated[
        str | None, typer.Option(metavar="N", help="Threshold: the most a user holds at once, on average, e.g. 1.05.")
    ] = None,
    max_replaced: Annotated[
        str | None, typer.Option(metavar="N", help="Threshold: connections that the server replaced, e.g. 0.")
    ] = None,
    max_churn: Annotated[
        str | None, typer.Option(metavar="N", help="Threshold: connects and disconnects per user and second, e.g. 0.5.")
    ] = None,
    max_connect_p95: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Threshold: how long connecting takes, 95th percentile, e.g. 200ms."),
    ] = None,
    fail_on: FailOn = None,
    format: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT[=PATH]", help=f"{', '.join(FORMATS)} (repeatable)."),
    ] = None,
    locust_csv: Annotated[Path | None, typer.Option(metavar="PREFIX", help="Locust's own CSV files.")] = None,
    locust_html: Annotated[Path | None, typer.Option(metavar="PATH", help="Locust's own HTML report.")] = None,
) -> None:
    """Load a server with a swarm of users; count connections.

    What is measured: connections per user, churn, replacements, lifetimes, duplicated events. Without a URL an
    embedded backend is loaded. `wscheck load --before-after` shows what the documented fault costs and what its fix
    saves; `wscheck docs load` tells how to use several
    machines.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 99 threshold crossed, 130 interrupted.
    """
    settings = {
        "target.url": url,
        "target.namespace": namespace,
        "target.path": path,
        "target.transports": transports,
        "target.timeout": timeout,
        "target.insecure": insecure,
        "identity.token": read_secret(token_file),
        "identity.user_in": user_in,
        "identity.token_in": token_in,
        "load.profile": profile,
        "load.users": users,
        "load.spawn_rate": spawn_rate,
        "load.run_time": run_time,
        "load.processes": processes,
        "load.max_connections_per_user": max_connections_per_user,
        "load.max_replaced": max_replaced,
        "load.max_churn": max_churn,
        "load.max_connect_p95": max_connect_p95,
        "verify.fail_on": fail_on,
    }
    options = {
        "users_file": _existing(users_file),
        "user_prefix": user_prefix,
        "source_addresses": source_addresses,
        "tabs": tabs,
        "reconnect_delay": _seconds("--reconnect-on-kick", reconnect_on_kick),
        "jitter": jitter,
        "backoff": _seconds("--backoff", backoff),
        "emit_every": _seconds("--emit-every", emit_every),
        "emit_event": emit_event,
        "ca_file": _existing(ca_file),
    }
    extras = {name: place for name, place in (("csv", locust_csv), ("html", locust_html)) if place is not None}
    _run(settings, options, extras, format, before_after=before_after, permitted=permitted)


def _run(
    settings: dict[str, Any],
    options: dict[str, Any],
    extras: dict[str, Path],
    asked: list[str] | None,
    *,
    before_after: bool,
    permitted: bool,
) -> None:
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.report import formats
    from wscheck.run.load.plan import configured

    outputs = formats.prepare_outputs(asked, FORMATS)
    formats.create_directories(formats.ReportOutput(name, place) for name, place in extras.items())
    with write_on_abort(outputs, lambda: _blank(settings)):
        plan = configured(settings, options, extras, permitted=permitted)
        report, code = _before_and_after(plan, settings["load.profile"]) if before_after else _alone(plan)
    formats.write_outputs(outputs, report, [])
    raise typer.Exit(code)


def _blank(settings: dict[str, Any]) -> "LoadReport":
    from wscheck.commands import fallback_report as unfinished
    from wscheck.model.findings import Verdict
    from wscheck.model.load_report import SCHEMA, LoadReport

    return LoadReport(schema=SCHEMA, target=unfinished.target_label(settings), verdict=Verdict.INCONCLUSIVE)


def _alone(plan: "Plan") -> "tuple[Report, int]":
    report = _drive(plan)
    return report, _exit_code(report)


def _before_and_after(plan: "Plan", chosen: str | None) -> "tuple[Report, int]":
    """The fault, then its fix; of a pair that was interrupted in its first run, that run."""
    from wscheck.model.errors import UsageError
    from wscheck.run.load.before_after import AFTER, BEFORE, compared, of

    if chosen is not None:
        raise UsageError(
            f"--before-after runs `{BEFORE}` and `{AFTER}`, and --profile {chosen} was given too.", "Drop one of them."
        )
    before = _drive(of(plan, BEFORE))
    if before.interrupted:
        return before, _exit_code(before)
    after = _drive(of(plan, AFTER))
    report = compared(before, after)
    after.verdict = report.verdict
    return report, _exit_code(after)


def _drive(plan: "Plan") -> "LoadReport":
    from wscheck.commands import exit_codes
    from wscheck.commands.load_view import shown
    from wscheck.run.load.run import load as drive

    with shown(plan) as watch:
        return exit_codes.run_until_signal(drive(plan, watch))


def _exit_code(report: "LoadReport") -> int:
    from wscheck.commands import exit_codes
    from wscheck.model.errors import ExitCode
    from wscheck.model.findings import Verdict

    crossed = report.verdict is Verdict.FAILED and any(limit.crossed for limit in report.thresholds)
    if crossed and not report.interrupted:
        return ExitCode.THRESHOLD
    return exit_codes.exit_code(report.verdict, interrupted=report.interrupted)


def _existing(path: Path | None) -> str | None:
    """An input file as an absolute path: Locust runs elsewhere. Raises UsageError when it cannot be read."""
    from wscheck.model.errors import UsageError

    if path is None:
        return None
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    return str(path.absolute())


def _seconds(flag: str, raw: str | None) -> float | None:
    from wscheck.config.settings import parse_duration
    from wscheck.model.errors import UsageError

    try:
        return None if raw is None else parse_duration(raw)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "Write 300ms, 2s or 1m.") from None
