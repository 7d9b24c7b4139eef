"""WHO SAW IT: the replaying client itself. Turns what its pages do into events."""

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
from wscheck.observe.client.connection import Connection
from wscheck.observe.traffic.redaction import MAX_TEXT_LENGTH, TrafficRedactor

Record = Callable[[Event], None]


class ReplayWitness:
    """A `client.witness.Witness` that records events. Payloads leave only a keyed digest."""

    def __init__(self, record: Record, contract: Contract, redactor: Redactor) -> None:
        self._record, self._contract, self._redactor = record, contract, redactor
        self._digest = TrafficRedactor().digest

    def connecting(self, connection: Connection) -> None:
        token = connection.credentials.token
        self._record(
            Connecting(
                **self._where(connection),
                url=connection.target.display_url,
                credential=connection.credentials.kind,
                fingerprint=self._digest(token.reveal()) if token is not None else None,
            )
        )

    def connected(self, connection: Connection) -> None:
        self._record(Connected(**self._where(connection), credential=connection.credentials.kind))

    def refused(self, connection: Connection, reason: str, message: str) -> None:
        self._record(
            Refused(
                **self._where(connection),
                reason=reason,
                message=self._clean(message),
                credential=connection.credentials.kind,
            )
        )

    def disconnected(self, connection: Connection, reason: str) -> None:
        self._record(Disconnected(**self._where(connection), reason=reason))

    def delivered(self, connection: Connection, name: str, payload: object) -> None:
        contracted = self._contract.event_named(name)
        about = contracted.user_in(payload) if contracted is not None else None
        self._record(
            Delivered(
                **self._where(connection),
                name=self._clean(name),
                digest=self._digest(payload),
                about=self._clean(about) if about is not None else None,
            )
        )

    def handled(self, connection: Connection, component: str, name: str, payload: object) -> None:
        where = {**self._where(connection), "component": component}
        self._record(Handled(**where, name=self._clean(name), digest=self._digest(payload)))

    def emitted(self, connection: Connection, name: str) -> None:
        self._record(Emitted(**self._where(connection), name=name))

    def silenced(self, connection: Connection, within: float) -> None:
        self._record(HeartbeatStopped(**self._where(connection), within=within))

    def unreadable(self, connection: Connection, reason: str) -> None:
        user = connection.credentials.user
        self._record(Unreadable(at=time.time(), source=SOURCE_CLIENT, user=user, reason=self._clean(reason)))

    def mounted(self, page: str, component: str, user: str) -> None:
        self._record(Mounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def unmounted(self, page: str, component: str, user: str) -> None:
        self._record(Unmounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def _where(self, connection: Connection) -> dict[str, Any]:
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
        """What a server says may be long, and may quote our token back at us."""
        return self._redactor.redact(text)[:MAX_TEXT_LENGTH]

    def _id(self, text: str | None) -> str | None:
        """As a server's log tells it too, so only what is known to be a secret is hidden."""
        return self._redactor.redact_known(text)[:MAX_TEXT_LENGTH] if text is not None else None
