"""Secrets, and their redaction when data leaves the process.

Evaluation reads the original values. `Redactor.redact_data` is applied to a finished report and its events, to errors,
and to excerpts of logs.
"""

import base64
import html.entities
import os
import re
import string
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec

from wscheck.model.disconnect_reasons import CLIENT_DISCONNECT, DISCONNECT_SENT, SERVER_SPELLINGS
from wscheck.model.errors import WscheckError

HIDDEN = "(hidden)"
"""Stand-in for text that looks like a credential."""

SHORTEST_APPARENT = 8
"""Length of the shortest text that contains an apparent credential, without an address: `jwt=` with a value."""

CACHED_TEXTS = 1 << 16
"""Number of texts whose redaction is remembered."""

SHORTEST_SECRET = 4
"""Length from which on a secret is redacted within longer text. Shorter secrets would hide parts of ordinary words."""

_STAND_INS = ("hidden", "masked", "redacted")
_SCHEMES = ("bearer", "basic", "token", "digest", "negotiate", "jwt", "apikey", "dpop", "oauth")
_OWN_WORDS = frozenset({"bearer", "dpop", "negotiate"})
"""Schemes whose names are no other words, so that any long text after them is a credential."""
_SCHEME = re.compile(rf"(?i)(?:{'|'.join(_SCHEMES)})\s+(?=\S)")
"""Authentication scheme in front of a credential (RFC 9110, section 11.1), which is no secret."""

_STAND_IN = r"(?:(?:hidden|masked|redacted|\*)-[0-9a-f]{1,8}|~[0-9a-f]{6})(?![\w-])"
"""Stand-in of a secret, or short digest of a value in a URL."""
_BLANK, _EQUALS = r"(?:[ \t]|%20|\+)", r"(?:=|%(?:25)*3[Dd])"
_SIGN = r"[ \t]*(?:[:=]|%(?:25)*3[AaDd])(?:[ \t]|%20)*"
_QUOTE = r"""(?:\\{0,15}["'])"""
_NAME = r"(?:token|passw(?:or)?d|passphrase|secret|(?:api|access)[_-]?key|authorization)"
_SESSION_NAME = r"(?:auth|jwt|connect\.sid|sess(?:ion)?(?:[_-]?(?:id|key))?)"
"""Names of credentials that are also words of prose ("auth: failed"): only an equals sign or quotes show a value."""

_MARKED = re.compile(
    r"""(?xs)(?<![A-Za-z0-9])(?:
    eyJ[\w-]{5,}(?:\.|%(?:25)*2[Ee])[\w-]{5,}(?:(?:\.|%(?:25)*2[Ee])[\w-]*)*  # JSON Web Token: base64 of JSON
    |eyJ[\w+/-]{20,}={0,2}                                          # other base64 of JSON, such as a session
    |ZXlK[\w+/-]{20,}={0,2}                                         # base64 of one of these
    |(?:gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft)-|xox[a-z]-|[rs]k_(?:live|test)_|[ps]k-|npm_|hf_|whsec_|dop_v1_)[\w-]{16,}
    |AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}
    )|-----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----(?:.*?-----END[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----|.*)"""
)
"""Values that are credentials by their form: tokens with JSON, and tokens with the prefix by which a service marks its
secrets, so that scanners find them.
"""

