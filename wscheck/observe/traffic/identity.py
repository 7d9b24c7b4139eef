"""WHO IS IT: where an application says whose connection this is, and how to read it from there."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wscheck.model.errors import UsageError

_RULE = re.compile(r"^(auth|query|cookie|header)\.([\w.:-]+?)(?:\|jwt:([\w.:/-]+))?$")
_EVENT = re.compile(r"^event:(.+?)((?:\[\d+\]|\.\w+)*)(?:\|jwt:([\w.:/-]+))?$")
_STEP = re.compile(r"\[(\d+)\]|\.(\w+)")

FORMS = "auth.userId, query.token|jwt:id, auth.token|jwt:sub, cookie.NAME, header.NAME or event:add user[0]"


class IdentityRule(msgspec.Struct, frozen=True):
    """One identity rule.

    place  "auth" (the CONNECT packet), "query", "cookie", "header" or "event" (the application's own packet)
    name   the event's name, for "event"
    steps  keys and indexes from there to the value
    claim  the claim to take when the value is a JWT; its signature is the server's business
    """

    place: str
    steps: tuple[str | int, ...]
    name: str = ""
    claim: str | None = None

    @classmethod
    def parse(cls, rule: str) -> "IdentityRule":
        """Raises UsageError for anything but the documented forms."""
        if match := _EVENT.match(rule):
            steps = tuple(int(index) if index else key for index, key in _STEP.findall(match[2]))
            return cls("event", steps or (0,), name=match[1], claim=match[3])
        if match := _RULE.match(rule):
            split = match[1] == "auth"
            return cls(match[1], tuple(match[2].split(".")) if split else (match[2],), claim=match[3])
        raise UsageError(f"`{rule}` does not say where the user is found.", f"Write {FORMS}.")

    def of(self, place: str, found: Any, name: str = "") -> str | None:
        """The user that `found` (an object, or an event's arguments) names, None when it names nobody."""
        if place != self.place or name != self.name:
            return None
        value = _follow(found, self.steps)
        if self.claim is not None:
            value = _claim(value, self.claim)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _follow(found: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int) and isinstance(found, Sequence) and not isinstance(found, str):
            found = found[step] if step < len(found) else None
        elif isinstance(step, str) and isinstance(found, Mapping):
            found = found.get(step)
        else:
            return None
    return found


def _claim(token: Any, claim: str) -> Any:
    """One claim of a JWT, None when `token` is none."""
    if not isinstance(token, str) or token.count(".") < 2:
        return None
    body = token.removeprefix("Bearer ").split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, UnicodeDecodeError):
        return None
    return claims.get(claim) if isinstance(claims, dict) else None
