"""IN WHICH ORDER: what several observers saw of the same moments, put in the order in which it happened. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Connecting, Disconnected, Event, Refused, Replaced
from wscheck.model.replacement import CROSSING_S

Early = Disconnected | Refused | Replaced
"""What may be told before the connection that it is about."""


def merge_causally(events: Iterable[Event], overtakes_s: float = CROSSING_S) -> Iterator[Event]:
    """Give `events` by their time, ties in the order of arrival, and a kick after the connection that caused it.

    A server acknowledges the new connection and ends the old one in the same breath, on two sockets: the client may
    hear of the end first. While an attempt of the same user is under way, the kick waits for it. So does a refusal, for
    the acknowledgement of the connection that it is for, and a log's word that one connection replaces another, for the
    beginning of the new one: servers write the two in either order.
    """
    in_time = sorted(events, key=_time)
    to_come = {event.sid for event in in_time if isinstance(event, Connected) and event.sid is not None}
    pending: Counter[str | None] = Counter()
    waiting: list[Early] = []
    for event in in_time:
        yield from _taken(waiting, [early for early in waiting if _time(early) < _time(event) - overtakes_s])
        if isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT and pending[event.user] > 0:
            waiting.append(event)
            continue
        if isinstance(event, Replaced) and event.new_sid in to_come:
            waiting.append(event)
            continue
        if event.source != SOURCE_SERVER_LOG and isinstance(event, Connected | Refused) and pending[event.user] > 0:
            pending[event.user] -= 1
            if _is_refusal(event) and pending[event.user] > 0:
                waiting.append(event)
                continue
        yield event
        if isinstance(event, Connected):
            to_come.discard(event.sid)
            yield from _taken(waiting, [e for e in waiting if isinstance(e, Replaced) and e.new_sid == event.sid])
        if event.source == SOURCE_SERVER_LOG:
            continue
        if isinstance(event, Connecting):
            pending[event.user] += 1
        elif isinstance(event, Connected | Refused):
            yield from _taken(waiting, [e for e in waiting if e.user == event.user and not isinstance(e, Replaced)])
    yield from waiting


def _is_refusal(event: Event) -> TypeGuard[Refused]:
    """Whether a server said no to a page. What a scenario presents is refused on purpose."""
    return isinstance(event, Refused) and event.reason == "refused" and event.credential is None


def _time(event: Event) -> float:
    return event.at if event.at is not None else 0.0


def _taken(waiting: list[Early], ready: list[Early]) -> list[Early]:
    for early in ready:
        waiting.remove(early)
    return ready
