"""WHO IS TOLD: each file turns a finished run into one format; `REPORTERS` is the list of them.

A reporter is a pure function of the report and the events; only `formats` touches files and streams.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol, cast

from wscheck.model.events import AnyEvent
from wscheck.model.report import Report


class Reporter(Protocol):
    """A finished run in, the whole text of one format out."""

    def __call__(self, report: Report, events: Sequence[AnyEvent]) -> str | bytes: ...


def _lazily(module: str) -> Callable[[], Reporter]:
    """A loader of `wscheck.report.<module>.render`, so that a run imports only the formats it was asked for."""
    return lambda: cast(Reporter, import_module(f"wscheck.report.{module}").render)


REPORTERS: dict[str, Callable[[], Reporter]] = {
    "terminal": _lazily("terminal"),
    "json": _lazily("json"),
    "ndjson": _lazily("recording"),
    "junit": _lazily("junit"),
    "github": _lazily("github"),
    "sarif": _lazily("sarif"),
    "html": _lazily("html"),
    "markdown": _lazily("markdown"),
}
"""Format name, as `--format` takes it, to the loader of its reporter (docs/formats.md)."""
