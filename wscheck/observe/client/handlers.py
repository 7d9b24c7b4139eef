"""The nine documented handlers of a component, and which event calls which."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

Handler = Callable[[Any], None]

_BY_EVENT = {
    "bot_status_update": "on_bot_status_update",
    "message_sync": "on_message_sync",
    "connection_update": "on_connection_update",
}
_BY_WHATSAPP_TYPE = {
    "whatsapp_connected": "on_whatsapp_connected",
    "whatsapp_disconnected": "on_whatsapp_disconnected",
    "qr_updated": "on_qr_updated",
    "connection_failed": "on_connection_failed",
}


@dataclass(frozen=True)
class Handlers:
    """What one component wants to hear (documented behaviour, Event Handler Interface).

    `on_event` is called with every event that has no documented handler, so that a contract may name others.
    """

    on_bot_status_update: Handler | None = None
    on_message_sync: Handler | None = None
    on_connection_update: Handler | None = None
    on_connection_error: Handler | None = None
    on_reconnect: Callable[[], None] | None = None
    on_whatsapp_connected: Handler | None = None
    on_whatsapp_disconnected: Handler | None = None
    on_qr_updated: Handler | None = None
    on_connection_failed: Handler | None = None
    on_event: Handler | None = None

    @classmethod
    def hearing_everything(cls) -> "Handlers":
        """Handlers that take every event and do nothing: what a replayed component mounts with."""
        silent = {field.name: (lambda _=None: None) for field in fields(cls)}
        return cls(**silent)

    def named(self, name: str, payload: object) -> Handler | None:
        """The handler that this event is for, None when the component does not want it."""
        if name == "whatsapp_connection_event":
            kind = payload.get("type") if isinstance(payload, dict) else None
            handler = _BY_WHATSAPP_TYPE.get(str(kind), "on_event")
        else:
            handler = _BY_EVENT.get(name, "on_event")
        wanted: Handler | None = getattr(self, handler)
        return wanted
