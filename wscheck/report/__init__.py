"""Reports of a finished run: one module per format. `REPORTERS` lists the formats.

A format is a pure function of the report and the events. Only the module `formats` accesses files and streams.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol, cast

from wscheck.model.events import AnyEvent
from wscheck.model.report import Report


class Reporter(Protocol):
    """Function that takes a finished run and returns the complete text of one format."""

    def __call__(self, report: Report, events: Sequence[AnyEvent]) -> str | bytes: ...


def _loader(module: str) -> Callable[[], Reporter]:
    """Return a function that imports `render` from `module`, so that a run imports only the formats that it uses."""
    return lambda: cast(Reporter, import_module(f"wscheck.report.{module}").render)


REPORTERS: dict[str, Callable[[], Reporter]] = {
    "terminal": _loader("terminal"),
    "json": _loader("json"),
    "ndjson": _loader("recording"),
    "junit": _loader("junit"),
    "github": _loader("github"),
    "sarif": _loader("sarif"),
    "codequality": _loader("codequality"),
    "html": _loader("html.page"),
    "markdown": _loader("markdown"),
}
"""Value of `--format` to a function that loads the reporter of this format (docs/formats.md)."""
