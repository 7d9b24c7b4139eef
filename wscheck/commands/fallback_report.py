"""A run that ends before it has a report leaves one that says so: what lies there from an earlier run must not pass for
this one's, least of all yesterday's green report that a CI job uploads whatever happened."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wscheck.model.report import Report
    from wscheck.report.formats import ReportOutput


@contextlib.contextmanager
def owed(
    outputs: "Sequence[ReportOutput]", blank: "Callable[[], Report]", inputs: Sequence[Path | None] = ()
) -> Iterator[None]:
    """Whatever ends the block before its report is made is told in each of `outputs`, as inconclusive, and goes on.

    blank   the command's report without anything in it
    inputs  what the run reads: evidence that cannot be judged is never written over

    On standard output the terminal's report stays away: standard error carries the message already.
    """
    began = time.time()
    try:
        yield
    except BrokenPipeError:
        raise  # the reader left, which is no failure
    except (Exception, KeyboardInterrupt) as error:
        read = [path.absolute() for path in inputs if path is not None]
        with contextlib.suppress(Exception):  # it must not hide what ended the run
            report = blank()
            report.reason, report.interrupted = _why(error), isinstance(error, KeyboardInterrupt)
            report.started_at, report.duration_s = began, round(time.time() - began, 3)
            _deliver([output for output in outputs if not _is_read(output, read)], report)
        raise


def target(flags: Mapping[str, Any]) -> str:
    """What was to be checked, as far as the flags and the configuration tell."""
    from wscheck.config.loading import load_config
    from wscheck.config.settings import redact_url
    from wscheck.model.errors import UsageError

    try:
        url = load_config(flags).server_url
    except UsageError:
        url = flags.get("target.url") or "unknown target"
    return redact_url(str(url)) if url else "embedded backend"


def _is_read(output: "ReportOutput", read: Sequence[Path]) -> bool:
    return output.path is not None and output.path.absolute() in read


def _deliver(outputs: "Sequence[ReportOutput]", report: "Report") -> None:
    from wscheck.report import formats

    formats.write_outputs([o for o in outputs if o.path is not None or o.format != "terminal"], report, [])


def _why(error: BaseException) -> str:
    """In the words of standard error; of a defect only its kind, because its values could hold a secret."""
    from wscheck.model.errors import WscheckError

    if isinstance(error, KeyboardInterrupt):
        return "the run was interrupted before there was anything to report"
    if isinstance(error, WscheckError):
        return str(error)
    return f"this is a defect in wscheck, not a verdict: {type(error).__name__}"
