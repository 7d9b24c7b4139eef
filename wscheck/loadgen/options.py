"""Options of a run inside Locust, and the endpoint, users and page behaviour that result from them."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from wscheck.config.connect import ConnectOptions, decode_connect_options
from wscheck.config.load_profiles import LOAD_OPTIONS, LoadOption, is_users_file_header
from wscheck.config.settings import parse_credential_location
from wscheck.config.target import Credentials, ServerTarget
from wscheck.loadgen.endpoint import Endpoint, SetupError
from wscheck.loadgen.page_component import ReconnectPolicy
from wscheck.model.errors import failure_reason
from wscheck.model.secrets import Secret
from wscheck.protocols.socket_io import RESERVED_EVENT_NAMES

_STRICT_MODE_REMOUNT_S = 0.005
_SOAK_EMIT_EVERY_S = 30.0

UserRow = tuple[str, str | None]
"""User id and token; the token may be missing."""


class PageBehaviour(msgspec.Struct, frozen=True):
    """Behaviour of the page of a user.

    components    reconnect policy of each component of the page
    emit_every_s  seconds between the events that the user sends; 0: no events
    """

    components: tuple[ReconnectPolicy, ...]
    emit_every_s: float


class UserPool:
    """Users of one Locust process, taken from the numbered users of the run.

    Of `stride` workers, the worker at position `offset` gets every `stride`-th user, so that no user belongs to two
    workers. A user that stopped is available again, the lowest number first.
    """

    def __init__(self, prefix: str = "", token: str | None = None, rows: list[UserRow] | None = None) -> None:
        self._prefix, self._token, self._rows = prefix, token, rows
        self.offset, self.stride = 0, 1
        self._new_users = 0
        self._available: list[int] = []

    def acquire(self) -> tuple[int, Credentials]:
        """Return the number and the credentials of a user that is not in use. Pass the number to `release` later.

        Raises:
            SetupError: The users file has no more users.
        """
        if self._available:
            self._available.sort(reverse=True)
            number = self._available.pop()
        else:
            number = self.offset + self._new_users * self.stride
            self._new_users += 1
        if self._rows is None:
            user = f"{self._prefix}{number}"
            return number, Credentials(user, self._token_for(user))
        if number >= len(self._rows):
            raise SetupError(f"this run needs more users than the {len(self._rows)} in the users file")
        user, token = self._rows[number]
        return number, Credentials(user, Secret(token) if token else self._token_for(user))

    def release(self, number: int) -> None:
        """Make the user with this number available again."""
        self._available.append(number)

    def _token_for(self, user: str) -> Secret | None:
        return Secret(self._token.replace("{user}", user)) if self._token else None


def read_users(path: str) -> list[UserRow]:
    """Read a CSV file with a user id and a token in each line.

    Raises:
        SetupError: The file cannot be read, a line is malformed, or a user occurs twice.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(_user_rows(path, csv.reader(file)))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SetupError(f"the users file {path} cannot be read: {failure_reason(error, 'it is not CSV')}") from error
    if len({user for user, _ in rows}) < len(rows):
        raise SetupError(f"{path} names a user twice: write each user once")
    return rows


def _user_rows(path: str, lines: Iterator[list[str]]) -> Iterator[UserRow]:
    is_first = True
    for number, row in enumerate(lines, start=1):
        if not row or row[0].startswith("#") or (is_first and is_users_file_header(row)):
            continue
        if not row[0].strip() or len(row) > 2:
            raise SetupError(f"{path}, line {number}: write user id, then a comma, then the token")
        is_first = False
        yield row[0].strip(), row[1].strip() or None if len(row) == 2 else None


def add_arguments(parser: Any) -> None:
    """Add the options to Locust's argument parser (Locust documentation, "Custom arguments")."""
    for option in LOAD_OPTIONS:
        parser.add_argument(
            option.flag, dest=option.name, env_var=option.variable, help=option.help, **_argument_settings(option)
        )


def _argument_settings(option: LoadOption) -> dict[str, Any]:
    if option.kind is bool:
        return {"action": "store_true"}
    settings: dict[str, Any] = {"type": option.kind, "default": option.default}
    if option.choices:
        settings["choices"] = option.choices
    if option.secret:
        settings["is_secret"] = True
    return settings


def reportable_options(options: Any) -> dict[str, str | int | float | bool | None]:
    """Return the options that are not secret, by name."""
    return {option.name: getattr(options, option.name) for option in LOAD_OPTIONS if not option.secret}