_SCHEME_VALUE = re.compile(
    rf"""(?ix)(?<![\w-])(?P<before>(?P<scheme>bearer|dpop|basic|negotiate|token|api-?key){_BLANK}+)
    (?!{_STAND_IN})(?P<value>[\w.~+/-]{{8,}}(?:=|%3[Dd])*)"""
)
_DIGEST_VALUE = re.compile(
    rf"""(?i)(?<![\w-])(?P<before>digest{_BLANK}[^\n]{{0,400}}?\bresponse=)
    (?P<quote>{_QUOTE}?)(?!{_STAND_IN})(?P<value>[\w.~+/=-]{{8,}})""",
    re.VERBOSE,
)
_COOKIE_VALUE = re.compile(
    rf"""(?ix)(?P<before>(?<![\w-])(?:set-)?cookie{_QUOTE}?:[ \t]*{_QUOTE}?)
    (?P<value>[^\s=;,"'\\]{{1,256}}=[^\s;,"'\\]+(?:;[ \t]*[^\s=;,"'\\]{{1,256}}=[^\s;,"'\\]*)*)"""
)
_USER_INFO_VALUE = re.compile(rf"""(?<=://)(?!{_STAND_IN})(?P<value>[^/\s@"'`]+)(?=@)""")
_ENCODED_USER_INFO_VALUE = re.compile(
    rf"""(?ix)(?P<before>%(?:25)*3A(?:%(?:25)*2F){{2}})(?!{_STAND_IN})
    (?P<value>(?:(?!%(?:25)*(?:2F|40))[^/\s@"'`])+)(?=%(?:25)*40)"""
)


_PLACEHOLDER = r"\{[a-z]{0,8}\}(?![\w+/=.-])"


def _named(not_value: str) -> re.Pattern[str]:
    """Return the pattern of a value that follows the name of a credential, as in `token=VALUE`.

    `not_value` is a negative lookahead. It excludes words after such a name that are not credentials. A placeholder of
    a proposed marker, such as `session={sid}`, is no credential either.
    """
    return re.compile(
        rf"""(?imx)(?P<before>(?:{_NAME}{_QUOTE}?{_SIGN}|{_SESSION_NAME}(?:[ \t]*{_EQUALS}|{_QUOTE}[ \t]*:)[ \t]*)
            (?:(?:bearer|basic|dpop|digest|token){_BLANK}+)?+)
        (?P<quote>{_QUOTE}?)(?!{_STAND_IN})(?!{_PLACEHOLDER}){not_value}(?P<value>
        (?<=\\["'])(?:(?!(?P=quote))[^\n])+
        |(?<=["'])(?:\\.|(?!(?P=quote))[^\\\n])+
        |(?<!["'])[^\s"',;&}}\\]{{4,}})"""
    )


_NAMED = _named("")
_NAMED_IN_ID = _named(r"(?!(?<=:)(?-i:[a-z]+(?:[:._-][a-z]+)*)(?![\w:.-]))")
"""Value after a name in an id. A word after a colon is no value, as in the event "token:refreshed"."""

_USER_INFO = re.compile(r"""(?<=://)[^/\s@"'`]+(?=@)""")
_QUERY_VALUE = re.compile(r"""([?&][\w.-]+=)[^&"'`\s#$<>{}]+""")
_NAMED_QUERY_VALUE = re.compile(rf"""(?i)([?&][\w.-]*(?:{_NAME}|auth|key|jwt|sig)[\w.-]*=)[^&"'`\s#$<>{{}}]+""")
_NAMED_LITERAL = re.compile(rf"""(?i)({_NAME}["']?\s*[:=]\s*)(["'`])[^"'`\n]+(?=\2)""")

_TEXT_FIELDS = frozenset(
    {
        *("message", "reason", "text", "example", "because", "did", "name"),
        *("url", "target", "title", "action", "notes", "label"),
    }
)
"""Fields with prose, addresses or text of a server, in which a value after a name such as `token=` is redacted. All
other fields contain ids, in which only values that are credentials by their form are redacted.
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
_ESCAPE = re.compile(
    r"""(?xi)(?:\\|%(?:25)*5C){1,15}(?:u00|x)(?P<json>[0-9a-f]{2})|%(?:25)*(?P<percent>[0-9a-f]{2})
    |&\#(?:0*(?P<decimal>\d{2,3})|x0*(?P<hexadecimal>[0-9a-f]{2}));"""
)
"""One ASCII character, percent-encoded or as an escape of JSON, JavaScript or HTML."""
_ESCAPE_OR_SIGN = re.compile(r"(?ai)\\u[0-9a-f]{4}|%(?:25)*[0-9a-f]{2}|&\#?[a-z0-9]+;|[^a-z0-9\\%&]+|[\\%&]")
_SIGN_RUN = re.compile("[^A-Za-z0-9]+")

