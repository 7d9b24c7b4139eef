"""`wscheck load`: the cost of duplicate connections, measured with simulated users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import (
    Auth,
    Baseline,
    Connections,
    Cookie,
    Endpoint,
    FailOn,
    Header,
    Insecure,
    Namespace,
    Protocol,
    Query,
    Strict,
    Timeout,
    TokenIn,
    UserIn,
    WaitFor,
)
from wscheck.commands.secret_file import read_secret

if TYPE_CHECKING:
    from wscheck.detect.verdict import Decision
    from wscheck.model.load_report import LoadReport
    from wscheck.model.report import Report
    from wscheck.run.load.plan import LoadPlan
    from wscheck.run.load.report import LoadOutcome

FORMATS = ("terminal", "json", "html", "markdown", "junit", "github")


def load(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The server: ws://HOST/PATH, a stream (http://HOST/PATH), or Socket.IO (http://HOST). "
            "Without one: an embedded backend.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What each user's page does [unified]: duplicated, tabs, strict-mode, storm, soak; "
            "`wscheck docs load` explains them.",
        ),
    ] = None,
    before_after: Annotated[
        bool,
        typer.Option(
            "--before-after",
            help="Run the profile duplicated (the fault), then unified (the fix), and compare the two.",
        ),
    ] = False,
    users: Annotated[str | None, typer.Option(metavar="N", help="Simulated users [50].")] = None,
    spawn_rate: Annotated[str | None, typer.Option(metavar="N", help="Users that start each second [all].")] = None,
    run_time: Annotated[str | None, typer.Option(metavar="DURATION", help="Duration of the run [10s].")] = None,
    processes: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Worker processes that simulate users [1]; two or more need one more process, the master."
        ),
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="CSV file with a user id and a token on each line.")
    ] = None,
    user_prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="User ids are TEXT followed by a number: TEXT0, TEXT1... [load-user-]."),
    ] = None,
    source_addresses: Annotated[
        str | None, typer.Option(metavar="LIST", help="Local IP addresses to connect from, each in turn.")
    ] = None,
    tabs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Profile tabs: pages that a user opens [3].")
    ] = None,
    reconnect_on_kick: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Profiles duplicated and tabs: reconnect this long after the server ended a connection [300ms].",
        ),
    ] = None,
    jitter: Annotated[
        float | None,
        typer.Option(
            metavar="0..1", min=0, max=1, help="Random share of the delay before a reconnect: 0 none, 1 all [0.5]."
        ),
    ] = None,
    backoff: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Delay before a lost connection reconnects [1s]. It doubles after each failure, up to 5s.",
        ),
    ] = None,
    emit_every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time between a user's events, 0 for no events [1s].")
    ] = None,
    emit_event: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Event that each user emits [the first in wscheck.toml, or request_bot_status]."
        ),
    ] = None,
    emit_payload: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="Payload of this event; {user} in it stands for the user id [as in wscheck.toml]."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="File with the token, in which {user} stands for the user id; or set WSCHECK_TOKEN."
        ),
    ] = None,
    user_in: UserIn = None,
    token_in: TokenIn = None,
    auth: Auth = None,
    header: Header = None,
    cookie: Cookie = None,
    query: Query = None,
    protocol: Protocol = None,
    namespace: Namespace = None,
    path: Endpoint = None,
    transports: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="websocket; or polling,websocket to start with long-polling and upgrade [websocket]."
        ),
    ] = None,
    timeout: Timeout = None,
    wait_for: WaitFor = None,
    insecure: Insecure = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="PEM file of a certificate authority to trust, besides those of the system."),
    ] = None,
    permitted: Annotated[
        bool,
        typer.Option(
            "--i-may-load-this-target", help="Confirm that you may load this server, if it is not on this machine."
        ),
    ] = False,
    max_connections_per_user: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Threshold: peak of simultaneous connections per user, averaged over users, e.g. 1.05."
        ),
    ] = None,
    max_replaced: Annotated[
        str | None, typer.Option(metavar="N", help="Threshold: connections that the server replaced, e.g. 0.")
    ] = None,
    max_churn: Annotated[
        str | None, typer.Option(metavar="N", help="Threshold: connects and disconnects per user and second, e.g. 0.5.")
    ] = None,
    max_connect_p95: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Threshold: time to connect, 95th percentile, e.g. 200ms."),
    ] = None,
    connections: Connections = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT[=PATH]", help=f"{', '.join(FORMATS)} (repeatable)."),
    ] = None,
    locust_csv: Annotated[
        Path | None, typer.Option(metavar="PREFIX", help="Also write Locust's own CSV files, with this prefix.")
    ] = None,
    locust_html: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Also write Locust's own HTML report to this file.")
    ] = None,
) -> None:
    """Load a server with simulated users; count connections.

    Measures connections per user, churn, replacements, lifetimes and duplicated events. Without a URL it loads an
    embedded backend. `wscheck load --before-after` compares two connections per page with a shared one.
    `wscheck docs load` describes how to use several machines.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 99 threshold crossed, 130 interrupted.
    """
    settings = {
        "target.url": url,
        "target.protocol": protocol,
        "target.namespace": namespace,
        "target.path": path,
        "target.transports": transports,
        "target.timeout": timeout,
        "target.wait_for": wait_for,
        "target.insecure": insecure,
        "identity.token": read_secret(token_file),
        "identity.user_in": user_in,
        "identity.token_in": token_in,
        "connect.auth": auth,
        "connect.headers": header,
        "connect.cookies": cookie,
        "connect.query": query,
        "load.profile": profile,
        "load.users": users,
        "load.spawn_rate": spawn_rate,
        "load.run_time": run_time,
        "load.processes": processes,
        "load.max_connections_per_user": max_connections_per_user,
        "load.max_replaced": max_replaced,
        "load.max_churn": max_churn,
        "load.max_connect_p95": max_connect_p95,
        "policy.connections": connections,
        "policy.baseline": baseline,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
    }
    options = {
        "users_file": _readable_path(users_file),
        "user_prefix": user_prefix,
        "source_addresses": source_addresses,
        "tabs": tabs,
        "reconnect_delay": _seconds("--reconnect-on-kick", reconnect_on_kick),
        "jitter": jitter,
        "backoff": _seconds("--backoff", backoff),
        "emit_every": _seconds("--emit-every", emit_every),
        "emit_event": emit_event,
        "emit_payload": _checked_json(emit_payload),
        "ca_file": _readable_path(ca_file),
    }
    locust_outputs = {name: path for name, path in (("csv", locust_csv), ("html", locust_html)) if path is not None}
    _run(settings, options, locust_outputs, format, before_after=before_after, allow_other_machines=permitted)


def _run(
    settings: dict[str, Any],
    options: dict[str, Any],
    locust_outputs: dict[str, Path],
    requested_formats: list[str] | None,
    *,
    before_after: bool,
    allow_other_machines: bool,
) -> None:
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.report import formats
    from wscheck.run.load.plan import configured_plan

    outputs = formats.prepare_outputs(requested_formats, FORMATS)
    formats.create_directories(formats.ReportOutput(name, path) for name, path in locust_outputs.items())
    with write_on_abort(outputs, lambda: _empty_report(settings)):
        plan = configured_plan(settings, options, locust_outputs, allow_other_machines=allow_other_machines)
        report, code = _run_before_after(plan, settings["load.profile"]) if before_after else _run_once(plan)
    formats.write_outputs(outputs, report, [], redactor=plan.redactor)
    raise typer.Exit(code)


def _empty_report(settings: dict[str, Any]) -> "LoadReport":
    from wscheck.commands import fallback_report
    from wscheck.model.findings import Verdict
    from wscheck.model.load_report import SCHEMA, LoadReport

    return LoadReport(schema=SCHEMA, target=fallback_report.target_label(settings), verdict=Verdict.INCONCLUSIVE)


def _run_once(plan: "LoadPlan") -> "tuple[Report, int]":
    outcome = _run_load(plan)
    return outcome.report, _exit_code(outcome.decision, interrupted=outcome.report.interrupted)


def _run_before_after(plan: "LoadPlan", profile: str | None) -> "tuple[Report, int]":
    """Run the profile `duplicated` (a connection per component), then `unified` (one per page), and compare them.

    If the first run is interrupted, return its report.
    """
    from wscheck.model.errors import UsageError
    from wscheck.run.load.run import PROFILE_AFTER, PROFILE_BEFORE, before_after_plans, compare_before_after

    if profile is not None:
        raise UsageError(
            f"--before-after runs `{PROFILE_BEFORE}` and `{PROFILE_AFTER}`, and --profile {profile} was given too.",
            "Drop one of them.",
        )
    plan_before, plan_after = before_after_plans(plan)
    before = _run_load(plan_before)
    if before.report.interrupted:
        return before.report, _exit_code(before.decision, interrupted=True)
    after = _run_load(plan_after)
    report, decision = compare_before_after(before, after, plan.bar)
    return report, _exit_code(decision, interrupted=after.report.interrupted)


def _run_load(plan: "LoadPlan") -> "LoadOutcome":
    from wscheck.commands import exit_codes
    from wscheck.commands.load_view import show_progress
    from wscheck.run.load.run import run_load

    with show_progress(plan) as on_progress:
        return exit_codes.run_until_signal(run_load(plan, on_progress))


def _exit_code(decision: "Decision", *, interrupted: bool) -> int:
    from wscheck.commands import exit_codes
    from wscheck.detect.verdict import Ground
    from wscheck.model.errors import ExitCode

    if decision.ground is Ground.LIMIT and not interrupted:
        return ExitCode.THRESHOLD
    return exit_codes.exit_code(decision.verdict, interrupted=interrupted)


def _readable_path(path: Path | None) -> str | None:
    """Return the absolute path of an input file, because Locust runs in another folder.

    Raises:
        UsageError: The file cannot be read.
    """
    from wscheck.model.errors import UsageError

    if path is None:
        return None
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    return str(path.absolute())


def _checked_json(text: str | None) -> str | None:
    import json

    from wscheck.model.errors import UsageError

    try:
        json.loads(text or "null")
    except ValueError:
        raise UsageError("`--emit-payload` is not JSON.", """Write '"text"', 7 or '{"room": "lobby"}'.""") from None
    return text


def _seconds(flag: str, raw: str | None) -> float | None:
    from wscheck.config.settings import parse_duration
    from wscheck.model.errors import UsageError

    try:
        return None if raw is None else parse_duration(raw)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "Write 300ms, 2s or 1m.") from None
