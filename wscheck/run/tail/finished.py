"""Evaluation of logs that nobody writes any more, as `wscheck tail-logs --no-follow` does, without outputs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from wscheck.config.loading import Config
from wscheck.model.report import LogsReport
from wscheck.observe.logs.options import reader_factory
from wscheck.run.tail.clock import TimeWindow
from wscheck.run.tail.report import build_logs_report
from wscheck.run.tail.setup import TailRequest, open_session


def evaluate_finished_logs(
    paths: Sequence[Path],
    config: Config,
    *,
    markers: Sequence[str] = (),
    keys: Sequence[str] = (),
    guess: bool | None = None,
    window: TimeWindow | None = None,
    users: int | None = None,
    halt: Callable[[int, int], bool] = lambda read, size: False,
) -> LogsReport:
    """Read the logs to their end and return the report, without secrets. Settings for receivers are ignored.

    Args:
        paths: The logs.
        config: The configuration.
        markers: Markers (text that identifies an event in a log line), each as KIND=TEXT.
        keys: Names of the fields that contain ids, each as FIELD=NAME.
        guess: Whether to read lines in unknown words: True for all, None for those without doubt, False for none.
        window: Time to which the evaluation is limited.
        users: The most users to list, None for all.
        halt: Function that receives the number of bytes that were read, and of all; reading stops if it returns True.

    Raises:
        UsageError: A marker or key is invalid.
        BadEvidence: A log does not exist or cannot be read.
    """
    request = TailRequest(
        names=list(map(str, paths)),
        outputs=[],
        new_reader=reader_factory(markers, keys, config.tables.get("logs", {}), config.locate_key, guess=guess),
        options=config.judge_options,
        bar=config.bar,
        follow=False,
        from_start=True,
        users=users,
        quiet_after=config["watch.quiet_after"],
        reorder=config["watch.reorder"],
        stale_after=config["watch.stale_after"],
        window=window or TimeWindow(),
        seconds=None,
        checkpoint=None,
        webhook=None,
        webhook_format="json",
        exec=None,
        metrics=None,
        otlp=None,
        redactor=config.redactor,
    )
    done, halted = 0, False
    with open_session(request, lambda note: None) as session:

        def stop(read: int) -> bool:
            nonlocal done, halted
            done += read
            halted = halted or halt(done, session.size)
            return halted

        session.watch.poll(stop, final=True)
        report = build_logs_report(session.watch, request.bar, users=users, interrupted=halted, partial=halted)
        return request.redactor.redact_data(report)