_GRAM_LENGTHS = (8, 4)
"""Lengths of the parts of secrets that a search looks up."""
_FEW_SECRETS = 8
"""Number of secrets that may have the same part without more work for its rarity."""
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


def redact_credentials_in_code(text: str) -> str:
    """Redact source code like `redact_source_code`, but keep URL parameters whose names do not suggest a credential."""
    text = _NAMED_QUERY_VALUE.sub(rf"\g<1>{HIDDEN}", _USER_INFO.sub(HIDDEN, text))
    return _NAMED_LITERAL.sub(rf"\g<1>\g<2>{HIDDEN}", text)


class Redactor:
    """Redaction of known secrets, and of text that looks like a credential.

    Each known secret is replaced by a stand-in of its own, `hidden-1` for the first, so that equal values stay equal.
    The same stand-in replaces the secret in percent-encoding, base64, hexadecimal digits, and with the escapes of JSON
    and HTML. Any other credential is replaced by a stand-in such as `hidden-3f9a1c04`, which is the same for equal
    values in the whole process.
    """

    def __init__(self, secrets: Iterable[Secret | None] = (), *, distinct: bool = True) -> None:
        """Create a redactor of `secrets`.

        With `distinct=False`, all apparent credentials get the same stand-in, so that texts that differ only in such a
        credential become equal and can be counted together.
        """
        self._distinct = distinct
        self._numbers: dict[str, int] = {}
        self._prefix = _STAND_INS[0]
        self._short: list[str] = []
        self._long = _LongSecrets()
        self._data: _DataRedaction | None = None
        for secret in secrets:
            if secret is not None:
                self.learn(secret.reveal())

    def learn(self, value: str) -> None:
        """Redact this secret too, from now on."""
        secret = _without_scheme(value)
        if not secret or secret in self._numbers:
            return
        self._numbers[secret] = len(self._numbers) + 1
        if secret in self._prefix:  # no stand-in contains a secret
            usable = (each for each in _STAND_INS if not any(secret in each for secret in self._numbers))
            self._prefix = next(usable, "*")
        if len(secret) < SHORTEST_SECRET:
            self._short.append(secret)
        else:
            self._long.add(secret)
        self._data = None

    def redact(self, text: str) -> str:
        """Return `text` with stand-ins for known secrets and for apparent credentials.

        An apparent credential has the form of a credential, or follows a name such as `token=`.
        """
        return _NAMED.sub(self._apparent, self.redact_forms(text))

    def redact_id(self, text: str) -> str:
        """Redact an id as `redact` does, but keep a word after a colon, as in the event name `token:refreshed`."""
        text = self.redact_forms(text)
        return _NAMED_IN_ID.sub(self._apparent, text) if _may_name_value(text) else text

    def redact_forms(self, text: str) -> str:
        """Return `text` with stand-ins for known secrets, and for values that have the form of a credential."""
        text = self.redact_known(text)
        has_address = "://" in text
        if len(text) < SHORTEST_APPARENT and not has_address:
            return text
        text = _MARKED.sub(lambda found: self._stand_in_for(found[0]), text)
        if has_address:
            text = _USER_INFO_VALUE.sub(self._apparent, text)
        if "%" in text:
            text = _ENCODED_USER_INFO_VALUE.sub(self._apparent, text)
        if "=" in text:
            text = _COOKIE_VALUE.sub(self._apparent, _DIGEST_VALUE.sub(self._apparent, text))
        return _SCHEME_VALUE.sub(self._apparent, text)

    def redact_known(self, text: str) -> str:
        """Return `text` with only the known secrets replaced."""
        if not self._numbers:
            return text
        if text in self._short:
            return self._known_stand_in(text)
        parts, at = list[str](), 0
        for begin, end, secret in self._found(text):
            parts += text[at:begin], self._known_stand_in(secret)
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def cut(self, text: str, limit: int) -> str:
        """Return the first `limit` characters of `text`, and the rest of a known secret that would be cut in two."""
        if len(text) <= limit:
            return text[:limit]
        start = text[: limit + 12 * self._long.longest]
        for begin, end, _ in self._found(start):
            if begin < limit < end:
                return text[:end]
        return text[:limit]

    def redact_data(self, value: T) -> T:
        """Return a copy of `value` (a struct, list, dict or text) in which every text is redacted.

        Identifiers of wscheck, such as the id of a rule, numbers and enumerations remain unchanged.
        """
        if self._data is None:
            self._data = _DataRedaction(self)
        copy: T = self._data.redact(value)
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

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and text of each known secret in `text`, in order.

        If several secrets start at the same position, yield only the longest.
        """
        plain = _Unescaped(text)
        # The longest secrets are replaced first, because one secret may contain another.
        secrets = sorted((*self._long.candidates(text, plain.text), *self._short), key=len, reverse=True)
        spans = [
            (found.start(), rank, found.end(), secret)
            for rank, secret in enumerate(secrets)
            for found in _pattern(secret).finditer(text)
        ]
        if plain.text != text:
            spans += [
                (plain.original(found.start()), rank, plain.original(found.end()), secret)
                for rank, secret in enumerate(secrets)
                for found in _pattern(secret).finditer(plain.text)
            ]
        last = 0
        for begin, _, end, secret in sorted(spans):
            if begin >= last:
                last = end
                yield begin, end, secret

    def _known_stand_in(self, secret: str) -> str:
        return f"{self._prefix}-{self._numbers[secret]}"

    def _apparent(self, found: re.Match[str]) -> str:
        """Return the matched text with a stand-in for its value; unchanged if the value is only an ordinary word."""
        groups = found.groupdict()
        if (scheme := groups.get("scheme")) and not _is_value_of(scheme.lower(), groups["value"]):
            return found[0]
        return f"{groups.get('before', '')}{groups.get('quote', '')}{self._stand_in_for(groups['value'])}"

    def _stand_in_for(self, value: str) -> str:
        """Return the stand-in of an apparent credential."""
        if not self._distinct:
            return HIDDEN
        import hashlib  # most runs find no credential

        digest = hashlib.blake2s(value.encode("utf-8", "surrogatepass"), key=_process_key(), digest_size=4)
        return f"{self._prefix}-{digest.hexdigest()}"


class _DataRedaction:
    """Redaction of nested data. It caches the latest texts, because thousands of events contain the same few."""

    def __init__(self, redactor: Redactor) -> None:
        remember = lru_cache(maxsize=CACHED_TEXTS)
        self._ids, self._texts = remember(redactor.redact_id), remember(redactor.redact)

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
        return (self._texts if field in _TEXT_FIELDS else self._ids)(text)

    def _redact_struct(self, struct: msgspec.Struct) -> msgspec.Struct:
        changed = {}
        for name in _fields_with_text(type(struct)):
            value = getattr(struct, name)
            if value and (redacted := self.redact(value, name)) != value:
                changed[name] = redacted
        return msgspec.structs.replace(struct, **changed) if changed else struct

    def _redact_dict(self, value: dict[Any, Any], field: str) -> dict[Any, Any]:
        if field == "options":  # its keys are names of settings
            return {key: self.redact(each, str(key)) for key, each in value.items()}
        return {self.redact(key): self.redact(each, field) for key, each in value.items()}


@cache
def _fields_with_text(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields that may contain text from outside: all but identifiers and numbers."""
    fields = msgspec.structs.fields(kind)
    numbers = (int, float, bool, float | None, int | None, bool | None)
    return tuple(each.name for each in fields if each.name not in _OWN_FIELDS and each.type not in numbers)


