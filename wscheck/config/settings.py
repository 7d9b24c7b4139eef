"""Settings with their parsers, defaults and descriptions, the source of all flags, variables and keys in files."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urldefrag, urlsplit

import msgspec

from wscheck.detect.rounds import MIN_ROUNDS
from wscheck.model.policy import PER_TAB, PER_USER, Connections
from wscheck.model.secrets import Secret

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$")
_LACKS_SCHEME = re.compile(r"[\w.-]+(:\d+)?(/\S*)?", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_duration(raw: Any) -> float:
    """Return the seconds in `raw`: "300ms", "2s", "1m" or a plain number of seconds.

    Raises:
        ValueError: `raw` has another form.
    """
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = str(raw)
    match = _DURATION.match(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"{raw!r} is not a duration: write 300ms, 2s or 1m")
    return float(match[1]) * _UNIT_S[match[2]]


def parse_attempt_limit(raw: Any) -> tuple[int, float]:
    """Return (count, seconds) of a limit such as "5/10s"."""
    count, slash, window = str(raw).partition("/")
    if not slash or not count.strip().isdigit():
        raise ValueError(f"{raw!r} is not a limit: write 5/10s")
    return int(count), parse_duration(window)


def parse_positive_int(raw: Any) -> int:
    """Return a whole number of at least 1."""
    if isinstance(raw, bool) or not re.match(r"^\d+$", str(raw)) or int(str(raw)) < 1:
        raise ValueError(f"{raw!r} is not a whole number of at least 1")
    return int(str(raw))


def parse_rounds(raw: Any) -> int:
    """Return how often `wscheck browser --loop` follows each link, at least `MIN_ROUNDS` times.

    With fewer visits, a connection that leaks at each visit looks like one that all later visits share.
    """
    if (rounds := parse_positive_int(raw)) < MIN_ROUNDS:
        raise ValueError(
            f"{rounds} rounds tell no leak from a connection that later visits share: at least {MIN_ROUNDS}"
        )
    return rounds


def parse_connections(raw: Any) -> Connections:
    """Return "per-user", "per-tab", or a number of connections per user."""
    if raw in (PER_USER, PER_TAB):
        return PER_USER if raw == PER_USER else PER_TAB
    try:
        return parse_positive_int(raw)
    except ValueError:
        raise ValueError(f"{raw!r} is not a policy: write per-user, per-tab or a number") from None


def parse_number(raw: Any) -> float:
    """Return a number of at least 0."""
    if isinstance(raw, bool) or not re.match(r"^\d+(\.\d+)?$", str(raw).strip()):
        raise ValueError(f"{raw!r} is not a number")
    return float(str(raw))


def parse_positive_number(raw: Any) -> float:
    """Return a number above 0."""
    if not parse_number(raw):
        raise ValueError(f"{raw!r} must be greater than 0")
    return parse_number(raw)


def parse_text(raw: Any) -> str:
    """Return a string that is not empty, without surrounding blanks."""
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"{raw!r} is not text")
    return raw.strip()


def parse_namespace(raw: Any) -> str:
    """Return a namespace with its leading slash, which Socket.IO adds too."""
    name = "/" + parse_text(raw).lstrip("/")
    if "," in name or "?" in name:
        raise ValueError(f"{raw!r} is not a namespace: write /admin")
    return name


def parse_flag(raw: Any) -> bool:
    """Return True or False. Words such as "yes" and "off" are accepted too."""
    if isinstance(raw, bool):
        return raw
    values = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(raw).lower() not in values:
        raise ValueError(f"{raw!r} is neither true nor false")
    return values[str(raw).lower()]


def parse_list(raw: Any) -> tuple[str, ...]:
    """Return the strings in `raw`, which is a list or one string with commas."""
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple):
        raise ValueError(f'{raw!r} is not a list: write ["a", "b"] or a,b')  # noqa: TRY004
    return tuple(parse_text(item) for item in items)


def parse_fields(raw: Any) -> dict[str, Any]:
    """Return the named values in `raw`: a table, or NAME=VALUE in each item of a list or each line of a text."""
    return _parse_named_values(raw, "=")


def parse_text_fields(raw: Any) -> dict[str, str]:
    """Return named texts. Each may have any notation that `parse_fields` accepts."""
    return _require_texts(_parse_named_values(raw, "="))


def parse_headers(raw: Any) -> dict[str, str]:
    """Return the headers in `raw`: a table, or NAME: VALUE in each item of a list or each line of a text."""
    return _require_texts(_parse_named_values(raw, ":"))


def _parse_named_values(raw: Any, separator: str) -> dict[str, Any]:
    if isinstance(raw, dict):
        return dict(raw)
    items = raw.splitlines() if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple):
        raise ValueError('this is not a table: write { name = "value" }')  # noqa: TRY004
    fields = {}
    for item in filter(str.strip, map(str, items)):
        name, found, value = item.partition(separator)
        if not found or not name.strip():
            # The text may contain a secret, so the error does not repeat it.
            raise ValueError(f"a value has no {separator!r}: write NAME{separator}VALUE")
        fields[name.strip()] = value.strip() if separator == ":" else value
    return fields


def _require_texts(fields: dict[str, Any]) -> dict[str, str]:
    for name, value in fields.items():
        if not isinstance(value, str):
            raise ValueError(f"`{name}` is not text")  # noqa: TRY004
    return fields


def parse_transports(raw: Any) -> tuple[str, ...]:
    """Return the names of the transports, in the order of a client's attempts."""
    chosen = parse_list(raw)
    if not chosen or not set(chosen) <= {"polling", "websocket"}:
        raise ValueError(f"{raw!r} does not name transports: write websocket, polling, or polling,websocket")
    return chosen


