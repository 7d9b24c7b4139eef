"""Identity rules, which extract the user of a connection from the application's traffic."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wscheck.model.errors import UsageError

_RULE = re.compile(r"^(auth|query|cookie|header|subprotocol)\.([\w.:-]+?)(?:\|jwt:([\w.:/-]+))?$")
_EVENT_RULE = re.compile(r"^event:(.+?)((?:\[\d+\]|\.\w+)*)(?:\|jwt:([\w.:/-]+))?$")
_KEY = re.compile(r"\[(\d+)\]|\.(\w+)")

FORMS = (
    "auth.userId, query.token|jwt:id, auth.token|jwt:sub, cookie.NAME, header.NAME, subprotocol.1 or event:add user[0]"
)


class IdentityRule(msgspec.Struct, frozen=True):
    """Rule that describes where the traffic contains the name or the id of the user.

    source      "auth" (what the client sends in order to log in: Socket.IO's CONNECT packet, or the first JSON object
                on a WebSocket), "query", "cookie", "header", "subprotocol" (the key is the position of the
                subprotocol in the client's list, from 0) or "event" (an event that the client emits)
    keys        keys and indexes that lead to the value
    event_name  the event's name, for "event"
    claim       the claim to read if the value is a JWT; its signature is not verified
    """

    source: str
    keys: tuple[str | int, ...]
    event_name: str = ""
    claim: str | None = None

    @classmethod
    def parse(cls, rule: str) -> "IdentityRule":
        """Parse a rule as written in docs/browser.md.

        Raises:
            UsageError: `rule` has another form.
        """
        if match := _EVENT_RULE.match(rule):
            keys = tuple(int(index) if index else key for index, key in _KEY.findall(match[2]))
            return cls("event", keys or (0,), event_name=match[1], claim=match[3])
        if match := _RULE.match(rule):
            nested = match[1] == "auth"
            return cls(match[1], tuple(match[2].split(".")) if nested else (match[2],), claim=match[3])
        raise UsageError(f"`{rule}` is not an identity rule.", f"Write {FORMS}.")

    def extract_user(self, source: str, values: Any, event_name: str = "") -> str | None:
        """Return the user that `values` names, None if the rule does not apply or finds nothing.

        source      part of the traffic that contains `values`, as in `IdentityRule.source`
        values      an object, or the arguments of an event
        event_name  name of the event, if `source` is "event"
        """
        if source != self.source or event_name != self.event_name:
            return None
        value = _follow(values, self.keys)
        if self.claim is not None:
            value = _jwt_claim(value, self.claim)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _follow(value: Any, keys: Sequence[str | int]) -> Any:
    for key in keys:
        if isinstance(key, int) and isinstance(value, Sequence) and not isinstance(value, str):
            value = value[key] if key < len(value) else None
        elif isinstance(key, str) and isinstance(value, Mapping):
            value = value.get(key)
        else:
            return None
    return value


def _jwt_claim(token: Any, claim: str) -> Any:
    """Return one claim of a JWT (RFC 7519), None if `token` is not a JWT."""
    if not isinstance(token, str) or token.count(".") < 2:
        return None
    body = token.removeprefix("Bearer ").split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, UnicodeDecodeError):
        return None
    return claims.get(claim) if isinstance(claims, dict) else None