@cache
def _process_key() -> bytes:
    """Return the random key with which this process hashes values, so that nobody can test a guessed value."""
    return os.urandom(16)


def _may_name_value(text: str) -> bool:
    """Return whether a text may contain a named value, such as `token=VALUE`: a fast check before a slow search."""
    return len(text) >= SHORTEST_APPARENT and ("=" in text or ":" in text or "%" in text)


def _is_value_of(scheme: str, value: str) -> bool:
    """Return whether `value`, which follows the name of the authentication scheme `scheme`, is a credential.

    Schemes that are also ordinary words need more evidence: base64 of USER:PASSWORD, or a digit.
    """
    if scheme == "basic":
        return _is_basic(value)
    return scheme in _OWN_WORDS or any(map(str.isdigit, value))


def _is_basic(value: str) -> bool:
    """Return whether a value after "basic" is base64 of USER:PASSWORD (RFC 7617).

    Otherwise it is an ordinary word, as in `basic information`.
    """
    value = value.replace("%3D", "").replace("%3d", "").rstrip("=")
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False


def is_scheme(value: str) -> bool:
    """Return whether the value is only the name of an authentication scheme, such as "Bearer", without a credential."""
    return value.strip().lower() in _SCHEMES


def _without_scheme(value: str) -> str:
    """Return the secret part of a credential: `X` of `Bearer X`."""
    scheme = _SCHEME.match(value)
    return value[scheme.end() :] if scheme else value


