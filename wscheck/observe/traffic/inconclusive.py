"""Gaps (missing evidence) in the traffic of pages, which prevent or limit a verdict."""

from collections.abc import Iterable, Sequence

from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import (
    Connected,
    Connecting,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    NotEvaluated,
    Refused,
)
from wscheck.model.gaps import Gap
from wscheck.observe.traffic.redaction import UNKNOWN_USER

NOTHING_SEEN = "no real-time connection was seen"
NO_TRAFFIC = f"{NOTHING_SEEN}: no WebSocket, no stream of server-sent events, and no Socket.IO"

IDENTITY = "say where the traffic names the user, as in --identity 'auth.token|jwt:sub'"

PERFORM = "watch longer (--for), or perform what connects the page (browser.step)"

AT_ONCE_S = 1.0
"""Longest life of a connection that closed at once (seconds)."""

STORAGE_STATE = "--storage-state"


def page_gaps(events: Sequence[Event], *, has_policy: bool = True) -> list[Gap]:
    """Return the gaps that prevent a verdict on the `events` of pages, the most important gap first.

    has_policy  True if the team has configured the number of connections that a user may have
    """
    unjudged = [Gap(id="not-evaluated", reason=event.reason) for event in events if isinstance(event, NotEvaluated)]
    if not any(isinstance(event, Connected) for event in events):
        return _without_connection(events, unjudged)
    closed = [gap for gap in all_closed(events) if gap.blocks]
    owners = [] if not has_policy and _present_different_values(events) else unknown_owners(events)
    return [*unjudged, *owners, *_unexplained_disconnect(events), *closed]


def _without_connection(events: Sequence[Event], unjudged: list[Gap]) -> list[Gap]:
    refused = next((event for event in events if isinstance(event, Refused)), None)
    if refused is not None:
        by_server = refused.reason == "refused"
        hint = f", by the server: is the page logged in ({STORAGE_STATE})?" if by_server else ""
        reason = f"no connection was made: {refused.message or refused.reason}{hint}"
        return [Gap(id="no-connection", reason=reason, closes_with=STORAGE_STATE if by_server else ""), *unjudged]
    tried = any(isinstance(event, Connecting) for event in events)
    return [*unjudged, Gap(id="no-connection", reason="no connection was made" if tried else NO_TRAFFIC)]


def unknown_owners(events: Iterable[Event]) -> list[Gap]:
    """Return a gap if several pages may belong to one user, because the user of at least one page is unknown.

    Each server is checked separately. A server without known users is ignored if another server has a known user,
    because the traffic of the server under test identifies the users.
    """
    opened: dict[ServerEndpoint, list[Connected]] = {}
    for event in events:
        if isinstance(event, Connected) and event.page is not None:
            opened.setdefault(_server(event), []).append(event)
    named = [here for here in opened.values() if not all(map(_has_unknown_user, here))]
    for here in named or opened.values():
        pages, unknown = {event.page for event in here}, {event.page for event in here if _has_unknown_user(event)}
        if unknown and len(pages) > 1:
            several = " and ".join(sorted(filter(None, pages)))
            reason = f"{several} may belong to one user: the user of {_listed(unknown)} is unknown; {IDENTITY}"
            return [Gap(id="user-unknown", reason=reason, closes_with=IDENTITY, rules=("multiple-connections",))]
    return []


def _present_different_values(events: Iterable[Event]) -> bool:
    """Return whether each page has connection URLs with parameter values, and no two pages have the same URL.

    Each page is then a separate client.

    For Socket.IO, the values that identify a client are in the CONNECT packet, and an identity rule reads them.
    """
    pages_by_url: dict[str | None, set[str | None]] = {}
    for event in events:
        if isinstance(event, Connected) and event.page is not None:
            url = event.url if event.protocol is not None and "=~" in (event.url or "") else None
            pages_by_url.setdefault(url, set()).add(event.page)
    return None not in pages_by_url and all(len(pages) == 1 for pages in pages_by_url.values())


