"""Redaction of browser traffic: keyed digests in place of payloads and tokens, and URLs without credentials.

Values are redacted where they are decoded, before anything is stored. Payloads contain stamps: times, sequence numbers
and event ids, which differ between two copies of one event. They get digests of their own.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from wscheck.model.secrets import SHORTEST_SECRET, Redactor, Secret, is_scheme

MAX_TEXT_LENGTH = 200

T = TypeVar("T")

_SECRET_NAME = re.compile(
    r"(?i)token|jwt|secret|passw|passcode|api[_-]?key|session|credential|signature|^auth|^(set-)?cookie$|^code$|^sig$"
)
_SESSION_ID = re.compile(r"(?i).*session[_-]?(?:id|hash)")
_JWT = re.compile(r"^(Bearer )?eyJ[\w-]+\.[\w-]+\.")
_DISTINCTIVE = re.compile(r"(?=.*\d)\S{8,}$|\S{20,}$")
"""Value that no report contains by chance."""
SHORTEST_TOKEN = 20
"""Shortest value that is assumed to be a token although its name does not say so."""

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

UNKNOWN_USER = "(user of {})"
"""User of a connection whose traffic does not name one; `{}` is the label of its page."""
_STAND_IN = re.compile(r"\((token [0-9a-f]{6}|user of .+)\)")

MAX_STAMPS = 20
"""Stamps looked at per payload. Payloads with more are lists of records, whose stamps describe the records."""

MAX_PAYLOAD_DEPTH = 6

DAY_S = 86_400.0

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_SEQUENCE_NAMES = frozenset(
    {"n", "no", "nr", "num", "number", "seq", "sequence", "serial", "counter", "ordinal", "tick", "rev", "revision"}
)
_TIME_NAMES = frozenset({"at", "ts", "t", "time", "timestamp", "stamp", "when", "now", "date", "epoch", "clock"})
_ID_NAMES = frozenset({"id", "uuid", "guid", "ulid", "nonce"})
_EVENT_NAMES = frozenset({"event", "message", "msg", "packet", "frame", "trace", "request", "correlation", "delivery"})
"""Words before "id" in the name of an event's own id. Other ids ("ticketId") name a thing that the event is about."""


class TrafficRedactor:
    """Redactor of every secret that occurred in the traffic. Its keyed digests have one random key per run."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._redactor = Redactor()
        self._learned = set[str]()

    def digest(self, payload: object, *attachments: bytes) -> str:
        """Return the keyed digest of a payload; equal payloads of one run have equal digests."""
        try:
            text = json.dumps(payload, sort_keys=True, ensure_ascii=False, default=repr)
        except (TypeError, ValueError):  # MessagePack allows maps whose keys JSON cannot sort or write
            text = repr(payload)
        digest = hashlib.blake2s(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8)
        for attachment in attachments:
            digest.update(b"\0" + attachment)
        return digest.hexdigest()

    def identify(self, payload: object, at: float | None, *attachments: bytes) -> dict[str, Any]:
        """Return the fields of `Delivered` that identify a payload: its digest and, if it contains stamps (such as a
        time or a sequence number), the stamps and the digest of the rest.
        """
        core, stamps = split_stamps(payload, at)
        fields: dict[str, Any] = {"digest": self.digest(payload, *attachments)}
        if stamps:
            fields["core"] = self.digest(core, *attachments)
            fields["stamps"] = tuple((self.redact(path), self.digest(value)) for path, value in stamps.items())
        return fields

    def fingerprint(self, *sources: Mapping[str, Any]) -> str | None:
        """Return the keyed digest of the first value in the dicts `sources` that looks like a token, None if none does.

        A client may choose another session id for each connection, so that it is no token.
        """
        for values in sources:
            for name, value in values.items():
                if isinstance(value, str) and value and is_secret(name, value):
                    self.learn(value)
                    if not _SESSION_ID.fullmatch(name):
                        return self.digest(value)
        return None

    def learn(self, secret: str) -> None:
        """Redact `secret` in every text from now on."""
        if len(secret) >= SHORTEST_SECRET and not is_scheme(secret):
            self._redactor.learn(secret)
            self._learned.add(secret)

    def redact_finished(self, data: T, cookies: Iterable[str] = (), users: Iterable[str | None] = ()) -> T:
        """Return `data`, the finished report and its events, without secrets of the traffic and without `cookies`.

        Some texts were stored before the traffic showed that they are secret. A secret that may be an ordinary word, or
        that is one of the `users`, is not removed.
        """
        found = {each for each in (*self._learned, *cookies) if _DISTINCTIVE.match(each)} - {*users}
        return Redactor(map(Secret, sorted(found))).redact_data(data)

    def learn_token(self, value: str) -> None:
        """Redact `value` from now on if it looks like a token, whatever the name of its field."""
        has_digit = any(char.isdigit() for char in value)
        if _JWT.match(value) or (has_digit and len(value) >= SHORTEST_TOKEN):
            self.learn(value)

    def learn_all(self, values: Mapping[str, Any]) -> None:
        """Redact every value that looks like a credential from now on."""
        for name, value in values.items():
            if isinstance(value, str) and is_secret(name, value):
                self.learn(value)

    def redact(self, text: str) -> str:
        """Return `text` without secrets, cut to `MAX_TEXT_LENGTH` characters."""
        return self._redactor.redact(text)[:MAX_TEXT_LENGTH]

    def redact_known(self, text: str) -> str:
        """Return `text` without the secrets that occurred in the traffic.

        In contrast to `redact`, do not shorten the text, and keep values that only look like secrets. Source code may
        contain such values.
        """
        return self._redactor.redact_known(text)

    def user_label(self, user: str | None) -> str | None:
        """Return the user's name for reports. For a name that is a secret, return a label such as "(token 3f9a1c)"."""
        if user is None:
            return None
        secret = _JWT.match(user) or self._redactor.redact(user) != user
        return f"(token {self.digest(user)[:6]})" if secret else user[:MAX_TEXT_LENGTH]


