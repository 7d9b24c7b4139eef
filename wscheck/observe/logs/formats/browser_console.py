"""Console output of the frontend of docs/origin.md, as a browser saves it. Its lines contain no ids."""

import os
import re
from typing import Any

from wscheck.model.events import CodeLocation, Connected, Connecting, Emitted, Event, Handled
from wscheck.observe.logs.formats.envelopes import LogMessage
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix
from wscheck.observe.logs.lazy_pattern import lazy_pattern

SOURCE = "console"

NEEDLES = (b" received", b"via unified WebSocket")
"""Texts that are also searched for after a line showed that a browser console wrote the log."""

_HANDLED = {
    "Bot status update": "bot_status_update",
    "WhatsApp connection event": "whatsapp_connection_event",
    "Message sync": "message_sync",
    "Connection update": "connection_update",
}
_LINE = lazy_pattern(
    rf"""(?:
    (?P<creating>Creating\ unified\ WebSocket\ connection)
    |(?P<connected>Unified\ WebSocket\ connected(?:\ successfully)?)
    |(?P<triggering>Triggering\ WhatsApp\ connection\ via\ unified\ WebSocket)
    |(?P<handled>{"|".join(_HANDLED).replace(" ", chr(92) + " ")})\ received(?:\s*:\s*(?P<payload>\S.*))?
    )[\s.:!]*$""",
    re.VERBOSE | re.DOTALL,
)
_ICONS = frozenset("🔍✅📊📱📨🔄🚀\ufe0f")
_PLACE = lazy_pattern(
    r"(?<![^\s()])(?P<file>[^\s()]{1,500}\.(?:[cm]?[jt]sx?|vue|svelte|html)(?:\?[^\s:]{0,200})?)"
    r":(?P<line>\d+)(?::(?P<column>\d+))?"
)

# Equal digests mean equal payloads within one run. With the random key, other runs have other digests.
_KEY = os.urandom(16)


class ConsoleReader:
    """Reader of console lines.

    started  whether the log contained a line that only this frontend writes, so that its other lines are read too
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.started = False

    def starts(self, message: LogMessage) -> bool:
        """Return whether this is the first line that shows that a browser console wrote the log."""
        match = _LINE.search(message.text) if not self.started and message.fields is None else None
        self.started = self.started or (match is not None and match["handled"] is None and self._is_logged(match))
        return match is not None and self.started

    def read(self, message: LogMessage, line: int, at: float | None) -> Event | None:
        """Return the event of a console line, None for any other line."""
        match = _LINE.search(message.text) if message.fields is None else None
        if match is None or not self._is_logged(match):
            return None
        place = _PLACE.search(_before(match))
        common: dict[str, Any] = {"source": SOURCE, "path": self._path, "line": line, "at": at}
        common |= {"component": place["file"]} if place is not None else {}
        if match["creating"]:
            return Connecting(**common, opener=_opener(place))
        if match["connected"]:
            return Connected(**common)
        if match["triggering"]:
            return Emitted(**common, name="trigger_whatsapp_connection")
        return Handled(**common, name=_HANDLED[match["handled"]], digest=_digest(match["payload"]))

    @staticmethod
    def _is_logged(match: re.Match[str]) -> bool:
        before = _before(match)
        return classify_prefix(before) is PrefixKind.SURE and before.count('"') % 2 == 0


def _before(match: re.Match[str]) -> str:
    """Return the text in front of a match, without the icons and blanks directly before the match."""
    text, end = match.string, match.start()
    while end and (text[end - 1] in _ICONS or text[end - 1].isspace()):
        end -= 1
    return text[:end]


def _opener(place: re.Match[str] | None) -> CodeLocation | None:
    return CodeLocation(place["file"], int(place["line"]), int(place["column"] or 0)) if place is not None else None


def _digest(payload: str | None) -> str | None:
    """Return the digest of a payload; None if the console shows no payload or only its start."""
    if payload is None or "…" in payload or payload.strip() in {"Object", "{}", "[object Object]"}:
        return None
    import hashlib  # takes 6 ms, and only logs of a browser console need it

    return hashlib.blake2b(payload.strip().encode("utf-8", "replace"), key=_KEY, digest_size=8).hexdigest()
