"""Server log text to events: the documented records as blocks. The general reader takes this place."""

import re

from wscheck.events import Connected, Disconnected, Event, Replaced

_RECORD = re.compile(
    r"(WebSocket client connected|WebSocket client disconnected|Replacing existing socket for user)\n((?:• .*\n)*)"
)


class Extractor:
    """Feed bytes, flush at the end of whole records."""

    def __init__(self, path: str) -> None:
        self._path, self._held = path, b""

    def feed(self, data: bytes) -> list[Event]:
        self._held += data
        return []

    def flush(self) -> list[Event]:
        text, self._held = self._held.decode("utf-8", "replace"), b""
        return [
            self._event(m[1], dict(b[2:].split(": ", 1) for b in m[2].splitlines())) for m in _RECORD.finditer(text)
        ]

    def _event(self, marker: str, ids: dict[str, str]) -> Event:
        user, sid = ids.get("userId"), ids.get("socketId")
        if marker.startswith("Replacing"):
            old, new = ids.get("oldSocketId"), ids.get("newSocketId")
            return Replaced(source="server-log", path=self._path, user=user, old_sid=old, new_sid=new)
        if marker.endswith("disconnected"):
            return Disconnected(source="server-log", path=self._path, sid=sid, reason=ids.get("reason"))
        return Connected(source="server-log", path=self._path, sid=sid, user=user)