def is_secret(name: str, value: str) -> bool:
    """Report whether a named value looks like a credential."""
    return bool(_SECRET_NAME.search(name) or _JWT.match(value))


def is_stand_in(user: str) -> bool:
    """Report whether `user` is a label that wscheck made up, because the user is secret or unknown."""
    return _STAND_IN.fullmatch(user) is not None


class UrlFormatter:
    """URLs for reports, with credentials and secret query values redacted."""

    def __init__(self, redactor: TrafficRedactor) -> None:
        self._redactor = redactor

    def redact(self, text: str) -> str:
        """Return `text` without secrets."""
        return self._redactor.redact(text)

    def endpoint(self, url: str, query: Mapping[str, str]) -> str:
        """Return the URL of an endpoint, with an HTTP scheme and with the application's parameters, `query`.

        Each value of a parameter becomes a short digest, so that different values stay different.
        """
        parts = _split(url)
        digests = "&".join(f"{name}=~{self._redactor.digest(value)[:6]}" for name, value in sorted(query.items()))
        scheme = _HTTP_SCHEMES.get(parts.scheme, parts.scheme)
        return self.redact(urlunsplit((scheme, _without_user_info(parts.netloc), parts.path, digests, "")))

    def page(self, url: str) -> str:
        """Return the URL of a page or worker, with only its credentials redacted."""
        if not url.startswith(("http:", "https:", "ws:", "wss:", "file:")):
            return self.redact(re.sub(r"^(data|blob):.*", r"\1:", url))
        parts = _split(url)
        values = [
            (name, "(hidden)" if is_secret(name, value) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        query = urlencode(values, safe="(),:/@")
        return self.redact(urlunsplit((parts.scheme, _without_user_info(parts.netloc), parts.path, query, "")))

    def script(self, url: str) -> str:
        """Return the URL of a script; its query, which hot reload changes, becomes a short digest."""
        parts = _split(url)
        version = f"~{self._redactor.digest(parts.query)[:6]}" if parts.query else ""
        return self.redact(urlunsplit((parts.scheme, _without_user_info(parts.netloc), parts.path, version, "")))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "(invalid URL)", "", "")


def _without_user_info(netloc: str) -> str:
    return netloc.rpartition("@")[2]


def split_stamps(payload: object, at: float | None) -> tuple[object, dict[str, object]]:
    """Return `payload` without its stamps (time, sequence number, event id), and the stamps by their dotted path.

    Stamps are found by their name and value. A payload with too many stamps is returned as it is. `at` is the time of
    the event in epoch seconds: a number near `at` is taken for a time.
    """
    stamps = dict(_find(payload, "", at, MAX_PAYLOAD_DEPTH))
    if not stamps or len(stamps) > MAX_STAMPS:
        return payload, {}
    return _without(payload, "", stamps), stamps


def _find(value: object, path: str, at: float | None, depth: int) -> Iterator[tuple[str, object]]:
    if not depth:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            place = f"{path}.{key}" if path else str(key)
            if isinstance(each, dict | list):
                yield from _find(each, place, at, depth - 1)
            elif _is_stamp(str(key), each, at):
                yield place, each
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _find(each, f"{path}.{index}" if path else str(index), at, depth - 1)


def _without(value: object, path: str, stamps: dict[str, object]) -> Any:
    if isinstance(value, dict):
        places = {key: f"{path}.{key}" if path else str(key) for key in value}
        return {key: _without(each, places[key], stamps) for key, each in value.items() if places[key] not in stamps}
    if isinstance(value, list):
        return [_without(each, f"{path}.{i}" if path else str(i), stamps) for i, each in enumerate(value)]
    return value


def _is_stamp(key: str, value: object, at: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return False
    if _is_time(value, at):
        return True
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return False
    if words[-1] in _TIME_NAMES and len(words) > 1:
        return not isinstance(value, str) or value.isdigit()
    if words[-1] in _ID_NAMES:
        return all(word in _EVENT_NAMES for word in words[:-1])
    return all(word in _SEQUENCE_NAMES | _TIME_NAMES | _EVENT_NAMES for word in words) and (
        words[-1] in _SEQUENCE_NAMES | _TIME_NAMES
    )


def _is_time(value: str | int | float, at: float | None) -> bool:
    """Report whether `value` is a date with a time of day, or an epoch time (s, ms or us) within a day of `at`."""
    if isinstance(value, str):
        return _ISO_TIME.match(value) is not None
    return at is not None and any(abs(value / unit - at) < DAY_S for unit in (1, 1e3, 1e6))
