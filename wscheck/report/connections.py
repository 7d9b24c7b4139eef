"""The connections of a browser's run as a terminal shows them: who opened how many, and how long they lived."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from wscheck.model.report import BrowserReport, ConnectionSummary
from wscheck.report.formatting import format_duration, one_line, plural

SHOWN = 12

Key = tuple[str | None, str | None, str]


def table(report: BrowserReport) -> Iterator[RenderableType]:
    """A line for each tab, user and opener; beneath it what could not be seen as well as it should."""
    groups: dict[Key, list[ConnectionSummary]] = {}
    for one in report.connections:
        groups.setdefault((one.page, one.user, _opener(one)), []).append(one)
    lines = [_line(group, opener) for (_, _, opener), group in list(groups.items())[:SHOWN]]
    if len(groups) > SHOWN:
        lines.append(Text(f"and {plural(len(groups) - SHOWN, 'more opener')}", "dim"))
    lines += [Text(f"! {one_line(note)}", "yellow") for note in report.notes]
    if lines:
        yield Group(*lines)


def _line(group: Sequence[ConnectionSummary], opener: str) -> Text:
    first = group[0]
    where = first.page if first.target.type in ("page", "iframe") else f"{first.page} ({first.target.type})"
    who = f"{one_line(where or 'a page')}, {one_line(first.user or 'unknown user')}: "
    return Text.assemble((who, "dim"), _lives(group), (f", {opener}", "dim"))


def _opener(one: ConnectionSummary) -> str:
    if one.opener is None:
        return "opened before it was watched, or without a stack"
    through = f" through {one.opener}" if one.diverges_at is not None and one.diverges_at != one.opener else ""
    place = one.diverges_at if through else one.opener
    return one_line(f"opened at {place}{through}")


def _lives(group: Sequence[ConnectionSummary]) -> str:
    """`1 connection, open`; `9 connections, 8 of them closed after 0.3 s (io server disconnect)`."""
    closed = [one for one in group if one.closed_at is not None]
    told = plural(len(group), "connection")
    if not closed:
        return f"{told}, open"
    lived = sorted((one.closed_at or 0.0) - (one.opened_at or 0.0) for one in closed)[len(closed) // 2]
    some = f"{len(closed)} of them closed" if len(group) > len(closed) else "closed"
    return f"{told}, {some} after {format_duration(lived)} ({one_line(closed[-1].reason or 'no reason seen')})"
