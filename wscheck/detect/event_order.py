"""Causal order of events that several observers reported."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Connecting, Disconnected, Event, Refused, Replaced
from wscheck.model.replacement import CROSSING_S

Deferrable = Disconnected | Refused | Replaced
"""Events that may be observed before their cause: the opening of a newer connection."""


def merge_causally(events: Iterable[Event], overtakes_s: float = CROSSING_S) -> Iterator[Event]:
    """Yield `events` by time, but each effect after its cause. Events of equal time stay in their order.

    When a user connects again, the server acknowledges the new connection and ends the old one at the same moment.
    These answers travel on two connections, so a client may receive the disconnect first. The following events are
    therefore delayed, by at most `overtakes_s` seconds:

    - a disconnect by the server, and a refusal: until another pending attempt of the user is acknowledged or refused
    - a replacement in a server's log: until the new connection opens, because servers log both in either order
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
    """Return whether `event` is a server's refusal of a real page.

    Attempts with a `credential` belong to a scenario, which provokes refusals on purpose.
    """
    return isinstance(event, Refused) and event.reason == "refused" and event.credential is None


def _time(event: Event) -> float:
    return event.at if event.at is not None else 0.0


def _release(deferred: list[Deferrable], ready: list[Deferrable]) -> list[Deferrable]:
    """Remove the events in `ready` from `deferred`, and return `ready`."""
    for event in ready:
        deferred.remove(event)
    return ready
