"""Rule: two clients have the same client id and end each other's connections."""

from collections.abc import Mapping

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.detect.rules.rule import EventHandler, Rule, distinct_openers
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Connecting, Disconnected, Replaced
from wscheck.model.findings import Confidence, Severity
from wscheck.model.replacement import REPLACED_WITHIN_S

MIN_TAKEOVERS = 2
"""Connections of a client id that newer ones must end before this is a loop.

A client that lost its network may take over its own old connection once.
"""

MIN_REPORTED = 3
"""Takeovers that a broker's log must report: it does not show whether the client is another one."""

WINDOW_S = 60.0
"""Longest time between two takeovers of one loop (seconds)."""

MAX_CLIENT_IDS = 10_000
"""Client ids, and connections, that are stored."""


class _Takeovers(msgspec.Struct):
    """Consecutive takeovers of a client id: a connection ended because another one has the same client id.

    count  number of takeovers
    at     time of the latest one
    """

    count: int = 0
    at: float | None = None

    def add(self, at: float | None, needed: int = MIN_TAKEOVERS) -> bool:
        """Count a takeover at the time `at`. Return True if at least `needed` takeovers have occurred in a row.

        Takeovers are in a row if at most `WINDOW_S` seconds lie between one and the next.
        """
        if self.at is not None and at is not None and at - self.at > WINDOW_S:
            self.count = 0
        self.count, self.at = self.count + 1, at
        return self.count >= needed


class _Client(msgspec.Struct):
    """Connections of clients that use one client id.

    owner      user of the first connection; the finding about all takeovers is reported for this user
    newest     opening of the newest connection
    older      openings of earlier connections that are open, by sid
    ended_at   time at which the newest connection ended, None while it is open or if the client closed it
    """

    owner: str | None
    newest: Connected
    older: dict[str | None, Connected] = msgspec.field(default_factory=dict)
    ended_at: float | None = None
    takeovers: _Takeovers = msgspec.field(default_factory=_Takeovers)


class ClientIdShared(Rule):
    """Rule: the connections of one client id end each other, again and again.

    A takeover is an end that the client did not cause, after a newer connection with the id was requested. The users of
    the connections may differ, for example if only their pages are known. A broker's log reports takeovers itself.
    """

    id = "client-id-shared"
    severity = Severity.ERROR
    title = "Two clients have the same client id and disconnect each other"
    meaning = (
        "An MQTT broker keeps one connection for each client id: a newer one ends the older. Both clients reconnect, "
        "so they take the session from each other for ever, and lose the messages in between."
    )
    fix = "Give each client an id of its own, or connect once and share the client."
    source = "MQTT 3.1.1, section 3.1.4: the server disconnects the existing client of the same client id"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._requested_at = BoundedDict[str | None, float | None](MAX_CLIENT_IDS)
        self._clients = BoundedDict[tuple[ServerEndpoint, str], _Client](MAX_CLIENT_IDS)
        self._reported = BoundedDict[str, _Takeovers](MAX_CLIENT_IDS)
        self._by_sid = BoundedDict[str | None, _Client](MAX_CLIENT_IDS)
        return {
            Connecting: self._connecting,
            Connected: self._connected,
            Disconnected: self._disconnected,
            Replaced: self._replaced,
        }

    def _connecting(self, event: Connecting) -> None:
        if event.protocol is not None and event.eio is not None:
            self._requested_at.put(event.eio, event.at)

    def _connected(self, event: Connected) -> None:
        requested_at = self._requested_at.pop(event.eio, None)
        if event.client_id is None or event.source == SOURCE_SERVER_LOG:
            return
        key = (ServerEndpoint.from_url(event.url or ""), event.client_id)
        client = self._clients.get(key)
        if client is None:
            client = _Client(event.user, event)
            self._clients.put(key, client)
        else:
            old, ended_at = client.newest, client.ended_at
            client.newest, client.ended_at = event, None
            if ended_at is None:
                client.older[old.sid] = old
            elif requested_at is not None and requested_at <= ended_at:
                self._taken_over(client, old, ended_at)
        self._by_sid.put(event.sid, client)

    def _disconnected(self, event: Disconnected) -> None:
        client = self._by_sid.pop(event.sid, None)
        if client is None:
            return
        by_client = event.reason == IO_CLIENT_DISCONNECT
        if event.sid == client.newest.sid:
            client.ended_at = None if by_client else event.at
            if by_client:
                self._clients.pop(
                    (ServerEndpoint.from_url(client.newest.url or ""), str(client.newest.client_id)), None
                )
            return
        old, newer_at = client.older.pop(event.sid, None), client.newest.at
        if old is None or by_client or event.at is None or newer_at is None:
            return
        if event.at - newer_at <= REPLACED_WITHIN_S:
            self._taken_over(client, old, event.at)

    def _replaced(self, event: Replaced) -> None:
        """Count a takeover (one connection ended because another has its client id) that a broker's log reports."""
        if (client_id := event.client_id) is None:
            return
        takeovers = self._reported.get(client_id)
        if takeovers is None:
            takeovers = _Takeovers()
            self._reported.put(client_id, takeovers)
        if takeovers.add(event.at, MIN_REPORTED):
            message = _describe(client_id, "")
            self.report(event.user, message, event.at, event, key=client_id, confidence=Confidence.MEDIUM)

    def _taken_over(self, client: _Client, old: Connected, at: float) -> None:
        if client.takeovers.add(at):
            name = client.newest.client_id or ""
            message = _describe(name, _places(old, client.newest))
            self.report(client.owner, message, at, old, client.newest, key=name)


def _describe(client_id: str, places: str) -> str:
    return f"two clients have the client id {client_id}, and the broker ends the older connection each time{places}"


def _places(old: Connected, new: Connected) -> str:
    """Return where the two clients connect: their openers, or one opener and the pages that run it."""
    openers = list(dict.fromkeys(filter(None, sorted(distinct_openers(old, new)))))
    pages = sorted({page for page in (old.page, new.page) if page})
    where = " and ".join(openers or pages)
    if len(openers) == 1 and len(pages) > 1:
        where = f"{where} on {' and '.join(pages)}"
    return f": {where}" if where else ""
