"""Recorder of the simulated client: turns what its pages do into events."""

import time
from collections.abc import Callable
from typing import Any

from wscheck.config.event_contract import Contract
from wscheck.model.events import (
    SOURCE_CLIENT,
    Connected,
    Connecting,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Handled,
    HeartbeatStopped,
    Mounted,
    Refused,
    Unmounted,
    Unreadable,
)
from wscheck.model.secrets import Redactor
from wscheck.observe.client.connection import ClientConnection
from wscheck.observe.traffic.redaction import MAX_TEXT_LENGTH, TrafficRedactor

RecordEvent = Callable[[Event], None]


class ClientRecorder:
    """A `PageListener` that records events. Of a payload it records only a keyed digest."""

    def __init__(self, record: RecordEvent, contract: Contract, redactor: Redactor) -> None:
        self._record, self._contract, self._redactor = record, contract, redactor
        self._digest = TrafficRedactor().digest

    def connecting(self, connection: ClientConnection) -> None:
        token = connection.credentials.token
        self._record(
            Connecting(
                **self._connection_fields(connection),
                url=connection.target.display_url,
                credential=connection.credentials.kind,
                fingerprint=self._digest(token.reveal()) if token is not None else None,
            )
        )

    def connected(self, connection: ClientConnection) -> None:
        self._record(Connected(**self._connection_fields(connection), credential=connection.credentials.kind))

    def refused(self, connection: ClientConnection, reason: str, message: str) -> None:
        self._record(
            Refused(
                **self._connection_fields(connection),
                reason=reason,
                message=self._clean(message),
                credential=connection.credentials.kind,
            )
        )

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        self._record(Disconnected(**self._connection_fields(connection), reason=reason))

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        contracted = self._contract.event_named(name)
        about = contracted.user_in(payload) if contracted is not None else None
        self._record(
            Delivered(
                **self._connection_fields(connection),
                name=self._clean(name),
                digest=self._digest(payload),
                about=self._clean(about) if about is not None else None,
            )
        )

    def handled(self, connection: ClientConnection, component: str, name: str, payload: object) -> None:
        fields = {**self._connection_fields(connection), "component": component}
        self._record(Handled(**fields, name=self._clean(name), digest=self._digest(payload)))

    def emitted(self, connection: ClientConnection, name: str) -> None:
        self._record(Emitted(**self._connection_fields(connection), name=name))

    def silenced(self, connection: ClientConnection, within: float) -> None:
        self._record(HeartbeatStopped(**self._connection_fields(connection), within=within))

    def unreadable(self, connection: ClientConnection, reason: str) -> None:
        user = connection.credentials.user
        self._record(Unreadable(at=time.time(), source=SOURCE_CLIENT, user=user, reason=self._clean(reason)))

    def mounted(self, page: str, component: str, user: str) -> None:
        self._record(Mounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def unmounted(self, page: str, component: str, user: str) -> None:
        self._record(Unmounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def _connection_fields(self, connection: ClientConnection) -> dict[str, Any]:
        return {
            "at": time.time(),
            "source": SOURCE_CLIENT,
            "user": connection.credentials.user,
            "sid": self._id(connection.sid),
            "eio": self._id(connection.eio),
            "namespace": connection.target.namespace,
            "transport": connection.transport if connection.sid is not None else None,
            "page": connection.page,
            "component": connection.component,
        }

    def _clean(self, text: str) -> str:
        """Return text of the server for a report: without secrets, which the server may quote, and truncated."""
        return self._redactor.redact(text)[:MAX_TEXT_LENGTH]

    def _id(self, text: str | None) -> str | None:
        """Return an id of the server for a report, without known secrets.

        Ids that only look like a secret stay, because they must match those in the server's log.
        """
        return self._redactor.redact_known(text)[:MAX_TEXT_LENGTH] if text is not None else None
