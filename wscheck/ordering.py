"""IN WHICH ORDER: what several observers saw of the same moments, put in the order in which it happened. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from wscheck.events import Connected, Connecting, Disconnected, Event, Refused

SERVER_LOG = "server-log"

KICK = "io server disconnect"

# How far a kick may run ahead of the acknowledgement of the connection that caused it: both travel at once.
OVERTAKES_S = 0.25


def one_story(events: Iterable[Event], overtakes_s: float = OVERTAKES_S) -> Iterator[Event]:
    """Give `events` by their time, ties in the order of arrival, and a kick after the connection that caused it.

    A server acknowledges the new connection and ends the old one in the same breath, on two sockets: the client may
    hear of the end first. While an attempt of the same user is under way, the kick waits for it.
    """
    pending: Counter[str | None] = Counter()
    waiting: list[Disconnected] = []
    for event in sorted(events, key=_time):
        yield from _overdue(waiting, _time(event) - overtakes_s)
        if isinstance(event, Disconnected) and event.reason == KICK and pending[event.user] > 0:
            waiting.append(event)
            continue
        yield event
        if event.source == SERVER_LOG:
            continue
        if isinstance(event, Connecting):
            pending[event.user] += 1
        elif isinstance(event, Connected | Refused) and pending[event.user] > 0:
            pending[event.user] -= 1
            yield from _taken(waiting, [kick for kick in waiting if kick.user == event.user])
    yield from waiting


def _time(event: Event) -> float:
    return event.at if event.at is not None else 0.0


def _overdue(waiting: list[Disconnected], since: float) -> list[Disconnected]:
    return _taken(waiting, [kick for kick in waiting if _time(kick) < since])


def _taken(waiting: list[Disconnected], kicks: list[Disconnected]) -> list[Disconnected]:
    for kick in kicks:
        waiting.remove(kick)
    return kicks
