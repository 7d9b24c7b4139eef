"""Redaction of secrets in external text, before the text is stored or shown."""

import re
from collections.abc import Iterable

HIDDEN = "(hidden)"

SHORTEST_SECRET = 6
"""Length of the shortest text that is redacted as a secret. Shorter secrets would hide ordinary words."""

_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}")
_NAMED = re.compile(
    r"""(?im)((?:token|password|secret|api[_-]?key|authorization)["']?\s*[:=]\s*)"""
    r"""(?:(["'])(?:\\.|(?!\2)[^\\\n])+(?:\2|$)|[^\s"',;&}]{4,})"""
)


class Secret:
    """Secret value. No output shows it; only `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class Redactor:
    """Redaction of known secrets, and of text that looks like a credential."""

    def __init__(self, secrets: Iterable[Secret | None] = ()) -> None:
        # Replace the longest secrets first, because one secret may contain another.
        known = sorted({s.reveal() for s in secrets if s is not None}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def redact(self, text: str) -> str:
        """Return `text` with known secrets and apparent credentials replaced by `HIDDEN`."""
        text = self.redact_known(text)
        text = _JWT.sub(HIDDEN, text)
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
        return _NAMED.sub(lambda named: f"{named[1]}{named[2] or ''}{HIDDEN}{named[2] or ''}", text)

    def redact_known(self, text: str) -> str:
        """Return `text` with only the known secrets replaced. For ids, which may look like credentials."""
        return self._known.sub(HIDDEN, text) if self._known is not None else text
