"""WHAT THE LOGS MAY SAY IN OTHER WORDS: asked once at the end, and only where the known words leave something out."""

from collections.abc import Mapping, Sequence
from itertools import chain

from wscheck.model.report import MarkerSuggestion
from wscheck.run.tail.watch import AnyLog

MOST_LOGS = 10
"""Logs that are looked through: those of one application say it in the same words."""


def suggested(logs: Sequence[AnyLog], events: Mapping[str, int], most_open: int) -> list[MarkerSuggestion]:
    """What may tell of connections, by kind and words; `events` counts those that were read."""
    found: dict[tuple[str, str], MarkerSuggestion] = {}
    kinds = missing(events, most_open)
    for hint in chain.from_iterable(log.suggestions(kinds) for log in logs[:MOST_LOGS] if kinds):
        if (hint.kind, hint.text) in found:
            found[hint.kind, hint.text].lines += hint.lines
        else:
            found[hint.kind, hint.text] = hint.to_report()
    return list(found.values())


def missing(events: Mapping[str, int], most_open: int) -> list[str]:
    """The kinds of which none was read, though there must have been some.

    Where connections open and none ever closes, what ends those whom that makes hold several is asked for.
    """
    if events.get("connected", 0):
        closed = events.get("disconnected", 0) or events.get("replaced", 0)
        return ["replaced", "disconnected"] if most_open > 1 and not closed else []
    return [kind for kind in ("connected", "replaced", "disconnected") if not events.get(kind, 0)]
