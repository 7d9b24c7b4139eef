"""Action Cable, the channels of Ruby on Rails; AnyCable speaks the same protocol.

The server sends `{"type":"welcome"}` once it knows the user. A subscription is named by its identifier, a JSON text
with the class of the channel and its parameters.

Source: "Action Cable Overview", https://guides.rubyonrails.org/action_cable_overview.html, and the package
@rails/actioncable.
"""

from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import SERVER_SHUTTING_DOWN
from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Data,
    Direction,
    LoginSession,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Unsubscribed,
    WebSocketProtocol,
    WireEvents,
)
from wscheck.protocols.websocket import MESSAGE, decode_json, message_name

SUBPROTOCOLS = (
    "actioncable-v1-json",
    "actioncable-unsupported",
    "actioncable-v1-ext-json",
    "actioncable-v1-msgpack",
    "actioncable-v1-ext-msgpack",
)
"""Subprotocols of Rails, and those of AnyCable."""

RETRY_S = 0.5
"""Seconds after which the client repeats a subscription that the server has not confirmed."""

MAX_IDENTIFIERS = 10_000
"""Identifiers that are stored of one connection."""

_UNAUTHORIZED, _RESTARTS = "unauthorized", "server_restart"
_MSGPACK_DECODER = msgspec.msgpack.Decoder()


class ActionCable(WebSocketProtocol):
    """Action Cable, recognised by its subprotocols or by the server's first message."""

    id = "action-cable"
    name = "Action Cable"
    reads_state = True
    subprotocols = SUBPROTOCOLS

    def recognise_content(self, opening: Opening) -> Confidence:
        welcomes = any(_is_welcome(_decode(data)) for data in opening.received[:1])
        return (
            Confidence.LIKELY
            if welcomes and any(_is_command(_decode(data)) for data in opening.sent)
            else Confidence.NONE
        )

    def start_session(self, opening: Opening) -> "ActionCableSession":
        return ActionCableSession()


def _decode(data: Data) -> Any:
    """Return the value of a message in JSON or MessagePack, None if it is neither."""
    if isinstance(data, str):
        return decode_json(data)
    try:
        return _MSGPACK_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
        return None


def _is_welcome(message: Any) -> bool:
    return isinstance(message, dict) and message.get("type") == "welcome"


def _is_command(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("identifier"), str) and "command" in message


class _Identifier(msgspec.Struct):
    """All subscriptions of the client that have the same identifier.

    count      number of these subscriptions
    confirmed  value of `count` at the latest confirmation by the server
    sent       number of commands to subscribe since the latest confirmation, or since a pause of about
               `RETRY_S` seconds without such a command
    """

    count: int = 0
    confirmed: int = 0
    sent: int = 0
    sent_at: float | None = None

    def asks_again(self, at: float) -> bool:
        """Process a command to subscribe. Return whether it starts a subscription, and repeats no earlier command."""
        if self.sent_at is None or at - self.sent_at > RETRY_S * 0.8:
            self.sent = 0
        self.sent, self.sent_at = self.sent + 1, at
        if self.sent <= self.count - self.confirmed:
            return False
        self.count += 1
        return True

    def confirm(self) -> None:
        """Process the server's confirmation, which is for all subscriptions with the identifier."""
        self.confirmed, self.sent = self.count, 0


class ActionCableSession(LoginSession):
    """Session of one consumer, which is Action Cable's name for a client with its WebSocket.

    The server has one subscription for each identifier. The client may have several subscriptions with the same
    identifier. It sends a command to subscribe for each, but only one command to unsubscribe, when the last one ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._identifiers: dict[str, _Identifier] = {}
        self._reason = ""

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        message = _decode(data)
        if not isinstance(message, dict):
            return [Malformed(at=at, reason="a frame that is no message of Action Cable")]
        if direction is Direction.SENT:
            return self._process_sent(message, at)
        return self._process_received(message, at)

    def _process_sent(self, message: dict[str, Any], at: float) -> WireEvents:
        command, identifier = message.get("command"), message.get("identifier")
        if not isinstance(identifier, str):
            return []
        if command == "subscribe":
            return self._subscribe(identifier, at)
        if command == "unsubscribe":
            return self._end(identifier, at, by_server=False)
        if command == "message":
            data = message.get("data")
            content = decode_json(data) if isinstance(data, str) else data
            return [Sent(at=at, name=message_name(content) or MESSAGE, arguments=[content])]
        return []

    def _subscribe(self, identifier: str, at: float) -> WireEvents:
        if identifier not in self._identifiers and len(self._identifiers) >= MAX_IDENTIFIERS:
            return []
        held = self._identifiers.setdefault(identifier, _Identifier())
        if not held.asks_again(at):
            return []
        name, same = _describe(identifier)
        return [Subscribed(at=at, id=_id(identifier, held.count), name=name, same=same)]

    def _end(self, identifier: str, at: float, *, by_server: bool) -> WireEvents:
        held = self._identifiers.pop(identifier, _Identifier())
        return [
            Unsubscribed(at=at, id=_id(identifier, number), by_server=by_server) for number in range(1, held.count + 1)
        ]

    def _process_received(self, message: dict[str, Any], at: float) -> WireEvents:
        kind, identifier = message.get("type"), message.get("identifier")
        if kind == "welcome":
            return self.open(at)
        if kind == "ping":
            return [*self.open(at), Beat(at=at, direction=Direction.RECEIVED)]
        if kind == "disconnect":
            return self._disconnect(message, at)
        return self._process_answer(message, identifier, at) if isinstance(identifier, str) else []

    def _process_answer(self, message: dict[str, Any], identifier: str, at: float) -> WireEvents:
        """Process a message about one subscription."""
        kind = message.get("type")
        if kind == "confirm_subscription" and identifier in self._identifiers:
            self._identifiers[identifier].confirm()
        if kind == "reject_subscription":
            return self._end(identifier, at, by_server=True)
        if "message" not in message:
            return []
        content = message["message"]
        return [Received(at=at, name=message_name(content) or MESSAGE, payload=[identifier, content])]

    def _disconnect(self, message: dict[str, Any], at: float) -> WireEvents:
        if message.get("reason") == _UNAUTHORIZED and not self.is_open:
            return self.refuse(_UNAUTHORIZED, at)
        self._reason = SERVER_SHUTTING_DOWN if message.get("reason") == _RESTARTS else ""
        return []

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        return super().close(code, self._reason or reason, at)


def _id(identifier: str, number: int) -> str:
    return identifier if number == 1 else f"{identifier} ({number})"


def _describe(identifier: str) -> tuple[str, Any]:
    """Return the channel and its parameters: the fields `name` and `same` of `Subscribed`."""
    params = decode_json(identifier)
    if not isinstance(params, dict) or not isinstance(params.get("channel"), str):
        return identifier, None
    given = {name: value for name, value in params.items() if name != "channel"}
    return params["channel"], given
