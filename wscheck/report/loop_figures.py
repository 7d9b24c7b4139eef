"""Figures of `wscheck browser --loop`: what was open after each round, and before and after each action."""

from collections.abc import Iterable

from wscheck.model.report import BrowserReport, RoundCounts

ROUND_COLUMNS = ("visited", "counted", "before the first round, after each", "growth")
ACTION_COLUMNS = ("action", "open before", "open after")


def round_rows(report: BrowserReport) -> list[tuple[str, str, str, str]]:
    """Return table rows (visited place, kind of object counted, counts, growth).

    The counts are those before the first round and after each round.

    Connections always have a row; handlers and subscriptions have one only if their number grows or may grow.
    """
    return [
        (counts.place, _subject(counts), _shown(counts), _GROWTH.get(counts.growth, counts.growth))
        for counts in report.rounds
        if counts.what == "connections" or counts.growth != "none"
    ]


_GROWTH = {"constant": "leak", "none": "none", "unclear": "unclear"}


def _subject(counts: RoundCounts) -> str:
    name = {"handlers": f"handlers of {counts.event}", "subscriptions": f"subscriptions to {counts.event}"}.get(
        counts.what, counts.what
    )
    return f"{name}, {counts.opener}" if counts.opener is not None else name


def _shown(counts: RoundCounts) -> str:
    later = f", later {counts.at_rest}" if counts.at_rest not in (None, *counts.counts[-1:]) else ""
    return " ".join(map(str, counts.counts)) + later


def action_rows(report: BrowserReport) -> list[tuple[str, str, str]]:
    """Return a table row for each action: (action, open connections before it, open connections after it)."""
    return [(action.action, str(action.before), str(action.after)) for action in report.actions]


def connections_per_round(report: BrowserReport) -> dict[str, list[int]]:
    """Return a dict of visited place to the numbers of open connections before the first round and after each round."""
    by_place: dict[str, list[list[int]]] = {}
    for counts in report.rounds:
        if counts.what == "connections":
            by_place.setdefault(counts.place, []).append(counts.counts)
    return {place: _totals(series) for place, series in by_place.items()}


def _totals(series: Iterable[list[int]]) -> list[int]:
    return [sum(counts) for counts in zip(*series, strict=False)]
