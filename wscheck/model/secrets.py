"""Secrets, and their redaction when data leaves the process.

Evaluation reads the original values. `Redactor.redact_data` is applied to a finished report and its events, to errors,
and to excerpts of logs.
"""

import base64
import html.entities
import re
import string
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec

from wscheck.model.disconnect_reasons import CLIENT_DISCONNECT, DISCONNECT_SENT, SERVER_SPELLINGS
from wscheck.model.errors import WscheckError

HIDDEN = "(hidden)"
"""Stand-in for text that looks like a credential."""

SHORTEST_SECRET = 4
"""Length from which on a secret is redacted within longer text. Shorter secrets would hide parts of ordinary words."""

_STAND_INS = ("hidden", "masked", "redacted")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|digest|negotiate|jwt|apikey|dpop|oauth)\s+(?=\S)")
"""Authentication scheme in front of a credential (RFC 9110, section 11.1), which is no secret."""

_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?!(?:hidden|masked|redacted)-\d)[\w.~+/=-]{8,}")
_NAMED = re.compile(
    r"""(?im)((?:token|password|secret|api[_-]?key|authorization)["']?\s*[:=]\s*)"""
    r"""(?!["']?(?:hidden|masked|redacted)-\d)"""
    r"""(?:(["'])(?:\\.|(?!\2)[^\\\n])+(?:\2|$)|[^\s"',;&}]{4,})"""
)

_USER_INFO = re.compile(r"""(?<=://)[^/\s@"'`]+(?=@)""")
_QUERY_VALUE = re.compile(r"""([?&][\w.-]+=)[^&"'`\s#$<>{}]+""")
_NAMED_LITERAL = re.compile(
    r"""(?i)((?:token|password|secret|api[_-]?key|authorization)["']?\s*[:=]\s*)(["'`])[^"'`\n]+(?=\2)"""
)

_TEXT_FIELDS = frozenset({"message", "reason", "text", "example", "because", "did", "name"})
"""Fields with prose or text of a server, in which also apparent credentials are redacted. All other fields contain ids,
which may look like a credential and must match those in the server's log.
"""

_OWN_FIELDS = frozenset(
    {
        *("schema", "rule", "rules", "id", "source", "scenario", "phase", "what", "credential", "digest", "core"),
        *("fingerprint", "fail_on", "type", "kind"),
    }
)
"""Fields that contain identifiers of wscheck, which a reader of a report compares with the documentation."""

_OWN_REASONS = frozenset(
    {*DISCONNECT_SENT, *SERVER_SPELLINGS, CLIENT_DISCONNECT, "refused", "timeout", "unreachable", "protocol"}
)
"""Reasons that rules compare when they evaluate a recording."""

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "_")
_ESCAPED_LETTERS = {"\n": "n", "\r": "r", "\t": "t"}

T = TypeVar("T")


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


def redact_source_code(text: str) -> str:
    """Return source code without the credentials in its literals: in URLs, and as the value of a name such as token."""
    text = _QUERY_VALUE.sub(rf"\g<1>{HIDDEN}", _USER_INFO.sub(HIDDEN, text))
    return _NAMED_LITERAL.sub(rf"\g<1>\g<2>{HIDDEN}", text)