@lru_cache(maxsize=4096)
def _pattern(secret: str) -> re.Pattern[str]:
    return re.compile(_short_pattern(secret) if len(secret) < SHORTEST_SECRET else _long_pattern(secret))


class _LongSecrets:
    """Index of the secrets that may be parts of a text. A run can learn tens of thousands of them.

    In every encoding of a secret, its letters and digits, or those of its base64 or hexadecimal digits, follow one
    another if escapes and signs are left out. Each of these words is indexed by one part of it that few others contain.
    """

    def __init__(self) -> None:
        self.longest = 0
        self._by_gram: dict[str, list[str]] = {}
        self._others: list[str] = []

    def add(self, secret: str) -> None:
        self.longest = max(self.longest, len(secret))
        words = _words(secret)
        if any(len(word) < _GRAM_LENGTHS[-1] for word in words):
            self._others.append(secret)
            return
        for gram in {self._rarest_gram(word) for word in words}:
            self._by_gram.setdefault(gram, []).append(secret)

    def _rarest_gram(self, word: str) -> str:
        length = next(each for each in _GRAM_LENGTHS if each <= len(word))
        last = len(word) - length
        # Most words differ nearly everywhere: some places are enough. All are tried if these are in many others.
        for places in (range(last, -1, -max(1, last // 8)), range(last + 1)):
            gram = min((word[at : at + length] for at in places), key=self._count)
            if self._count(gram) < _FEW_SECRETS:
                break
        return gram

    def _count(self, gram: str) -> int:
        return len(self._by_gram.get(gram, ()))

    def candidates(self, *texts: str) -> list[str]:
        """Return the secrets that the spellings `texts` of one text may contain."""
        if not self._by_gram:
            return self._others
        patterns = (_SIGN_RUN, _ESCAPE_OR_SIGN)
        words = " ".join({pattern.sub("", text) for text in texts for pattern in patterns}).lower()
        if len(self._by_gram) < len(words):
            grams = {gram for gram in self._by_gram if gram in words}
        else:
            grams = {
                words[at : at + length] for length in _GRAM_LENGTHS for at in range(len(words) - length + 1)
            } & self._by_gram.keys()
        found = dict.fromkeys(secret for gram in grams for secret in self._by_gram[gram])
        return [secret for secret in found if any(word in words for word in _words(secret))] + self._others


@lru_cache(maxsize=4096)
def _words(secret: str) -> tuple[str, ...]:
    """Return lower-case letters and digits of which every text with the secret contains one sequence, without signs.

    The first is of the secret itself, the others are its base64 and hexadecimal digits. Escapes that are part of the
    secret may be escaped once more or not, so that only what is between them is certain.
    """
    data = secret.encode("utf-8", "surrogatepass")
    is_escaped = any(sign in secret for sign in "\\%&\n\r\t")
    own = max(_ESCAPE_OR_SIGN.split(secret), key=len) if is_escaped else _SIGN_RUN.sub("", secret)
    return own.lower(), *(_SIGN_RUN.sub("", core).lower() for core in _base64_cores(data)), data.hex()


class _Unescaped:
    """A text in which escapes of letters, digits and underscores are replaced by these characters.

    No encoder makes such escapes, but a decoder reads them: `s\\u0065cret` is `secret`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._places, self._shifts = [0], [0]
        if "\\" not in text and "%" not in text and "&#" not in text:
            return
        parts, length, at = list[str](), 0, 0
        for found in _ESCAPE.finditer(text):
            digits = found["json"] or found["percent"] or found["hexadecimal"]
            if (char := chr(int(digits, 16) if digits else int(found["decimal"]))) in _UNRESERVED:
                parts += text[at : found.start()], char
                length += found.start() - at + 1
                at = found.end()
                self._places.append(length)
                self._shifts.append(at - length)
        self.text = "".join([*parts, text[at:]])

    def original(self, place: int) -> int:
        """Return the place in the original text of the character at `place`, or of the start of its escape."""
        return place + self._shifts[bisect_right(self._places, place) - 1]


def _short_pattern(secret: str) -> str:
    """Return the pattern of a short secret where it is a whole value: `name=SECRET`, or between quotes."""
    written = re.escape(secret)
    return rf"(?<==){written}(?=$|[\s&;,])|(?<=\"){written}(?=\")|(?<='){written}(?=')"


def _long_pattern(secret: str) -> str:
    """Return the pattern of a secret in every encoding. It contains no capturing group."""
    data = secret.encode("utf-8", "surrogatepass")
    return "|".join([_spelled(secret), f"(?i:{data.hex()})", *map(_base64_pattern, _base64_cores(data))])


def _spelled(secret: str) -> str:
    """Return the pattern of a secret whose characters may each be plain, escaped or percent-encoded."""
    core = secret.rstrip("=") if len(secret.rstrip("=")) >= SHORTEST_SECRET else secret
    # A run of backslashes is one part: separate parts could divide a long run in very many ways.
    parts = (_backslashes(len(part)) if part[0] == "\\" else "".join(map(_character, part))
             for part in re.findall(r"\\+|[^\\]+", core))  # fmt: skip
    # Base64 padding is often left out.
    return "".join(parts) + ("(?:=|%3[Dd])*+" if core != secret else "")


def _utf16_units(text: str) -> Iterator[str]:
    """Yield the four hexadecimal digits of each JSON escape (`\\uXXXX`) for `text`: one escape per UTF-16 unit."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return (units[at : at + 4] for at in range(0, len(units), 4))


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
    json_escape = "".join(rf"\\{{1,15}}u{unit}" for unit in _utf16_units(char))
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
    """Yield the base64 digits of `data` that are the same in any text which contains `data`.

    Base64 encodes groups of three bytes, and `data` may start at any of three positions in a group. Yield the digits
    for each of these positions. Digits at either end that also encode a neighbouring byte are left out.
    """
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
        yield encoded[first:last]


def _base64_pattern(core: str) -> str:
    """Return the pattern of base64 digits, also in the alphabet for URLs and percent-encoded."""
    pattern = core.replace("+", "(?:[ +-]|%2[Bb])").replace("/", "(?:[/_]|%2[Ff])")
    return f"{pattern}(?:=|%3[Dd])*+"
