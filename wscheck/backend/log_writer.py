"""Server log of the reference backend, which records each connect, replacement and disconnect (docs/origin.md)."""

import json
import time
from collections.abc import Callable
from enum import StrEnum

WriteText = Callable[[str], None]


class LogFormat(StrEnum):
    """Formats of the log records: blocks (a message, then one bulleted line per field), or one JSON object per line."""

    BLOCKS = "blocks"
    JSON = "json"


class ServerLogWriter:
    """Writer of the log records.

    Each record is passed to `write` as whole lines. If `write` is None, there is no log.
    """

    def __init__(self, write: WriteText | None, style: LogFormat = LogFormat.BLOCKS) -> None:
        self._write, self._style = write, style

    def connected(self, sid: str, user: str) -> None:
        self._record("WebSocket client connected", socketId=sid, userId=user)

    def replacing(self, user: str, old: str, new: str) -> None:
        self._record("Replacing existing socket for user", userId=user, oldSocketId=old, newSocketId=new)

    def disconnected(self, sid: str, reason: str) -> None:
        self._record("WebSocket client disconnected", socketId=sid, reason=reason)

    def _record(self, message: str, **fields: str) -> None:
        if self._write is None:
            return
        if self._style is LogFormat.JSON:
            record = {"level": 30, "time": int(time.time() * 1000), "msg": message, **fields}
            self._write(json.dumps(record, ensure_ascii=False) + "\n")
        else:
            bullets = "".join(f"• {key}: {_one_line(value)}\n" for key, value in fields.items())
            self._write(f"{message}\n{bullets}")


def _one_line(value: str) -> str:
    """Return `value` on one line, so that a user id with a line break cannot forge a record."""
    return value if value.isprintable() else json.dumps(value)