def _unexplained_disconnect(events: Iterable[Event]) -> list[Gap]:
    """Return a gap (missing evidence) if the server ended a user's only connection and none was seen to replace it.

    A connection in a tab or on a device that was not observed may have replaced it.
    """
    open_sids: dict[str | None, set[str | None]] = {}
    latest: dict[str | None, Connected | Disconnected] = {}
    for event in events:
        if isinstance(event, Connected):
            open_sids.setdefault(event.user, set()).add(event.sid)
            latest[event.user] = event
        elif isinstance(event, Disconnected):
            open_sids.get(event.user, set()).discard(event.sid)
            latest[event.user] = event
    for user, event in latest.items():
        if isinstance(event, Disconnected) and event.reason in SERVER_ENDED and not open_sids.get(user):
            reason = (
                f"the server ended the only connection of {user or event.page}, and no observed connection replaced "
                "it: does the user have another tab or device, or has the token expired?"
            )
            return [
                Gap(id="disconnect-unexplained", reason=reason, rules=("multiple-connections", "connection-replaced"))
            ]
    return []


def all_closed(events: Iterable[Event]) -> list[Gap]:
    """Return a gap (missing evidence) if no connection of the pages was open at the end.

    It prevents a verdict of passed only if the pages made a single connection, which closed at once, before any event.
    """
    connections: set[str | None] = set()
    open_sids: set[str | None] = set()
    is_used = False
    latest: Disconnected | None = None
    opened_at: float | None = None
    for event in events:
        if isinstance(event, Connected):
            connections.add(event.eio or event.sid)
            open_sids.add(event.sid)
            opened_at = event.at
        elif isinstance(event, Delivered | Emitted):
            is_used = True
        elif isinstance(event, Disconnected) and event.sid in open_sids:
            open_sids.discard(event.sid)
            latest = event
    if latest is None or open_sids:
        return []
    end = f"closed ({latest.reason})"
    lived_s = (latest.at or 0.0) - (opened_at or 0.0)
    if len(connections) == 1 and not is_used and lived_s <= AT_ONCE_S:
        reason = f"the only connection {end} at once, before any event arrived, and none was opened again: {PERFORM}"
        return [Gap(id="closed-at-once", reason=reason, closes_with="--for")]
    return [Gap(id="none-open-at-end", reason=f"No connection was open at the end: the last one {end}.", blocks=False)]


def unknown_users(events: Iterable[Event]) -> list[Gap]:
    """Return a gap (missing evidence) if users are unknown.

    It does not prevent a verdict of passed, because connections are counted per page then.
    """
    unknown = {event.page for event in events if isinstance(event, Connected) and _has_unknown_user(event)}
    if not unknown:
        return []
    reason = f"The user of {_listed(unknown)} is unknown: {IDENTITY}."
    return [Gap(id="user-unknown", reason=reason, closes_with=IDENTITY, blocks=False)]


def refused_pages(events: Sequence[Event]) -> list[Gap]:
    """Return a gap (missing evidence) for each page that the server refused although it accepted another page.

    These gaps do not prevent a verdict of passed.
    """
    connected = {event.page for event in events if isinstance(event, Connected)}
    outside = (event for event in events if isinstance(event, Refused) and event.page not in connected)
    why = {event.page: event.message or "the server gives no reason" for event in outside if event.page and connected}
    return [
        Gap(id="page-refused", reason=f"{page} was refused its connection: {text}.", blocks=False)
        for page, text in why.items()
    ]


def _server(event: Connected) -> ServerEndpoint:
    return ServerEndpoint.from_url(event.url or "")


def _has_unknown_user(event: Connected) -> bool:
    return event.page is not None and event.user == UNKNOWN_USER.format(event.page)


def _listed(pages: Iterable[str | None]) -> str:
    return ", ".join(sorted(filter(None, pages)))
