"""Every setting: its name, form, default and meaning, in one table that flags, docs and errors share."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urldefrag, urlsplit

import msgspec

from wscheck.model.secrets import Secret

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$")
_LACKS_SCHEME = re.compile(r"[\w.-]+(:\d+)?(/\S*)?", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def duration(raw: Any) -> float:
    """Seconds from "300ms", "2s", "1m" or a plain number of seconds."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = str(raw)
    match = _DURATION.match(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"{raw!r} is not a duration: write 300ms, 2s or 1m")
    return float(match[1]) * _UNIT_S[match[2]]


def attempts(raw: Any) -> tuple[int, float]:
    """(count, seconds) from "5/10s"."""
    count, slash, window = str(raw).partition("/")
    if not slash or not count.strip().isdigit():
        raise ValueError(f"{raw!r} is not a limit: write 5/10s")
    return int(count), duration(window)


def whole(raw: Any) -> int:
    """A whole number of at least one."""
    if isinstance(raw, bool) or not re.match(r"^\d+$", str(raw)) or int(str(raw)) < 1:
        raise ValueError(f"{raw!r} is not a whole number of at least 1")
    return int(str(raw))


def number(raw: Any) -> float:
    """A number that is not negative."""
    if isinstance(raw, bool) or not re.match(r"^\d+(\.\d+)?$", str(raw).strip()):
        raise ValueError(f"{raw!r} is not a number")
    return float(str(raw))


def pace(raw: Any) -> float:
    """A number above nought."""
    if not number(raw):
        raise ValueError(f"{raw!r} is too slow: nobody would ever start")
    return number(raw)


def text(raw: Any) -> str:
    """A string that is not empty."""
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"{raw!r} is not text")
    return raw.strip()


def namespace(raw: Any) -> str:
    """A namespace with its slash, as Socket.IO itself adds it."""
    name = "/" + text(raw).lstrip("/")
    if "," in name or "?" in name:
        raise ValueError(f"{raw!r} is no namespace: write /admin")
    return name


def flag(raw: Any) -> bool:
    """True or false, also as a word from the environment."""
    if isinstance(raw, bool):
        return raw
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(raw).lower() not in words:
        raise ValueError(f"{raw!r} is neither true nor false")
    return words[str(raw).lower()]


def listed(raw: Any) -> tuple[str, ...]:
    """Strings from a list, or from one string with commas."""
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple):
        raise ValueError(f'{raw!r} is not a list: write ["a", "b"] or a,b')  # noqa: TRY004
    return tuple(text(item) for item in items)


def transports(raw: Any) -> tuple[str, ...]:
    """ "polling,websocket" (poll first, then upgrade), "websocket" or "polling"."""
    chosen = listed(raw)
    if not chosen or not set(chosen) <= {"polling", "websocket"}:
        raise ValueError(f"{raw!r} names no transports: write websocket, polling, or polling,websocket")
    return chosen


def one_of(*choices: str) -> Callable[[Any], str]:
    """A parser that takes one of `choices`."""

    def parse(raw: Any) -> str:
        if raw not in choices:
            raise ValueError(f"{raw!r} is not one of {', '.join(choices)}")
        return str(raw)

    return parse


def url(raw: Any) -> str:
    """An http, https, ws or wss URL; what a browser keeps to itself (`#...`) is no part of it."""
    if not re.match(r"^(https?|wss?)://[^/\s]+", str(raw)) or not _has_a_port(str(raw)):
        shown = without_credentials(str(raw))
        example = f"http://{shown}" if _LACKS_SCHEME.fullmatch(shown) else "http://localhost:8000"
        raise ValueError(f"{shown!r} is not a URL: write {example}")
    return urldefrag(str(raw)).url


def _has_a_port(address: str) -> bool:
    """Whether its port is one, or it names none."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user and password, and without what a query says."""
    return re.sub(r"\?.*", "?(hidden)", re.sub(r"[^/\s]*@", "", address))


def web_url(raw: Any) -> str:
    """An http or https URL."""
    if not re.match(r"^https?://[^/\s]+", str(raw)):
        raise ValueError("this is not an http or https URL")  # which may be a secret
    return str(raw)


