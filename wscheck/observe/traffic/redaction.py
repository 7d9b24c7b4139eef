"""What a browser sends is full of credentials: they are reduced to keyed digests here, before anything is stored."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from wscheck.model.secrets import Redactor, Secret

LONGEST = 200

_TOKENISH = re.compile(
    r"(?i)token|jwt|secret|passw|api[_-]?key|session|credential|signature|^auth|^(set-)?cookie$|^code$|^sig$"
)
_JWT = re.compile(r"^(Bearer )?eyJ[\w-]+\.[\w-]+\.")

NOBODY = "(user of {})"
"""Who holds a connection of which nothing says whose it is; `{}` is the page."""
_STAND_IN = re.compile(r"\((token [0-9a-f]{6}|user of .+)\)")


class TrafficRedactor:
    """Keyed digests (one key for one run) and redaction; it remembers every token it saw, and hides it anywhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._known: set[str] = set()
        self._redactor = Redactor()

    def digest(self, payload: object, *attachments: bytes) -> str:
        """The same for equal payloads within this run, and of no use to anybody outside it."""
        text = json.dumps(payload, sort_keys=True, ensure_ascii=False, default=repr)
        hashed = hashlib.blake2s(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8)
        for part in attachments:
            hashed.update(b"\0" + part)
        return hashed.hexdigest()

    def fingerprint(self, *sources: Mapping[str, Any]) -> str | None:
        """A digest of the first thing in `sources` that looks like a token, None when nothing does."""
        for found in sources:
            for name, value in found.items():
                if isinstance(value, str) and value and is_secret(name, value):
                    self.learn(value)
                    return self.digest(value)
        return None

    def learn(self, secret: str) -> None:
        """From now on `secret` is hidden wherever it stands."""
        if len(secret) >= 4 and secret not in self._known:
            self._known.add(secret)
            self._redactor = Redactor(Secret(each) for each in self._known)

    def learn_all(self, found: Mapping[str, Any]) -> None:
        """Learns whatever in `found` looks like a credential."""
        for name, value in found.items():
            if isinstance(value, str) and is_secret(name, value):
                self.learn(value)

    def clean(self, text: str) -> str:
        """`text` without secrets, and not longer than a report can bear."""
        return self._redactor.redact(text)[:LONGEST]

    def user(self, user: str | None) -> str | None:
        """A user as it may be told: a rule that points at a whole token must not publish it."""
        if user is None:
            return None
        hidden = _JWT.match(user) or self._redactor.redact(user) != user
        return f"(token {self.digest(user)[:6]})" if hidden else user[:LONGEST]


def is_secret(name: str, value: str) -> bool:
    """Whether a named value looks like a credential."""
    return bool(_TOKENISH.search(name) or _JWT.match(value))


def stands_in(user: str) -> bool:
    """Whether this is only our word for somebody whose name is a secret, or not known."""
    return _STAND_IN.fullmatch(user) is not None