class Redactor:
    """Redaction of known secrets, and of text that looks like a credential.

    Each known secret has one stand-in, `hidden-1` for the first, so that equal values stay equal. It also replaces the
    secret in percent-encoding, base64, hexadecimal digits, and with the escapes of JSON and HTML.
    """

    def __init__(self, secrets: Iterable[Secret | None] = ()) -> None:
        known = (_without_scheme(each.reveal()) for each in secrets if each is not None)
        self._secrets = tuple(dict.fromkeys(filter(None, known)))
        self._stand_ins = _stand_ins_for(self._secrets)
        self._short = [each for each in self._secrets if len(each) < SHORTEST_SECRET]
        # Replace the longest secrets first, because one secret may contain another.
        self._long = sorted(set(self._secrets) - set(self._short), key=len, reverse=True)
        self._longest = 12 * max(map(len, self._long), default=0)
        self._compiled: re.Pattern[str] | None = None

    def redact(self, text: str) -> str:
        """Return `text` with the stand-ins of known secrets, and with `HIDDEN` for apparent credentials."""
        text = self.redact_known(text)
        text = _JWT.sub(HIDDEN, text)
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
        return _NAMED.sub(lambda named: f"{named[1]}{named[2] or ''}{HIDDEN}{named[2] or ''}", text)

    def redact_known(self, text: str) -> str:
        """Return `text` with only the known secrets replaced. For ids, which may look like credentials."""
        if not self._secrets:
            return text
        if text in self._short:
            return self._stand_ins[text]
        return self._pattern.sub(self._stand_in, text)

    def cut(self, text: str, limit: int) -> str:
        """Return the first `limit` characters of `text`, or some more, so that no secret is cut in two."""
        if len(text) <= limit or not self._long:
            return text[:limit]
        for found in self._pattern.finditer(text[: limit + self._longest]):
            if found.start() < limit < found.end():
                return text[: found.end()]
        return text[:limit]

    def redact_data(self, value: T) -> T:
        """Return a copy of `value` (a struct, list, dict or text) in which every text is redacted.

        Identifiers of wscheck stay, such as the id of a rule. Numbers and enumerations stay too.
        """
        copy: T = _DataRedaction(self).redact(value)
        return copy

    @contextmanager
    def redact_errors(self) -> Iterator[None]:
        """Redact the known secrets in the text of an error that leaves the block."""
        try:
            yield
        except WscheckError as error:
            error.problem, error.next_step = self.redact_known(error.problem), self.redact_known(error.next_step)
            error.args = (f"{error.problem} {error.next_step}",)
            raise

    @property
    def _pattern(self) -> re.Pattern[str]:
        # Compiled on first use: a browser run learns secrets one by one.
        if self._compiled is None:
            groups = [*map(_long_pattern, self._long), *map(_short_pattern, self._short)]
            self._compiled = re.compile("|".join(f"({group})" for group in groups))
        return self._compiled

    def _stand_in(self, found: re.Match[str]) -> str:
        assert found.lastindex is not None
        return self._stand_ins[[*self._long, *self._short][found.lastindex - 1]]


class _DataRedaction:
    """Redaction of nested data. It computes each text once: the same few texts occur in thousands of events."""

    def __init__(self, redactor: Redactor) -> None:
        self._known, self._texts = cache(redactor.redact_known), cache(redactor.redact)

    def redact(self, value: Any, field: str = "") -> Any:
        """Return a redacted copy of `value`, which belongs to the field `field`."""
        if isinstance(value, Enum) or field in _OWN_FIELDS:
            return value
        if isinstance(value, str):
            return self._redact_text(value, field)
        if isinstance(value, msgspec.Struct):
            return self._redact_struct(value)
        if isinstance(value, dict):
            return self._redact_dict(value, field)
        return type(value)(self.redact(each, field) for each in value) if isinstance(value, list | tuple) else value

    def _redact_text(self, text: str, field: str) -> str:
        # Beside findings, a field `findings` may contain only the ids of their rules.
        if field == "findings" or (field == "reason" and text in _OWN_REASONS):
            return text
        return (self._texts if field in _TEXT_FIELDS else self._known)(text)

    def _redact_struct(self, struct: msgspec.Struct) -> msgspec.Struct:
        changed = {}
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if (redacted := self.redact(value, name)) != value:
                changed[name] = redacted
        return msgspec.structs.replace(struct, **changed) if changed else struct

    def _redact_dict(self, value: dict[Any, Any], field: str) -> dict[Any, Any]:
        if field == "options":  # its keys are names of settings
            return {key: self.redact(each, str(key)) for key, each in value.items()}
        return {self.redact(key): self.redact(each, field) for key, each in value.items()}


