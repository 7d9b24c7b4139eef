"""The run as Markdown, for a pull request or a wiki: what GitHub's step summary says."""

from collections.abc import Sequence

from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.report.github import step_summary


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Findings first, then the figures or the scenarios."""
    return step_summary(report, events)
