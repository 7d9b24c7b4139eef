"""`wscheck tail-logs`: judge the logs that a backend writes, as they are written or when they are finished."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import FailOn, Formats, Grace, Key, Marker, MaxAttempts, Strict

if TYPE_CHECKING:
    from wscheck.model.events import AnyEvent
    from wscheck.model.report import LogsReport
    from wscheck.report.formats import ReportOutput
    from wscheck.run.tail.setup import TailRequest


def tail_logs(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH|-", help="Log files, directories, patterns; - for stdin.", show_default=False),
    ] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Read what is there first, then follow.")] = False,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Read from the start and stop at the end.")] = False,
    for_: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Stop after so long [never].")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only events from then on: 2026-11-23T12:00:00Z, or 90m for so long ago."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only events up to then, likewise.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Remember how far it came; go on there.")
    ] = None,
    marker: Marker = None,
    key: Key = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    stale_after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Give up a connection that is open for so long [never].")
    ] = None,
    quiet_after: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="An incident is over after so long without another occurrence [30s]."),
    ] = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
    users: Annotated[int | None, typer.Option(metavar="N", min=0, help="List only so many users [all].")] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="POST each change of an incident there; or set WSCHECK_WEBHOOK.")
    ] = None,
    webhook_format: Annotated[str | None, typer.Option(metavar="json|slack", help="What is posted [json].")] = None,
    exec_: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Run it with each change of an incident on its stdin."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve Prometheus metrics and /healthz.")
    ] = None,
) -> None:
    """Watch a backend's logs, or judge finished ones.

    Says who holds more than one connection, since when, at what rate, why, and when it is over. Follows from the
    end, over every rotation, until Ctrl-C; with --no-follow it judges what is there.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 130 interrupted by Ctrl-C.
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats

    flags = {
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
        "watch.stale_after": stale_after,
        "watch.quiet_after": quiet_after,
        "watch.webhook": webhook,
        "watch.webhook_format": webhook_format,
        "watch.metrics": metrics,
    }
    outputs = formats.prepare_outputs(format)
    # A recording is written as things happen, and gone on with by a checkpoint.
    reports = [output for output in outputs if output.format != "ndjson"]
    asked = {"names": paths or [], "from_start": from_start, "follow": not no_follow, "users": users, "exec": exec_}
    times = {"--for": for_, "--since": since, "--until": until}
    with ExitStack() as stack:
        with write_on_abort(reports, lambda: _blank(paths or [])):
            wanted = _wanted(load_config(flags), asked, times, checkpoint, marker or [], key or [], outputs)
            report, events, interrupted = _run(wanted, stack)
        formats.write_outputs(reports, report, events)
    for recording in (output for output in outputs if output.format == "ndjson"):
        formats.print_written_path(recording)
    raise typer.Exit(exit_codes.exit_code(report.verdict, interrupted=interrupted))


def _blank(names: list[str]) -> "LogsReport":
    from wscheck.model.findings import Verdict
    from wscheck.model.report import LogsReport
    from wscheck.run.tail.report import SCHEMA

    return LogsReport(schema=SCHEMA, target=", ".join(names), verdict=Verdict.INCONCLUSIVE)


def _wanted(
    config: Any,
    asked: dict[str, Any],
    times: dict[str, str | None],
    checkpoint: Path | None,
    markers: list[str],
    keys: list[str],
    outputs: "list[ReportOutput]",
) -> "TailRequest":
    from wscheck.config.settings import parse_duration
    from wscheck.model.errors import UsageError
    from wscheck.observe.logs.options import reader_factory
    from wscheck.run.tail.clock import TimeWindow, parse_time
    from wscheck.run.tail.setup import TailRequest

    since, until = (_parsed(flag, times[flag], parse_time) for flag in ("--since", "--until"))
    if since is not None and until is not None and until < since:
        raise UsageError("--until is before --since, so no event lies between.", "Exchange them.")
    return TailRequest(
        **{**asked, "from_start": asked["from_start"] or since is not None},
        outputs=outputs,
        new_reader=reader_factory(markers, keys, config.tables.get("logs", {}), config.location_of),
        options=config.judge_options,
        bar=config.bar,
        quiet_after=config["watch.quiet_after"],
        stale_after=config["watch.stale_after"],
        window=TimeWindow(since, until),
        seconds=_parsed("--for", times["--for"], parse_duration),
        checkpoint=checkpoint,
        webhook=config["watch.webhook"],
        webhook_format=config["watch.webhook_format"],
        metrics=config["watch.metrics"],
    )


def _parsed(flag: str, raw: str | None, parse: Any) -> float | None:
    from wscheck.model.errors import UsageError

    try:
        return None if raw is None else float(parse(raw))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "See wscheck tail-logs --help.") from None


def _run(wanted: "TailRequest", stack: ExitStack) -> "tuple[LogsReport, list[AnyEvent], bool]":
    """The report, its events, and whether Ctrl-C ended the run. What it opens, `stack` closes."""
    from wscheck.commands.tail_view import TailScreen
    from wscheck.run.tail.loop import StopReason, TailLoop
    from wscheck.run.tail.report import conclude
    from wscheck.run.tail.setup import open_session

    screen = stack.enter_context(TailScreen(wanted))
    session = stack.enter_context(open_session(wanted, screen.note))
    ending = TailLoop(session.watch, session.plan, screen.begin(session)).run()
    screen.close()
    screen.doubt()
    # Following has no end of its own: to stop it leaves nothing unread, unless a time was asked for.
    cut = ending is not StopReason.DONE and not wanted.follow
    short = ending is not StopReason.DONE and wanted.seconds is not None
    report = conclude(session.watch, wanted.bar, users=wanted.users, interrupted=cut or short, partial=cut)
    return report, session.watch.events, ending is StopReason.INTERRUPTED
