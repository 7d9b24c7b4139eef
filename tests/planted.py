"""Forty secrets, as a hostile or careless application puts them into ids, reasons, errors and names."""

import base64
import json
import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _jwt(number: int) -> str:
    claims = _base64(json.dumps({"sub": f"user_{number}", "iat": 1_795_000_000 + number})).rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJlLW{number:02}"


KNOWN = tuple(f'wild/card+{number:02} "quoted" <tok\\en>&ü{number}' for number in range(10))
"""Secrets that the configuration names: no form shows that they are secrets."""

APPARENT = (
    *map(_jwt, range(10)),
    *(f"ghp_{number:02}abcdefghijklmnopqrstuvwxyz0123" for number in range(4)),
    *(f"sk_live_{number:02}abcdefghijklmnopqr" for number in range(4)),
    *(f"AKIA{number:02}ABCDEFGHIJKLMN" for number in range(2)),
    *(f"xoxb-{number:02}-123456789012-abcdef" for number in range(2)),
)
"""Secrets with the form of a credential."""

_SCHEMES = tuple((f"Bearer {value}", value) for value in (f"opaque{n:02}.abcdefgh" for n in range(4))) + tuple(
    (f"Basic {value}", value) for value in (_base64(f"ada:open sesame {n}") for n in range(4))
)

SECRETS = (*KNOWN, *APPARENT, *(value for _, value in _SCHEMES))
assert len(SECRETS) == 40


def written() -> list[str]:
    """Return each secret as it may be written in a value: plain, percent-encoded, in base64, or escaped for JSON."""
    texts = [*KNOWN, *APPARENT, *(text for text, _ in _SCHEMES)]
    texts += [quote(each, safe="") for each in KNOWN] + [_base64(each) for each in KNOWN[:5]]
    texts += [json.dumps(each)[1:-1] for each in KNOWN] + [json.dumps(each) for each in KNOWN[:3]]
    texts += [quote(text) for text, _ in _SCHEMES] + [f"refused: Authorization: {text}" for text, _ in _SCHEMES]
    texts += [_base64(each) for each in APPARENT[:5]]
    return texts


def found_in(text: str, secrets: Iterable[str] = SECRETS) -> list[str]:
    """Return the secrets that `text` contains, in any way in which they may be written."""
    return [each for each in secrets if any(form in text for form in _forms(each))]


@cache
def _forms(secret: str) -> set[str]:
    core = _base64(secret).rstrip("=")[:-1]
    escaped = json.dumps(secret)[1:-1]
    plain = re.sub(r"&", "&amp;", secret).replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    return {secret, quote(secret), quote(secret, safe=""), core, escaped, json.dumps(escaped)[1:-1], plain}
