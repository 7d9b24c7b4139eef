"""Report of a run that ended before it had results.

It replaces the report file of an earlier run, so that a CI job cannot upload a result that is out of date.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wscheck.model.report import Report
    from wscheck.report.formats import ReportOutput


@contextlib.contextmanager
def write_on_abort(
    outputs: "Sequence[ReportOutput]", blank: "Callable[[], Report]", inputs: Sequence[Path | None] = ()
) -> Iterator[None]:
    """Write an inconclusive report to each of `outputs` if the block raises an error. The error still propagates.

    Args:
        outputs: Where the report goes. Terminal output is left out, because stderr shows the error already.
        blank: Function that returns an empty report of the command.
        inputs: Files that the run reads; they are never overwritten.
    """
    started = time.time()
    try:
        yield
    except BrokenPipeError:
        raise  # the reader closed the pipe: not a failure
    except (Exception, KeyboardInterrupt) as error:
        read = [path.absolute() for path in inputs if path is not None]
        with contextlib.suppress(Exception):  # an error here must not hide the original one
            from wscheck.model.gaps import Gap

            report = blank()
            report.reason, report.interrupted = _reason(error), isinstance(error, KeyboardInterrupt)
            report.gaps = [Gap(id=_id(error), reason=report.reason)]
            report.started_at, report.duration_s = started, round(time.time() - started, 3)
            _deliver([output for output in outputs if not _is_read(output, read)], report)
        raise


def target_label(flags: Mapping[str, Any]) -> str:
    """Return the server's URL without secrets, or the name of the embedded backend, for the report.

    The URL comes from the configuration, or if that is not valid, from `flags`.
    """
    from wscheck.config.loading import load_config
    from wscheck.config.settings import redact_url
    from wscheck.model.errors import UsageError
    from wscheck.model.events import EMBEDDED_BACKEND

    try:
        url = load_config(flags).server_url
    except UsageError:
        url = flags.get("target.url") or "unknown target"
    return redact_url(str(url)) if url else EMBEDDED_BACKEND


def _is_read(output: "ReportOutput", read: Sequence[Path]) -> bool:
    return output.path is not None and output.path.absolute() in read


def _deliver(outputs: "Sequence[ReportOutput]", report: "Report") -> None:
    from wscheck.report import formats

    formats.write_outputs([o for o in outputs if o.path is not None or o.format != "terminal"], report, [])


def _id(error: BaseException) -> str:
    """Return the id of the error in docs/errors.md."""
    from wscheck.model.errors import INTERNAL_ID, INTERRUPTED_ID, WscheckError

    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED_ID
    return error.id if isinstance(error, WscheckError) else INTERNAL_ID


def _reason(error: BaseException) -> str:
    """Return the text of `error` for the report.

    For an internal error, return only its type, because its values could contain a secret.
    """
    from wscheck.config.settings import with_flags
    from wscheck.model.errors import WscheckError

    if isinstance(error, KeyboardInterrupt):
        return "the run was interrupted before it had results"
    if isinstance(error, WscheckError):
        return with_flags(str(error))
    return f"internal error, not a verdict: {type(error).__name__}"
