"""Console lines of the hook `useUnifiedWebSocket`, verbatim (docs/origin.md, "Expected Results", "Testing")."""

import json
from collections.abc import Callable

ConsoleLog = Callable[[str], None]

CREATING = "🔍 Creating unified WebSocket connection"
CONNECTED = "✅ Unified WebSocket connected successfully"
TRIGGERING = "🚀 Triggering WhatsApp connection via unified WebSocket"

_RECEIVED_LINES = {
    "bot_status_update": "📊 Bot status update received",
    "whatsapp_connection_event": "📱 WhatsApp connection event received",
    "message_sync": "📨 Message sync received",
    "connection_update": "🔄 Connection update received",
}


def received_line(name: str, payload: object) -> str | None:
    """Return the console line for a received event, or None if docs/origin.md documents no line for it."""
    line = _RECEIVED_LINES.get(name)
    return f"{line}: {json.dumps(payload, ensure_ascii=False, default=str)}" if line else None


def discard_line(line: str) -> None:
    """Ignore `line`: the console of a client that logs nothing."""
