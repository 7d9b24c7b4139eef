"""Event contract that a server shows to one client."""

import asyncio
import json
from collections.abc import Iterator, Sequence

from wscheck.config.event_contract import DOCUMENTED_CONTRACT, ContractEvent
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.secrets import Redactor
from wscheck.observe.client.connection import ClientConnection
from wscheck.observe.client.preflight import IgnoreEvents, preflight

GREETING_S = 2.0
"""Seconds in which events arrive unrequested."""

ANSWER_S = 1.0
"""Seconds in which an answer to a request arrives."""

MAX_EVENTS = 50
MAX_DEPTH = 6


class _Collector(IgnoreEvents):
    """A listener that stores the first payload of each event."""

    def __init__(self) -> None:
        self.payloads: dict[str, object] = {}

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        if len(self.payloads) < MAX_EVENTS:
            self.payloads.setdefault(name, payload)


async def observe_contract(target: ServerTarget, user: Credentials) -> list[ContractEvent]:
    """Return the events that the server sends to `user`.

    The client first waits, and then emits each documented request (`request_*`). An event that first arrives after a
    request is its answer.

    Raises:
        CannotCheck: The server is unreachable, or refuses the credentials.
    """
    redactor = Redactor([user.token])
    await preflight(target, user, redactor)
    collector = _Collector()
    connection = ClientConnection(target, user, collector, page="observed", component="observed")
    requests: dict[str, str | None] = {}
    try:
        if await connection.open():
            await asyncio.sleep(GREETING_S)
            requests = dict.fromkeys(collector.payloads)
            for event in DOCUMENTED_CONTRACT.events:
                if event.emit is not None and event.emit.startswith("request_"):
                    await connection.emit(event.emit, event.payload)
                    await asyncio.sleep(ANSWER_S)
                    requests |= {name: event.emit for name in collector.payloads if name not in requests}
    finally:
        await connection.close()
    return [
        ContractEvent(name=name, emit=emit, user=user_path(collector.payloads[name], user.user))
        for name, emit in requests.items()
        if redactor.redact(name) == name
    ]


def user_path(payload: object, user: str) -> str | None:
    """Return the dotted path at which a payload contains the user's id, None if it contains none."""
    return next((path for path in _paths(payload, user, "", MAX_DEPTH) if path), None)


def _paths(value: object, user: str, path: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and depth:
        for key, each in value.items():
            if isinstance(key, str) and "." not in key:
                yield from _paths(each, user, f"{path}.{key}" if path else key, depth - 1)
    elif isinstance(value, str | int) and not isinstance(value, bool) and str(value) == user:
        yield path


def contract_toml(events: Sequence[ContractEvent]) -> str:
    """Return the events as [[event]] tables. A basic string of TOML is written like one of JSON."""
    tables = []
    for event in events:
        lines = ["[[event]]", f"name = {_quoted(event.name)}"]
        if event.emit is not None:
            lines.append(f"emit = {_quoted(event.emit)}")
        if event.user is not None:
            lines.append(f"user = {_quoted(event.user)}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")
