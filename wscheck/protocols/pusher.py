"""Pusher Channels, as pusher-js and Laravel Echo speak it with Pusher, Reverb, Soketi and other servers.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/.
"""

import re
from typing import Any

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
    query_parameters,
)
from wscheck.protocols.websocket import MESSAGE, JsonSession, decode_json

ESTABLISHED = "pusher:connection_established"

_PATH = re.compile(r"/app/[^/]+/?$")
_OWN_PARAMETERS = frozenset({"protocol", "client", "version", "flash"})
"""Parameters of the URL that the client library sets."""

_OWN_EVENT = re.compile(r"pusher(?:_internal)?:")
_REFUSALS = frozenset({"pusher:subscription_error", "pusher_internal:subscription_error"})
_BEATS = frozenset({"pusher:ping", "pusher:pong"})


class Pusher(WebSocketProtocol):
    """Pusher Channels. The path of the URL contains the key of the application."""

    id = "pusher"
    name = "Pusher"
    own_parameters = _OWN_PARAMETERS

    def recognise_content(self, opening: Opening) -> Confidence:
        if _PATH.search(opening.path) and "protocol" in query_parameters(opening.url):
            return Confidence.CERTAIN
        first = decode_json(opening.received[0]) if opening.received else None
        is_established = isinstance(first, dict) and first.get("event") == ESTABLISHED
        return Confidence.LIKELY if is_established else Confidence.NONE

    def start_session(self, opening: Opening) -> "PusherSession":
        return PusherSession()


class PusherSession(JsonSession):
    """Session of one connection. A client subscribes to each channel at most once."""

    def process(self, direction: Direction, message: dict[str, Any], at: float) -> WireEvents:
        name, channel, data = str(message.get("event") or MESSAGE), message.get("channel"), _data(message)
        if name in _BEATS:
            return [Beat(at=at, direction=direction)]
        if direction is Direction.SENT:
            return self._process_sent(name, channel, data, at)
        if name in _REFUSALS:
            return [Unsubscribed(at=at, id=str(channel), by_server=True)]
        if _OWN_EVENT.match(name):
            return []
        # Equal data on two channels are two events.
        return [Received(at=at, name=name, payload=[channel, data])]

    def _process_sent(self, name: str, channel: object, data: Any, at: float) -> WireEvents:
        fields = data if isinstance(data, dict) else {}
        channel = fields.get("channel", channel)
        if name == "pusher:subscribe":
            subscribed = Subscribed(at=at, id=str(channel), name=str(channel))
            return [*self._identified(fields.get("channel_data"), at), subscribed]
        if name == "pusher:unsubscribe":
            return [Unsubscribed(at=at, id=str(channel))]
        if name == "pusher:signin":
            return self._identified(fields.get("user_data"), at)
        return [] if _OWN_EVENT.match(name) else [Sent(at=at, name=name, arguments=[data])]

    def _identified(self, text: object, at: float) -> WireEvents:
        """Return an `Identified` event with the values that may name the user, none if `text` contains no object.

        text  data of a member of a presence channel, or of a user who signs in: an object, or its JSON text
        """
        values = decode_json(text) if isinstance(text, str) else text
        return [Identified(at=at, source="auth", values=values)] if isinstance(values, dict) else []


def _data(message: dict[str, Any]) -> Any:
    """Return the data of a message: most servers send it as a JSON text in the JSON object."""
    data = message.get("data")
    return decode_json(data) if isinstance(data, str) else data
