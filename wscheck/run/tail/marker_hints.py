"""Proposals of markers for log lines that may be about connections in an unknown wording."""

from collections.abc import Mapping, Sequence
from itertools import chain

from wscheck.model.report import MarkerSuggestion
from wscheck.run.tail.watch import AnyLog

MOST_LOGS = 10
"""The most logs that are searched: the logs of one application use the same wording."""


def propose_markers(logs: Sequence[AnyLog], events: Mapping[str, int], most_open: int) -> list[MarkerSuggestion]:
    """Return one proposal for each kind of event and wording.

    Nothing is proposed if the known wording explains the logs.

    Args:
        logs: the logs that were read to their end.
        events: the number of events that were read, by kind.
        most_open: the most connections that one user had open at once.
    """
    found: dict[tuple[str, str], MarkerSuggestion] = {}
    kinds = missing_kinds(events, most_open)
    for hint in chain.from_iterable(log.suggestions(kinds) for log in logs[:MOST_LOGS] if kinds):
        if (hint.kind, hint.text) in found:
            found[hint.kind, hint.text].lines += hint.lines
        else:
            found[hint.kind, hint.text] = hint.to_report()
    return list(found.values())


def missing_kinds(events: Mapping[str, int], most_open: int) -> list[str]:
    """Return the kinds of events of which none was read, although there must have been some.

    If connections open and none ever closes, a user with several open connections shows that their ends are missing.
    """
    if events.get("connected", 0):
        closed = events.get("disconnected", 0) or events.get("replaced", 0)
        return ["replaced", "disconnected"] if most_open > 1 and not closed else []
    return [kind for kind in ("connected", "replaced", "disconnected") if not events.get(kind, 0)]
