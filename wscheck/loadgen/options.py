"""THE OPTIONS of a run inside Locust: its own arguments and environment variables, out of wscheck.profiles."""

from typing import Any

from wscheck.config.load_profiles import LOAD_OPTIONS, LoadOption
from wscheck.config.settings import parse_credential_location
from wscheck.config.target import ServerTarget
from wscheck.loadgen.endpoint import Endpoint, SetupError
from wscheck.loadgen.user_pool import Roster, read_users
from wscheck.protocols.socket_io import RESERVED_EVENT_NAMES


def add_arguments(parser: Any) -> None:
    """Locust's custom arguments (events.init_command_line_parser)."""
    for option in LOAD_OPTIONS:
        parser.add_argument(option.flag, dest=option.name, env_var=option.variable, help=option.help, **_form(option))


def _form(option: LoadOption) -> dict[str, Any]:
    if option.kind is bool:
        return {"action": "store_true"}
    form: dict[str, Any] = {"type": option.kind, "default": option.default}
    if option.choices:
        form["choices"] = option.choices
    if option.secret:
        form["is_secret"] = True
    return form


def told(options: Any) -> dict[str, str | int | float | bool | None]:
    """What a report may show of them."""
    return {option.name: getattr(options, option.name) for option in LOAD_OPTIONS if not option.secret}


def endpoint_of(host: str | None, options: Any) -> Endpoint:
    """Where to connect. Raises SetupError with a sentence for the user."""
    if not host:
        raise SetupError("no server is named: write --host http://localhost:8000")
    _check(options)
    target = ServerTarget(
        url=host,
        namespace="/" + options.namespace.lstrip("/"),
        path=options.socketio_path,
        timeout_s=options.connect_timeout,
        insecure=bool(options.insecure),
        user_in=options.user_in,
        token_in=options.token_in,
    )
    return Endpoint(
        target,
        query=options.query or "",
        headers=options.headers or "",
        sources=tuple(each.strip() for each in (options.source_addresses or "").split(",") if each.strip()),
        ca_file=options.ca_file,
        ack_timeout_s=options.ack_timeout,
        close_timeout_s=options.close_timeout,
        upgrades=options.transport == "polling-upgrade",
    )


def roster_of(options: Any) -> Roster:
    """Who connects. Raises SetupError when the users file cannot be read."""
    rows = read_users(options.users_file) if options.users_file else None
    return Roster(options.user_prefix, options.token, rows)


def _is_pace(said: Any) -> bool:
    try:
        return said in (None, "") or float(said) >= 0
    except ValueError:
        return False


def _check(options: Any) -> None:
    if not _is_pace(options.emit_every):
        raise SetupError("--emit-every is a number of seconds, at least 0")
    for name in ("connect_timeout", "ack_timeout", "close_timeout", "backoff"):
        if getattr(options, name) <= 0:
            raise SetupError(f"--{name.replace('_', '-')} must be more than 0")
    if options.emit_event in RESERVED_EVENT_NAMES:
        raise SetupError(f"--emit-event {options.emit_event}: Socket.IO keeps that name for itself")
    if options.tabs < 1 or options.reconnect_delay < 0 or not 0 <= options.jitter <= 1:
        raise SetupError("--tabs is at least 1, --reconnect-delay at least 0, and --jitter between 0 and 1")
    try:
        parse_credential_location(options.user_in), parse_credential_location(options.token_in)
    except ValueError as problem:
        raise SetupError(str(problem)) from None