def folder(raw: Any) -> str:
    """A folder of the checkout, from its root, without a slash at its end."""
    path = PurePosixPath(str(raw).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{raw!r} is not a folder of the checkout: write it from the checkout's root, as in frontend")
    return "" if path == PurePosixPath() else str(path)


def location(raw: Any) -> str:
    """Where a credential travels: auth.NAME, query.NAME, header.NAME or cookie.NAME."""
    if not re.match(r"^(auth|query|header|cookie)\.[\w.:-]+$", str(raw)):
        raise ValueError(
            f"{raw!r} is no place for a credential: write auth.userId, query.token, header.NAME or cookie.NAME"
        )
    return str(raw)


class Setting(msgspec.Struct, frozen=True):
    """One setting. `parse` raises ValueError saying what form it wants; `also` is a second variable that sets it."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    secret: bool = False
    also: str | None = None

    @property
    def flag(self) -> str:
        """What a command line gives it by: tokens only as the file that holds one."""
        name = self.name.partition(".")[2].replace("_", "-")
        return "URL" if name == "url" else f"--{name}-file" if name.endswith("token") else f"--{name}"

    @property
    def variable(self) -> str:
        return "WSCHECK_" + self.name.partition(".")[2].upper()


NEXT_PUBLIC = "NEXT_PUBLIC_BOT_WEBSOCKET_URL"
"""The documented hook's own variable: what the application connects to is what wscheck should check."""

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("target.url", url, None, "the server to check; the embedded backend without one", also=NEXT_PUBLIC),
        Setting("target.namespace", namespace, "/", "Socket.IO namespace"),
        Setting("target.path", text, "/socket.io", "path of the Socket.IO endpoint"),
        Setting("target.transports", transports, ("polling", "websocket"), "in the order they are tried"),
        Setting("target.timeout", duration, 20.0, "how long a connection may take"),
        Setting("target.insecure", flag, False, "do not verify the server's TLS certificate"),
        Setting("identity.user_id", text, "user_123", "the user to connect as"),
        Setting("identity.second_user_id", text, None, "another user, for isolation and identity-binding"),
        Setting("identity.token", lambda raw: Secret(text(raw)), None, "the user's token", secret=True),
        Setting("identity.second_token", lambda raw: Secret(text(raw)), None, "the other user's token", secret=True),
        Setting("identity.user_in", location, "auth.userId", "where the user id travels"),
        Setting("identity.token_in", location, "auth.token", "where the token travels"),
        Setting("verify.client", one_of("unified", "per-component"), "unified", "the client under test"),
        Setting("verify.reconnect_on_kick", duration, None, "per-component: reconnect this long after a kick"),
        Setting("verify.window", duration, 2.0, "how long to watch for what must not happen"),
        Setting("verify.server_log", listed, (), "log files of the server to read beside the run"),
        Setting("verify.page", web_url, None, "the real page, which plays the documented scenarios in a browser"),
        Setting("verify.fail_on", one_of("error", "warning", "note"), "error", "the severity that fails a run"),
        Setting("verify.strict", flag, False, "what could not be judged fails the run"),
        Setting("watch.quiet_after", duration, 30.0, "an incident is over after so long without another occurrence"),
        Setting("watch.stale_after", duration, None, "give up a connection that is open for so long"),
        Setting("watch.webhook", lambda raw: Secret(web_url(raw)), None, "where incidents are posted", secret=True),
        Setting("watch.webhook_format", one_of("json", "slack"), "json", "what is posted"),
        Setting("watch.metrics", text, None, "where to serve Prometheus metrics, HOST:PORT"),
        Setting("load.profile", text, "unified", "what each user's page does"),
        Setting("load.users", whole, 50, "simulated users"),
        Setting("load.spawn_rate", pace, None, "users that start each second; all at once without one"),
        Setting("load.run_time", duration, 10.0, "how long the run lasts, from its first user on"),
        Setting("load.processes", whole, 1, "worker processes; with more than one there is a master beside them"),
        Setting("load.max_connections_per_user", number, None, "threshold: the most a user holds at once, on average"),
        Setting("load.max_replaced", number, None, "threshold: connections that the server replaced"),
        Setting("load.max_churn", number, None, "threshold: connects and disconnects per user and second"),
        Setting("load.max_connect_p95", duration, None, "threshold: how long connecting takes, 95th percentile"),
        Setting("browser.identity", text, "auth.userId", "where a page's traffic says who the user is"),
        Setting("browser.source_root", folder, None, "the folder of the checkout in which the frontend lies"),
        Setting("browser.for", duration, 5.0, "how long a page is watched"),
        Setting("browser.browser", text, None, "the Chromium to launch; the one on PATH without it"),
        Setting("browser.storage_state", text, None, "cookies and local storage: Playwright's storageState"),
        Setting("browser.cdp", text, None, "the address of a running browser to watch instead"),
        Setting("actions.trigger", text, "trigger_whatsapp_connection", "what the wizard emits to connect WhatsApp"),
        Setting("actions.disconnect", text, None, "what it emits to disconnect it; never without one"),
        Setting("rules.grace", duration, 0.25, "how long two connections of a user may overlap"),
        Setting("rules.max_attempts", attempts, (5, 10.0), "connection attempts allowed in a window"),
    )
}
"""By dotted name: table and key in wscheck.toml, WSCHECK_KEY in the environment, --key as a flag."""