def _without_scheme(value: str) -> str:
    """Return the secret part of a credential: `X` of `Bearer X`."""
    scheme = _SCHEME.match(value)
    return value[scheme.end() :] if scheme else value


def _stand_ins_for(secrets: tuple[str, ...]) -> dict[str, str]:
    """Return a dict of each secret to its stand-in (the text that replaces it). No stand-in contains a secret."""
    prefixes = [each for each in _STAND_INS if not any(secret in each for secret in secrets)] or ["*"]
    return {secret: f"{prefixes[0]}-{number}" for number, secret in enumerate(secrets, start=1)}


def _short_pattern(secret: str) -> str:
    """Return the pattern of a short secret where it is a whole value: `name=SECRET`, or between quotes."""
    written = re.escape(secret)
    return rf"(?<==){written}(?=$|[\s&;,])|(?<=\"){written}(?=\")|(?<='){written}(?=')"


def _long_pattern(secret: str) -> str:
    """Return the pattern of a secret in every encoding. It contains no capturing group."""
    data = secret.encode("utf-8", "surrogatepass")
    percent = "".join(f"%{byte:02x}" for byte in data)
    encodings = [_spelled(secret), f"(?i:{percent}|{data.hex()})", *map(_base64_pattern, _base64_cores(data))]
    return "|".join(encodings)


def _spelled(secret: str) -> str:
    """Return the pattern of a secret whose characters may be escaped or percent-encoded, each in its own way."""
    core = secret.rstrip("=") if len(secret.rstrip("=")) >= SHORTEST_SECRET else secret
    # A run of backslashes is one part: separate parts could divide a long run in very many ways.
    parts = (_backslashes(len(part)) if part[0] == "\\" else "".join(map(_character, part))
             for part in re.findall(r"\\+|[^\\]+", core))  # fmt: skip
    # Base64 padding is often left out.
    return "".join(parts) + ("(?:=|%3[Dd])*+" if core != secret else "")


def _backslashes(count: int) -> str:
    longest = max(16, 4 * count)
    return rf"(?:\\{{{count},{longest}}}|(?:%(?:25)*5[Cc]){{{count}}}|(?:&#92;|&#x5[Cc];){{{count}}})"


def _character(char: str) -> str:
    """Return the pattern of one character: itself, percent-encoded, or as an escape of JSON or HTML.

    No encoder changes letters, digits and a few signs, and a long secret consists mostly of these.
    """
    if char in _UNRESERVED:
        return char
    code, data = ord(char), char.encode("utf-8", "surrogatepass")
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in data)
    units = char.encode("utf-16-be", "surrogatepass").hex()
    json_escape = "".join(rf"\\{{1,15}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    forms = [percent, json_escape, f"&#0*{code};", f"&#x0*{code:x};"]
    if name := html.entities.codepoint2name.get(code):
        forms.append(f"&{name};")
    if char == "'":
        forms.append("&apos;")
    literal = re.escape(char)
    if char in "\"'/":
        literal = rf"\\{{0,15}}{literal}"
    elif char in _ESCAPED_LETTERS:
        literal = rf"{literal}|\\{{1,15}}{_ESCAPED_LETTERS[char]}"
    elif char in " +":
        literal = r"[ +]"  # a decoder of forms reads a plus as a blank
    return f"(?:{literal}|(?i:{'|'.join(forms)}))"


def _base64_cores(data: bytes) -> Iterator[str]:
    """Yield the base64 digits that encode only `data`, for each position of `data` in the groups of three bytes."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
        yield encoded[first:last]


def _base64_pattern(core: str) -> str:
    """Return the pattern of base64 digits, also in the alphabet for URLs and percent-encoded."""
    pattern = core.replace("+", "(?:[ +-]|%2[Bb])").replace("/", "(?:[/_]|%2[Ff])")
    return f"{pattern}(?:=|%3[Dd])*+"
