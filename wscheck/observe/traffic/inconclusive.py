"""What pages do not prove: why nothing was shown although nothing was found, and what is said beside it."""

from collections.abc import Iterable, Sequence

from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import Connected, Connecting, Disconnected, Event, NotEvaluated, Refused
from wscheck.observe.traffic.redaction import UNKNOWN_USER
from wscheck.observe.traffic.server_split import ServerEndpoint

NO_TRAFFIC = "no Socket.IO traffic was seen: no request or websocket with EIO= in its address"

IDENTITY = "say where the traffic names the user, as in --identity 'auth.token|jwt:sub'"


def doubt(events: Sequence[Event]) -> str:
    """Why nothing was proven, empty when it was. Ask only where nothing was found."""
    unjudged = next((event.reason for event in events if isinstance(event, NotEvaluated)), "")
    if not any(isinstance(event, Connected) for event in events):
        return _unconnected(events, unjudged)
    return unjudged or undivided(events) or _thrown_out(events)


def _unconnected(events: Sequence[Event], unjudged: str) -> str:
    refused = next((event for event in events if isinstance(event, Refused)), None)
    if refused is not None:
        hint = ", by the server: is the page logged in (--storage-state)?" if refused.reason == "refused" else ""
        return f"no connection was made: {refused.message or refused.reason}{hint}"
    tried = any(isinstance(event, Connecting) for event in events)
    return unjudged or ("no connection was made" if tried else NO_TRAFFIC)


def undivided(events: Iterable[Event]) -> str:
    """Several pages at one server may be one user's, where it is not known whose they are. A server to which nobody is
    known by name counts only if that holds for all: the one that is looked at knows its users."""
    opened = [event for event in events if isinstance(event, Connected) and event.page is not None]
    named = {_server(event) for event in opened if not _is_stranger(event)}
    for server in named or {_server(event) for event in opened}:
        here = [event for event in opened if _server(event) == server]
        pages, strange = {event.page for event in here}, {event.page for event in here if _is_stranger(event)}
        if strange and len(pages) > 1:
            told = " and ".join(sorted(filter(None, pages)))
            return f"{told} may be one user's: who is connected in {_all(strange)} was not found; {IDENTITY}"
    return ""


def _thrown_out(events: Iterable[Event]) -> str:
    """A server that ends a user's only connection may do so for another that nobody watched."""
    held: dict[str | None, set[str | None]] = {}
    last: dict[str | None, Connected | Disconnected] = {}
    for event in events:
        if isinstance(event, Connected):
            held.setdefault(event.user, set()).add(event.sid)
            last[event.user] = event
        elif isinstance(event, Disconnected):
            held.get(event.user, set()).discard(event.sid)
            last[event.user] = event
    for user, event in last.items():
        if isinstance(event, Disconnected) and event.reason in SERVER_ENDED and not held.get(user):
            return (
                f"the server ended the only connection of {user or event.page}, and nothing that was watched took its "
                "place: another tab or device of the same user, or a token that is no longer good?"
            )
    return ""


def strangers(events: Iterable[Event]) -> list[str]:
    """That some connections are counted for their page, because nothing said whose they are."""
    unknown = {event.page for event in events if isinstance(event, Connected) and _is_stranger(event)}
    return [f"Who is connected in {_all(unknown)} was not found: {IDENTITY}."] if unknown else []


def turned_away(events: Sequence[Event]) -> list[str]:
    """That the server let some page's user in elsewhere and not there."""
    inside = {event.page for event in events if isinstance(event, Connected)}
    outside = (event for event in events if isinstance(event, Refused) and event.page not in inside)
    told = {event.page: event.message or "it does not say why" for event in outside if event.page and inside}
    return [f"{page} was refused its connection: {why}." for page, why in told.items()]


def _server(event: Connected) -> ServerEndpoint:
    return ServerEndpoint.from_url(event.url or "")


def _is_stranger(event: Connected) -> bool:
    return event.page is not None and event.user == UNKNOWN_USER.format(event.page)


def _all(pages: Iterable[str | None]) -> str:
    return ", ".join(sorted(filter(None, pages)))
