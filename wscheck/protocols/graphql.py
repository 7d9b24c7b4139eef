"""GraphQL over WebSocket, in two subprotocols: graphql-transport-ws, and graphql-ws of subscriptions-transport-ws.

Sources: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md;
https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md. AWS AppSync speaks the second one,
with the query as a JSON text in `payload.data`.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Direction,
    Identified,
    Opening,
    Received,
    Sent,
    Subscribed,
    Unsubscribed,
    WebSocketProtocol,
    WireEvents,
)
from wscheck.protocols.websocket import JsonSession, decode_json

SUBPROTOCOLS = ("graphql-transport-ws", "graphql-ws")

MAX_OPERATIONS = 10_000
"""Open operations of one connection that are remembered."""

MAX_QUERY = 64 * 1024
"""Longest document whose operation is searched, in characters."""

_BEATS = frozenset({"ping", "pong", "ka"})
_STARTS, _STOPS = frozenset({"subscribe", "start"}), frozenset({"complete", "stop"})

# Strings and comments are tokens, so that braces and keywords in them do not count. A string without its end is a token
# too: a search that fails at each quotation mark would read the rest of the document again and again.
_TOKEN = re.compile(r'"""(?:\\"""|(?!""").)*(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?|\#[^\n]*|@?[A-Za-z_]\w*|[{}()]', re.S)
_KINDS = frozenset({"query", "mutation", "subscription"})


class GraphQl(WebSocketProtocol):
    """GraphQL over WebSocket."""

    id = "graphql-ws"
    name = "GraphQL"
    reads_state = True
    subprotocols = SUBPROTOCOLS

    def recognise_content(self, opening: Opening) -> Confidence:
        first = decode_json(opening.sent[0]) if opening.sent else None
        is_init = isinstance(first, dict) and first.get("type") == "connection_init"
        return Confidence.LIKELY if is_init else Confidence.NONE

    def start_session(self, opening: Opening) -> "GraphQlSession":
        return GraphQlSession()


class Operation(NamedTuple):
    """Operation that the client started.

    kind  "query", "mutation" or "subscription"; "subscription" also if the client does not send the document
    name  name of the operation, or of its first field if the operation has no name
    """

    kind: str
    name: str


class GraphQlSession(JsonSession):
    """Session of one connection. A query or mutation counts as an event of the client, not as a subscription."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: dict[str, Operation] = {}
        self._same: dict[str, Any] = {}

    def process(self, direction: Direction, message: dict[str, Any], at: float) -> WireEvents:
        kind, id, payload = message.get("type"), message.get("id"), message.get("payload")
        if kind in _BEATS:
            return [Beat(at=at, direction=direction)]
        if direction is Direction.SENT:
            return self._process_sent(kind, str(id), payload, at)
        return self._process_received(kind, str(id), payload, at)

    def _process_sent(self, kind: object, id: str, payload: Any, at: float) -> WireEvents:
        if kind == "connection_init" and isinstance(payload, dict):
            return [Identified(at=at, source="auth", values=payload)]
        if kind in _STARTS and isinstance(payload, dict):
            return self._start(id, payload, at)
        if kind in _STOPS:
            return self._end(id, at, by_server=False)
        return []

    def _start(self, id: str, payload: dict[str, Any], at: float) -> WireEvents:
        request = _request(payload)
        operation = find_operation(str(request.get("query") or ""), request.get("operationName"))
        if len(self._operations) < MAX_OPERATIONS:
            self._operations[id] = operation
        same = {key: request[key] for key in ("query", "variables", "operationName", "extensions") if request.get(key)}
        if len(self._same) < MAX_OPERATIONS:
            self._same[id] = same
        if operation.kind != "subscription":
            return [Sent(at=at, name=operation.name, arguments=[request.get("variables")])]
        return [Subscribed(at=at, id=id, name=operation.name, same=same or payload)]

    def _process_received(self, kind: object, id: str, payload: Any, at: float) -> WireEvents:
        if kind in ("next", "data"):
            operation = self._operations.get(id)
            name = operation.name if operation is not None else "subscription"
            # Equal data of two subscriptions, such as those of two rows of a table, are two events.
            return [Received(at=at, name=name, payload=[self._same.get(id), payload])]
        if kind in ("complete", "error"):
            return self._end(id, at, by_server=True)
        return []

    def _end(self, id: str, at: float, *, by_server: bool) -> WireEvents:
        operation, _ = self._operations.pop(id, None), self._same.pop(id, None)
        if operation is None or operation.kind != "subscription":
            return []
        return [Unsubscribed(at=at, id=id, by_server=by_server)]


def _request(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the GraphQL request of a message: the payload, or the JSON text that AppSync puts into it."""
    text = payload.get("data")
    inner = decode_json(text) if isinstance(text, str) else None
    return inner if isinstance(inner, dict) else payload


def find_operation(document: str, wanted: object = None) -> Operation:
    """Return the operation that runs: the one with the name `wanted`, otherwise the first one."""
    operations = list(_operations(document[:MAX_QUERY]))
    found = next((each for each in operations if wanted and each.name == wanted), None)
    if found is None:
        found = operations[0] if operations else Operation("subscription", "")
    return found._replace(name=str(wanted or found.name or "subscription"))


def _operations(document: str) -> Iterator[Operation]:
    """Yield the operations of a document. A selection set without a keyword is a query."""
    braces = parentheses = 0
    kind, name, is_fragment = "", "", False
    for token in (match[0] for match in _TOKEN.finditer(document)):
        if token in "()":
            parentheses = max(parentheses + (1 if token == "(" else -1), 0)
        elif parentheses or token[0] in '"#@':
            continue
        elif token == "{":
            kind = kind or ("" if is_fragment else "query")
            braces += 1
        elif token == "}":
            braces = max(braces - 1, 0)
            if not braces:
                if kind:
                    yield Operation(kind, name)
                kind, name, is_fragment = "", "", False
        elif braces < 2 and kind:
            name = name or token
        elif not braces and not is_fragment:
            kind, is_fragment = (token if token in _KINDS else ""), token == "fragment"