class ChoiceParser(msgspec.Struct, frozen=True):
    """Parser that accepts one of `choices`."""

    choices: tuple[str, ...]

    def __call__(self, raw: Any) -> str:
        if raw not in self.choices:
            raise ValueError(f"{raw!r} is not one of {', '.join(self.choices)}")
        return str(raw)


def parse_server_url(raw: Any) -> str:
    """Return an http, https, ws or wss URL without its fragment."""
    if not re.match(r"^(https?|wss?)://[^/\s]+", str(raw)) or not _has_valid_port(str(raw)):
        shown = redact_url(str(raw))
        example = f"http://{shown}" if _LACKS_SCHEME.fullmatch(shown) else "http://localhost:8000"
        raise ValueError(f"{shown!r} is not a URL: write {example}")
    return urldefrag(str(raw)).url


def _has_valid_port(address: str) -> bool:
    """Return whether the URL has no port, or one between 1 and 65535."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def redact_url(address: str) -> str:
    """Return the URL without user, password and query, for reports."""
    return re.sub(r"\?.*", "?(hidden)", re.sub(r"(?<![^/\s])[^/\s]*@", "", address))


def parse_http_url(raw: Any) -> str:
    """Return an http or https URL. The error does not repeat the value, which may be a secret."""
    if not re.match(r"^https?://[^/\s]+", str(raw)):
        raise ValueError("this is not an http or https URL")
    return str(raw)


def parse_otlp_receiver(raw: Any) -> str:
    """Return an http or https URL, or "env". The error does not repeat the value, which may contain a password."""
    if raw != "env" and (not re.match(r"^https?://[^/\s]+", str(raw)) or not _has_valid_port(str(raw))):
        raise ValueError("this is not the URL of a receiver: write http://127.0.0.1:4318, or env")
    return str(raw)


def parse_checkout_folder(raw: Any) -> str:
    """Return a folder relative to the root of the checkout, without a trailing slash."""
    path = PurePosixPath(str(raw).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{raw!r} is not a folder of the checkout: write it relative to the checkout's root, for example frontend"
        )
    return "" if path == PurePosixPath() else str(path)


def parse_credential_location(raw: Any) -> str:
    """Return the part of a handshake that contains a credential: auth.NAME, query.NAME, header.NAME or cookie.NAME."""
    if not re.match(r"^(auth|query|header|cookie)\.[\w.:-]+$", str(raw)):
        raise ValueError(
            f"{raw!r} is not a location of a credential: write auth.userId, query.token, header.NAME or cookie.NAME"
        )
    return str(raw)


class Setting(msgspec.Struct, frozen=True):
    """One setting.

    parse           converts the text of a value; raises ValueError with the expected form
    other_variable  a second environment variable that sets the value
    flag_name       the flag, if it has another name than the key
    """

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    secret: bool = False
    other_variable: str | None = None
    flag_name: str | None = None

    @property
    def flag(self) -> str:
        """The command-line flag. A token has the flag --NAME-file, because a command line must not contain secrets."""
        if self.flag_name is not None:
            return self.flag_name
        name = self.name.partition(".")[2].replace("_", "-")
        return "URL" if name == "url" else f"--{name}-file" if name.endswith("token") else f"--{name}"

    @property
    def variable(self) -> str:
        return "WSCHECK_" + self.name.partition(".")[2].upper()


NEXT_PUBLIC_VARIABLE = "NEXT_PUBLIC_BOT_WEBSOCKET_URL"
"""Environment variable that the reference application reads. If it is set, wscheck checks the same server."""

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "target.url",
            parse_server_url,
            None,
            "the server to check; by default, the embedded backend",
            other_variable=NEXT_PUBLIC_VARIABLE,
        ),
        Setting(
            "target.protocol",
            ChoiceParser(("socket.io", "websocket", "sse")),
            None,
            "protocol of the server: socket.io, websocket or sse; by default, recognised",
        ),
        Setting("target.namespace", parse_namespace, "/", "Socket.IO namespace"),
        Setting("target.path", parse_text, "/socket.io", "path of the Socket.IO endpoint"),
        Setting(
            "target.transports",
            parse_transports,
            ("polling", "websocket"),
            "transports, in the order in which they are tried",
        ),
        Setting("target.timeout", parse_duration, 20.0, "time that a connection may take to open"),
        Setting("target.wait_for", parse_duration, None, "time to wait for the server to start, before the run"),
        Setting("target.insecure", parse_flag, False, "do not verify the server's TLS certificate"),
        Setting("identity.user_id", parse_text, "user_123", "the user to connect as"),
        Setting("identity.second_user_id", parse_text, None, "another user, for isolation and identity-binding"),
        Setting("identity.token", lambda raw: Secret(parse_text(raw)), None, "the user's token", secret=True),
        Setting(
            "identity.second_token", lambda raw: Secret(parse_text(raw)), None, "the other user's token", secret=True
        ),
        Setting(
            "identity.expired_token",
            lambda raw: Secret(parse_text(raw)),
            None,
            "a token of the user that has expired, for auth-refused",
            secret=True,
        ),
        Setting(
            "identity.user_in",
            parse_credential_location,
            "auth.userId",
            "part of the handshake that contains the user id",
        ),
        Setting(
            "identity.token_in",
            parse_credential_location,
            "auth.token",
            "part of the handshake that contains the token",
        ),
        Setting("connect.auth", parse_fields, {}, "further fields of the `auth` object", flag_name="--auth"),
        Setting("connect.headers", parse_headers, {}, "HTTP headers of the handshake", flag_name="--header"),
        Setting("connect.cookies", parse_text_fields, {}, "cookies, sent exactly as given", flag_name="--cookie"),
        Setting("connect.query", parse_text_fields, {}, "further query parameters of the URL", flag_name="--query"),
        Setting("connect.anonymous", parse_flag, False, "the server may accept a connection without a token"),
        Setting("verify.client", ChoiceParser(("unified", "per-component")), "unified", "the client under test"),
        Setting(
            "verify.reconnect_on_kick",
            parse_duration,
            None,
            "per-component: reconnect after this time when the server replaced the connection",
        ),
        Setting("verify.window", parse_duration, 2.0, "time to watch for events that must not happen"),
        Setting("verify.server_log", parse_list, (), "log files of the server, read during the run"),
        Setting(
            "verify.page",
            parse_http_url,
            None,
            "URL of a page on which a browser runs the first three scenarios, in place of the simulated client",
        ),
        Setting(
            "verify.fail_on", ChoiceParser(("error", "warning", "note")), "error", "lowest severity that fails the run"
        ),
        Setting("verify.strict", parse_flag, False, "an inconclusive result fails the run"),
        Setting(
            "policy.connections",
            parse_connections,
            None,
            "connections that a user may have: per-user (one), per-tab (one per page or device), or a number",
        ),
        Setting(
            "policy.baseline",
            parse_text,
            None,
            "JSON report whose findings are known and do not fail the run",
        ),
        Setting(
            "watch.quiet_after", parse_duration, 30.0, "an incident ends after this time without another occurrence"
        ),
        Setting(
            "watch.reorder",
            parse_duration,
            1.0,
            "time for which the lines of several followed logs, or of a pipe, wait for earlier ones",
        ),
        Setting(
            "watch.stale_after",
            parse_duration,
            None,
            "assume that a connection has ended after it was open for this time",
        ),
        Setting(
            "watch.webhook",
            lambda raw: Secret(parse_http_url(raw)),
            None,
            "URL to which incidents are posted",
            secret=True,
        ),
        Setting("watch.webhook_format", ChoiceParser(("json", "slack")), "json", "format of the posted incidents"),
        Setting("watch.metrics", parse_text, None, "address that serves Prometheus metrics, HOST:PORT"),
        Setting(
            "watch.otlp",
            parse_otlp_receiver,
            None,
            "URL of an OpenTelemetry receiver (OTLP over HTTP), or env: the one that OTEL_EXPORTER_OTLP_* names",
        ),
        Setting("load.profile", parse_text, "unified", "behaviour of each user's page"),
        Setting("load.users", parse_positive_int, 50, "simulated users"),
        Setting(
            "load.spawn_rate",
            parse_positive_number,
            None,
            "users that start each second; by default, all start at once",
        ),
        Setting("load.run_time", parse_duration, 10.0, "duration of the run, counted from the start of its first user"),
        Setting(
            "load.processes",
            parse_positive_int,
            1,
            "worker processes; for more than one, a master process runs in addition",
        ),
        Setting(
            "load.max_connections_per_user",
            parse_number,
            None,
            "threshold: most connections open at once per user, on average",
        ),
        Setting("load.max_replaced", parse_number, None, "threshold: connections that the server replaced"),
        Setting("load.max_churn", parse_number, None, "threshold: connects and disconnects per user and second"),
        Setting("load.max_connect_p95", parse_duration, None, "threshold: time to connect, 95th percentile"),
        Setting("browser.identity", parse_text, "auth.userId", "part of a page's traffic that contains the user id"),
        Setting(
            "browser.source_root", parse_checkout_folder, None, "folder of the checkout that contains the frontend"
        ),
        Setting("browser.for", parse_duration, 5.0, "time to watch each page"),
        Setting("browser.loop", parse_rounds, None, "visits of each view that the page has a link to"),
        Setting("browser.loop_links", parse_positive_int, 10, "links that --loop follows at most"),
        Setting(
            "browser.browser",
            parse_text,
            None,
            "program to start (Chromium, Chrome or Edge); by default, the first one found",
        ),
        Setting(
            "browser.storage_state", parse_text, None, "cookies and local storage, in Playwright's storageState format"
        ),
        Setting(
            "browser.cdp", parse_text, None, "DevTools address of a running browser to watch; none is started then"
        ),
        Setting("actions.components", parse_list, (), "names of the two simulated components in reports"),
        Setting(
            "actions.trigger",
            parse_text,
            "trigger_whatsapp_connection",
            "event that the second component emits to start an action",
        ),
        Setting(
            "actions.disconnect",
            parse_text,
            None,
            "event that the second component emits to end this action; by default none",
        ),
        Setting("rules.grace", parse_duration, 0.25, "time that two connections of a user may overlap"),
        Setting(
            "rules.max_attempts",
            parse_attempt_limit,
            (5, 10.0),
            "connection attempts allowed per user in a time window",
        ),
    )
}
"""Settings by dotted name: [table] and key in wscheck.toml, WSCHECK_KEY in the environment, --key as a flag."""

OPTIONS = {
    "browser.command": "--",
    "har.source_maps": "--source-maps",
    "load.allow_other_machines": "--i-may-load-this-target",
    "load.emit_event": "--emit-event",
    "load.emit_every": "--emit-every",
    "load.emit_payload": "--emit-payload",
    "load.source_addresses": "--source-addresses",
    "logs.keys": "--key",
    "logs.markers": "--marker",
    "mcp.allow": "--allow",
    "report.format": "--format",
    "serve.host": "--host",
    "serve.port": "--port",
    "watch.exec": "--exec",
}
"""Flags of the options that are not settings, by the name that errors use."""

_NAME_IN_ERROR = re.compile(r"`([a-z]+\.[a-z_0-9]+)(?:=([^`]*))?`")


def with_flags(text: str) -> str:
    """Return the text of an error with command-line flags in place of the names of settings.

    For example, "Add `verify.client=unified`." becomes "Add --client unified.". Errors name settings and options in
    backticks, because they also reach users of the Python API. A name without backticks, such as a key in the
    configuration file, is not changed.
    """
    return _NAME_IN_ERROR.sub(_flag_in_error, text)


def _flag_in_error(match: re.Match[str]) -> str:
    name, value = match.groups()
    if name in SETTINGS:
        flag = SETTINGS[name].flag
        # The variable comes first for a token, whose flag only names a file.
        flag = f"{SETTINGS[name].variable} (or {flag})" if flag.endswith("-file") else flag
    elif name in OPTIONS:
        flag = OPTIONS[name]
    else:
        return match[0]
    return flag if value is None else f"{flag} {value}"
