"""`wscheck tail-logs`: evaluate the logs of a backend, while they are written or afterwards."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wscheck.commands.options import Baseline, Connections, FailOn, Formats, Grace, Key, Marker, MaxAttempts, Strict

if TYPE_CHECKING:
    from wscheck.model.events import AnyEvent
    from wscheck.model.report import LogsReport
    from wscheck.report.formats import ReportOutput
    from wscheck.run.tail.setup import TailRequest


def tail_logs(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH|-",
            help="Log files, directories or patterns such as logs/*.log; - for stdin.",
            show_default=False,
        ),
    ] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Read existing content first, then follow.")] = False,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Read from the start and stop at the end.")] = False,
    for_: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Stop after this time [never].")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Ignore events before this time: 2026-11-23T12:00:00Z, or 90m for 90 minutes ago."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Ignore events after this time.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the reading position in FILE; the next run continues from it."),
    ] = None,
    marker: Marker = None,
    key: Key = None,
    guess: Annotated[
        bool | None,
        typer.Option(
            "--guess/--no-guess",
            help="Lines in unknown wording that probably report connections: read all of them, or none [only the "
            "certain ones].",
            show_default=False,
        ),
    ] = None,
    grace: Grace = None,
    max_attempts: MaxAttempts = None,
    stale_after: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Assume that a connection has ended after it was open for this time [never].",
        ),
    ] = None,
    quiet_after: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Report an incident as resolved if it does not occur again for this time [30s]."
        ),
    ] = None,
    reorder: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="While following several logs or a pipe: time to wait for events with earlier times [1s].",
        ),
    ] = None,
    connections: Connections = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    strict: Strict = None,
    format: Formats = None,
    users: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="List at most this many users [all; terminal and markdown: 10]."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL to which each change of an incident is posted; or set WSCHECK_WEBHOOK."),
    ] = None,
    webhook_format: Annotated[
        str | None, typer.Option(metavar="json|slack", help="Format of the posted message [json].")
    ] = None,
    exec_: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="COMMAND",
            help="Command to run for each change of an incident. It gets the incident on stdin.",
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve Prometheus metrics and /healthz.")
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(
            metavar="URL|env",
            help="Send incidents and metrics over OTLP (OpenTelemetry); env: to where OTEL_EXPORTER_OTLP_* says.",
        ),
    ] = None,
) -> None:
    """Follow the logs of a backend, or evaluate finished ones.

    Reports which users have more than one connection, since when, at what rate, the cause, and when it is resolved.
    Follows from the end of the logs, over every rotation, until Ctrl-C. With --no-follow it evaluates the existing
    content and stops.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not check, 130 interrupted by Ctrl-C.
    """
    from wscheck.commands import exit_codes
    from wscheck.commands.fallback_report import write_on_abort
    from wscheck.config.loading import load_config
    from wscheck.report import formats

    flags = {
        "policy.connections": connections,
        "policy.baseline": baseline,
        "verify.fail_on": fail_on,
        "verify.strict": strict,
        "rules.grace": grace,
        "rules.max_attempts": max_attempts,
        "watch.stale_after": stale_after,
        "watch.quiet_after": quiet_after,
        "watch.reorder": reorder,
        "watch.webhook": webhook,
        "watch.webhook_format": webhook_format,
        "watch.metrics": metrics,
        "watch.otlp": otlp,
    }
    inputs = _input_files(paths or [])
    outputs = formats.prepare_outputs(format, inputs=[*inputs, checkpoint])
    formats.reject_inputs([checkpoint], inputs)
    # A recording is written while the logs are read, and a later run with the same checkpoint continues it.
    reports = [output for output in outputs if output.format != "ndjson"]
    options = {"names": paths or [], "from_start": from_start, "follow": not no_follow, "users": users, "exec": exec_}
    times = {"--for": for_, "--since": since, "--until": until}
    with ExitStack() as stack:
        with write_on_abort(reports, lambda: _empty_report(paths or [])):
            config = load_config(flags)
            request = _request(config, options, times, checkpoint, marker or [], key or [], guess, outputs)
            report, events, interrupted = _run(request, stack)
        formats.write_outputs(reports, report, events, redactor=config.redactor)
    for recording in (output for output in outputs if output.format == "ndjson"):
        formats.print_written_path(recording)
    raise typer.Exit(exit_codes.exit_code(report.verdict, interrupted=interrupted))


def _input_files(names: list[str]) -> list[Path]:
    """Return the logs that `names` stand for, with their rotated files."""
    from wscheck.observe.tailing.generations import find_generations
    from wscheck.observe.tailing.log_paths import log_files

    return [path for log in log_files(names) for path in (log, *find_generations(log, include_packed_twins=True))]


def _empty_report(names: list[str]) -> "LogsReport":
    from wscheck.model.findings import Verdict
    from wscheck.model.report import LogsReport
    from wscheck.run.tail.report import SCHEMA

    return LogsReport(schema=SCHEMA, target=", ".join(names), verdict=Verdict.INCONCLUSIVE)


def _request(
    config: Any,
    options: dict[str, Any],
    times: dict[str, str | None],
    checkpoint: Path | None,
    markers: list[str],
    keys: list[str],
    guess: bool | None,
    outputs: "list[ReportOutput]",
) -> "TailRequest":
    from wscheck.config.settings import parse_duration
    from wscheck.model.errors import UsageError
    from wscheck.observe.logs.options import reader_factory
    from wscheck.run.tail.clock import TimeWindow, parse_time
    from wscheck.run.tail.setup import TailRequest

    since, until = (_parsed(flag, times[flag], parse_time) for flag in ("--since", "--until"))
    if since is not None and until is not None and until < since:
        raise UsageError("--until is before --since, so no event is between them.", "Exchange the two times.")
    return TailRequest(
        **{**options, "from_start": options["from_start"] or since is not None},
        outputs=outputs,
        new_reader=reader_factory(markers, keys, config.tables.get("logs", {}), config.locate_key, guess=guess),
        options=config.judge_options,
        bar=config.bar,
        quiet_after=config["watch.quiet_after"],
        reorder=config["watch.reorder"],
        stale_after=config["watch.stale_after"],
        window=TimeWindow(since, until),
        seconds=_parsed("--for", times["--for"], parse_duration),
        checkpoint=checkpoint,
        webhook=config["watch.webhook"],
        webhook_format=config["watch.webhook_format"],
        metrics=config["watch.metrics"],
        otlp=config["watch.otlp"],
        redactor=config.redactor,
    )


def _parsed(flag: str, raw: str | None, parse: Any) -> float | None:
    from wscheck.model.errors import UsageError

    try:
        return None if raw is None else float(parse(raw))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "See wscheck tail-logs --help.") from None


def _run(request: "TailRequest", stack: ExitStack) -> "tuple[LogsReport, list[AnyEvent], bool]":
    """Read the logs. Return the report, the events from the logs, and whether Ctrl-C ended the run.

    Everything that the run opens is entered into `stack`, which the caller closes.
    """
    from wscheck.commands.tail_view import TailScreen
    from wscheck.run.tail.loop import StopReason, TailLoop
    from wscheck.run.tail.report import build_logs_report
    from wscheck.run.tail.setup import open_session

    screen = stack.enter_context(TailScreen(request))
    session = stack.enter_context(open_session(request, screen.note))
    stop_reason = TailLoop(session.watch, session.plan, screen.start(session)).run()
    screen.close()
    screen.print_unreadable()
    undelivered = session.finish_deliveries()
    # Following has no natural end: a signal leaves nothing unread unless a duration was requested.
    stopped = stop_reason is not StopReason.DONE
    unread = stopped and not request.follow
    too_short = stopped and request.seconds is not None
    report = build_logs_report(
        session.watch, request.bar, users=request.users, interrupted=unread or too_short, partial=unread
    )
    report.gaps += undelivered
    return report, session.watch.events, stop_reason is StopReason.INTERRUPTED