def endpoint_from(host: str | None, options: Any) -> Endpoint:
    """Return the endpoint that the options describe.

    Raises:
        SetupError: There is no host, or an option cannot be used.
    """
    if not host:
        raise SetupError("no server is named: write --host http://localhost:8000")
    _check_options(options)
    target = ServerTarget(
        url=host,
        protocol=options.protocol,
        namespace="/" + options.namespace.lstrip("/"),
        path=options.socketio_path,
        timeout_s=options.connect_timeout,
        insecure=bool(options.insecure),
        user_in=options.user_in,
        token_in=options.token_in,
        connect=_connect_options(options),
    )
    return Endpoint(
        target.with_protocol(options.protocol),
        query=options.query or "",
        headers=options.headers or "",
        sources=tuple(each.strip() for each in (options.source_addresses or "").split(",") if each.strip()),
        ca_file=options.ca_file,
        ack_timeout_s=options.ack_timeout,
        close_timeout_s=options.close_timeout,
        upgrades=options.transport == "polling-upgrade",
    )


def _connect_options(options: Any) -> ConnectOptions:
    if not options.connect:
        return ConnectOptions()
    try:
        connect = decode_connect_options(options.connect)
    except ValueError as error:
        raise SetupError(f"--connect is not valid: {error}") from None
    if missing := connect.missing_variables:
        raise SetupError(f"the variable {missing[0]} is not set")
    return connect


def emit_payload_from(options: Any) -> Any:
    """Return the parsed JSON of --emit-payload, None if it is not set. Placeholders in it are not replaced yet.

    Raises:
        SetupError: The payload is not JSON.
    """
    if not options.emit_payload:
        return None
    try:
        return json.loads(options.emit_payload)
    except ValueError:
        raise SetupError("--emit-payload is not JSON") from None


def user_pool_from(options: Any) -> UserPool:
    """Return the users that the options describe.

    Raises:
        SetupError: The users file cannot be used.
    """
    rows = read_users(options.users_file) if options.users_file else None
    return UserPool(options.user_prefix, options.token, rows)


def behaviour_from(profile: str, options: Any) -> PageBehaviour:
    """Return the behaviour of the pages of `profile`, a key of `LOAD_PROFILES`."""
    backoff_only = ReconnectPolicy(backoff_s=options.backoff, jitter=options.jitter)
    always = msgspec.structs.replace(backoff_only, after_server_disconnect_s=options.reconnect_delay)
    components = {
        "unified": (backoff_only,),
        "duplicated": (always, always),
        "tabs": (always,) * options.tabs,
        "strict-mode": (msgspec.structs.replace(backoff_only, remount_after_s=_STRICT_MODE_REMOUNT_S),),
        "storm": (backoff_only,),
        "soak": (backoff_only,),
    }[profile]
    return PageBehaviour(components, _emit_every_s(options, _SOAK_EMIT_EVERY_S if profile == "soak" else 0.0))


def _emit_every_s(options: Any, default_s: float) -> float:
    """Return --emit-every in seconds, or `default_s` if it is not set.

    Locust's web UI passes an option as text, and an empty field as "".
    """
    value = options.emit_every
    return default_s if value in (None, "") else float(value)


def _check_options(options: Any) -> None:
    if not _is_interval(options.emit_every):
        raise SetupError("--emit-every is a number of seconds, at least 0")
    for name in ("connect_timeout", "ack_timeout", "close_timeout", "backoff"):
        if getattr(options, name) <= 0:
            raise SetupError(f"--{name.replace('_', '-')} must be more than 0")
    if options.emit_event in RESERVED_EVENT_NAMES:
        raise SetupError(f"--emit-event {options.emit_event}: Socket.IO reserves that name")
    if options.tabs < 1 or options.reconnect_delay < 0 or not 0 <= options.jitter <= 1:
        raise SetupError("--tabs is at least 1, --reconnect-delay at least 0, and --jitter between 0 and 1")
    emit_payload_from(options)
    try:
        for location in filter(None, (options.user_in, options.token_in)):
            parse_credential_location(location)
    except ValueError as problem:
        raise SetupError(str(problem)) from None


def _is_interval(value: float | str | None) -> bool:
    try:
        return value is None or value == "" or float(value) >= 0
    except ValueError:
        return False
