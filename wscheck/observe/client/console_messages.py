"""The documented console lines, word for word (documented behaviour, Expected Results and Testing)."""

import json
from collections.abc import Callable

Narrate = Callable[[str], None]

CREATING = "🔍 Creating unified WebSocket connection"
CONNECTED = "✅ Unified WebSocket connected successfully"
TRIGGERING = "🚀 Triggering WhatsApp connection via unified WebSocket"

_RECEIVED = {
    "bot_status_update": "📊 Bot status update received",
    "whatsapp_connection_event": "📱 WhatsApp connection event received",
    "message_sync": "📨 Message sync received",
    "connection_update": "🔄 Connection update received",
}


def received(name: str, payload: object) -> str | None:
    """The line for a received event with its payload, None for events the document does not narrate."""
    line = _RECEIVED.get(name)
    return f"{line}: {json.dumps(payload, ensure_ascii=False, default=str)}" if line else None


def silent(line: str) -> None:
    """Narrate nothing."""
