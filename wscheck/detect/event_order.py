"""The causal order of events that several observers reported."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Connecting, Disconnected, Event, Refused, Replaced
from wscheck.model.replacement import CROSSING_S

Deferrable = Disconnected | Refused | Replaced
"""Events that may be observed before the opening of the connection that caused them."""


def merge_causally(events: Iterable[Event], overtakes_s: float = CROSSING_S) -> Iterator[Event]:
    """Yield `events` by time, ties in the order of arrival, and each effect after its cause.

    A server acknowledges a new connection and ends the old one at the same moment, on two sockets, so a client may
    receive the disconnect first. While an attempt of the same user is pending, these events wait for its outcome, for
    at most `overtakes_s` seconds:

    - a disconnect by the server, and a refusal: for the acknowledgement of the user's other connection
    - a replacement in a server's log: for the opening of the new connection, since servers log both in either order
    """
    by_time = sorted(events, key=_time)
    sids_to_open = {event.sid for event in by_time if isinstance(event, Connected) and event.sid is not None}
    pending: Counter[str | None] = Counter()
    deferred: list[Deferrable] = []
    for event in by_time:
        yield from _release(deferred, [early for early in deferred if _time(early) < _time(event) - overtakes_s])
        if isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT and pending[event.user] > 0:
            deferred.append(event)
            continue
        if isinstance(event, Replaced) and event.new_sid in sids_to_open:
            deferred.append(event)
            continue
        if event.source != SOURCE_SERVER_LOG and isinstance(event, Connected | Refused) and pending[event.user] > 0:
            pending[event.user] -= 1
            if _is_refusal(event) and pending[event.user] > 0:
                deferred.append(event)
                continue
        yield event
        if isinstance(event, Connected):
            sids_to_open.discard(event.sid)
            yield from _release(deferred, [e for e in deferred if isinstance(e, Replaced) and e.new_sid == event.sid])
        if event.source == SOURCE_SERVER_LOG:
            continue
        if isinstance(event, Connecting):
            pending[event.user] += 1
        elif isinstance(event, Connected | Refused):
            yield from _release(deferred, [e for e in deferred if e.user == event.user and not isinstance(e, Replaced)])
    yield from deferred


def _is_refusal(event: Event) -> TypeGuard[Refused]:
    """Return whether a server refused a page. An attempt of a scenario with a `credential` is refused on purpose."""
    return isinstance(event, Refused) and event.reason == "refused" and event.credential is None


def _time(event: Event) -> float:
    return event.at if event.at is not None else 0.0


def _release(deferred: list[Deferrable], ready: list[Deferrable]) -> list[Deferrable]:
    """Remove `ready` from `deferred` and return it."""
    for event in ready:
        deferred.remove(event)
    return ready
