"""Plan of a load run: the configuration and the flags, checked against the limits of this machine."""

import ipaddress
import json
import math
import resource
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wscheck.config.connect import ConnectOptions
from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES, is_users_file_header
from wscheck.config.loading import Config, SettingValue, load_config
from wscheck.config.target import (
    EVENT_STREAM,
    Credentials,
    ServerTarget,
    check_plain_target,
    configured_target,
)
from wscheck.model.errors import CannotCheck, UnknownName, UsageError
from wscheck.model.events import EMBEDDED_BACKEND
from wscheck.model.findings import Bar
from wscheck.model.load_report import THRESHOLD_MEASURES
from wscheck.model.policy import ConnectionPolicy
from wscheck.model.secrets import SHORTEST_SECRET, Redactor, Secret

EMIT_EVERY_S = 1.0
"""Seconds between a user's events by default. Duplicates and acknowledgements are measured by these events."""

CONNECTIONS_PER_USER = {"duplicated": 2, "strict-mode": 2}
"""Dict of profile to the connections that a user opens at once. `tabs` uses --tabs, all other profiles open 1."""

OTHER_FILES = 100
"""Open files of a process in addition to its connections: libraries, pipes, the stream, Locust's own sockets."""

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
CONNECTION_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
DEFAULT_PORT_RANGE = (32_768, 60_999)
"""Range of local ports that Linux uses by default (ip(7))."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Plan of one run.

    target          the server; without a URL until the embedded backend has started
    options         dict of option name to value, for the options in `LOAD_OPTIONS`
    limits          dict of threshold id to the highest permitted value (docs/load.md, Thresholds)
    max_attempts    (number, seconds): connection attempts that a user may make within so many seconds
    emits           true if a flag asks for events that the simulated users send
    is_answered     true if the event contract requires an answer to the event that users emit; None if the contract
                    does not contain that event
    policy          number of connections that a user may have; without a policy, only the thresholds can fail the run
    locust_outputs  dict of argument name to path, for each of Locust's own outputs
    """

    target: ServerTarget
    embedded: bool
    profile: str
    users: int
    spawn_rate: float
    run_time_s: float
    processes: int = 1
    options: dict[str, Any] = {}
    token: Secret | None = None
    limits: dict[str, float] = {}
    max_attempts: tuple[int, float] = (5, 10.0)
    emits: bool = False
    is_answered: bool | None = None
    policy: ConnectionPolicy = ConnectionPolicy()
    bar: Bar = Bar()
    locust_outputs: dict[str, Path] = {}

    @property
    def target_name(self) -> str:
        """Name of the target in reports."""
        return EMBEDDED_BACKEND if self.embedded else self.target.display_url

    @property
    def redactor(self) -> Redactor:
        """Redactor that removes the token from messages.

        If the token is a template with `{user}`, it removes the parts that the tokens of all users share.
        """
        parts = self.token.reveal().split("{user}") if self.token is not None else []
        shared = [Secret(part) for part in parts if len(part) >= SHORTEST_SECRET]
        return Redactor([*shared, *self.target.connect.secrets], distinct=False)

    @property
    def has_shared_token(self) -> bool:
        """True if every user sends the same token. A server that identifies users by token then sees one user."""
        is_same_for_all = self.token is not None and "{user}" not in self.token.reveal()
        return is_same_for_all and self.users > 1 and "users_file" not in self.options

    @property
    def expects_answers(self) -> bool:
        """True if a server without a fault answers the events that users emit.

        The embedded backend does. For another server, the event contract decides. If the contract does not contain the
        event, the server must answer only if an option names the event and acknowledgements are requested: a server
        may not know the event that is emitted by default.
        """
        is_acknowledged = "emit_event" in self.options and not self.options.get("no_acks")
        return self.embedded or (is_acknowledged if self.is_answered is None else self.is_answered)

    @property
    def connections_per_user(self) -> int:
        """Number of connections that a user opens at once, on all pages together."""
        if self.profile == "tabs":
            return int(self.options.get("tabs", _default("tabs")))
        return CONNECTIONS_PER_USER.get(self.profile, 1)

    @property
    def pages_per_user(self) -> int:
        """Number of pages that a user opens."""
        return self.connections_per_user if self.profile == "tabs" else 1

    def with_target(self, target: ServerTarget) -> "LoadPlan":
        """Return the plan for a target whose protocol is known.

        Raises:
            UsageError: A client without Socket.IO cannot send what the plan contains.
        """
        if target.is_socket_io:
            return msgspec.structs.replace(self, target=target)
        check_plain_target(target, [Credentials("user", self.token)])
        options = {**self.options, "protocol": target.protocol, "user_in": target.user_in, "token_in": target.token_in}
        options["no_acks"] = True
        if target.protocol == EVENT_STREAM:
            if self.emits:
                raise UsageError(
                    "A client sends nothing on a stream of server-sent events, and this run has events to emit.",
                    "Leave out `load.emit_event`, `load.emit_payload` and `load.emit_every`.",
                )
            options["emit_every"] = 0.0
        elif "emit_event" not in options:
            options["emit_every"] = 0.0
        return msgspec.structs.replace(self, target=target, options=options)

    def with_profile(self, profile: str) -> "LoadPlan":
        """Return the same plan with another profile (behaviour of each user's page).

        The names of Locust's outputs then contain the profile, so that two runs do not overwrite each other's outputs.
        """
        outputs = {
            name: path.with_name(f"{path.stem}-{profile}{path.suffix}") for name, path in self.locust_outputs.items()
        }
        return msgspec.structs.replace(self, profile=profile, locust_outputs=outputs)


def configured_plan(
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    locust_outputs: Mapping[str, Path],
    *,
    allow_other_machines: bool,
) -> LoadPlan:
    """Return the plan that the flags, the environment and the configuration file describe.

    Args:
        settings: Setting name to the value of its flag, None where the flag is not given.
        options: Option name to the value of its flag, None where the flag is not given.
        locust_outputs: Argument name to path, for each of Locust's own outputs.
        allow_other_machines: True if the user may load a target that is not this machine.

    Raises:
        UsageError: A setting is not valid, or the target is another machine and permission is missing.
    """
    config = load_config(settings)
    target, users = configured_target(config), config["load.users"]
    spawn_rate = config["load.spawn_rate"] or users
    # Locust counts whole seconds.
    run_time_s = max(math.ceil(config["load.run_time"]), 1)
    _check_run_time(users, spawn_rate, run_time_s)
    if (users_file := options.get("users_file")) is not None:
        _check_users_file(Path(users_file), users)
    if target.url and not allow_other_machines:
        _check_is_this_machine(target)
    given_options = {name: value for name, value in options.items() if value is not None}
    emits = bool({"emit_event", "emit_every", "emit_payload"} & given_options.keys())
    if target.url:
        given_options = {**_contract_options(config, given_options), **given_options}
    return LoadPlan(
        target=target,
        embedded=not target.url,
        profile=_checked_profile(config.values["load.profile"]),
        users=users,
        spawn_rate=spawn_rate,
        run_time_s=run_time_s,
        processes=config["load.processes"],
        options={**_target_options(config, target), **_emit_options(config), **given_options},
        token=config["identity.token"],
        limits=_limits(config),
        max_attempts=config["rules.max_attempts"],
        emits=emits,
        is_answered=_requires_answer(config, given_options.get("emit_event")),
        policy=config.judge_options.policy,
        bar=config.bar,
        locust_outputs={name: path.absolute() for name, path in locust_outputs.items()},
    )


def _check_run_time(users: int, spawn_rate: float, run_time_s: int) -> None:
    """Raise UsageError if the run would end before its last user starts."""
    needed_s = math.ceil(users / spawn_rate)
    if needed_s > run_time_s:
        raise UsageError(
            f"{users:,} users at {spawn_rate:g} a second need {needed_s:,} s to start; the run lasts {run_time_s:,} s.",
            f"Make it longer (`load.run_time={2 * needed_s}s`), or use "
            f"`load.spawn_rate={math.ceil(users / run_time_s)}`.",
        )


def _check_users_file(file: Path, users: int) -> None:
    """Raise UsageError if the file has fewer users than the run needs. Each user of a file is simulated once."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    available = len(rows) - (is_users_file_header(rows[0].split(",")) if rows else 0)
    if available < users:
        raise UsageError(
            f"{file.name} has {available:,} users, and this run needs {users:,}.",
            f"Add users to it, or use `load.users={max(available, 1)}`.",
        )


def _checked_profile(setting: SettingValue) -> str:
    """Return the profile's name. Raise UnknownName, with the setting that contains it, if there is no such profile."""
    name = str(setting.value)
    if name not in LOAD_PROFILES:
        problem = f"unknown profile `{name}`."
        problem = problem.capitalize() if setting.given else f"{setting.origin}: {problem}"
        raise UnknownName(problem, name, LOAD_PROFILES, f"Choose from: {', '.join(LOAD_PROFILES)}.")
    return name


def _requires_answer(config: Config, emitted: str | None) -> bool | None:
    """Return whether the contract in wscheck.toml requires an answer to the event that users emit.

    Return None if the contract does not contain that event.
    """
    reply = config.contract.reply_to(emitted) if emitted and config.tables.get("event") is not None else None
    return reply.required if reply is not None else None


def _contract_options(config: Config, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for the event that users emit and for its payload.

    The event is the one that the flags in `given` name, or else the first `emit` of the contract in wscheck.toml. The
    payload is the one that the contract contains for it. An option without a value is left out.
    """
    contract = config.contract
    requests = (
        ()
        if config.tables.get("event") is None
        else (event.emit for event in contract.events if event.emit is not None)
    )
    emitted = given.get("emit_event") or next(iter(requests), None)
    if emitted is None:
        return {}
    reply = contract.reply_to(emitted)
    payload = reply.payload if reply is not None else None
    return {"emit_event": emitted} | ({"emit_payload": json.dumps(payload)} if payload is not None else {})


def _target_options(config: Config, target: ServerTarget) -> dict[str, Any]:
    """Return the settings of the target, keyed by the names of the Locust process's options."""
    return {
        "namespace": config["target.namespace"],
        "socketio_path": config["target.path"],
        "transport": _transport(config),
        "insecure": config["target.insecure"],
        "user_in": target.user_in,
        "token_in": target.token_in,
        "connect": None if target.connect == ConnectOptions() else target.connect.encode(),
        "connect_timeout": config["target.timeout"],
    }


def _emit_options(config: Config) -> dict[str, Any]:
    """Return a dict that contains the option `emit_every` with its default.

    For the profile `soak` return no option, because the Locust process has its own default for it.
    """
    return {"emit_every": EMIT_EVERY_S} if config["load.profile"] != "soak" else {}


def _transport(config: Config) -> str:
    """Return the transport, by default websocket only.

    A load run uses long-polling only if the configuration asks for it, because the upgrade to
    websocket needs three more HTTP requests.
    """
    transports = config.values["target.transports"]
    if transports.origin == "default" or transports.value == ("websocket",):
        return "websocket"
    if transports.value == ("polling", "websocket"):
        return "polling-upgrade"
    raise UsageError(
        f"A load run cannot use {','.join(transports.value)}.",
        "Use `target.transports=websocket`, or polling,websocket to poll and then upgrade.",
    )


def _limits(config: Config) -> dict[str, float]:
    """Return a dict of threshold id to limit, for the thresholds that are set. Durations are in milliseconds."""
    limits = {name: config[f"load.{name.replace('-', '_')}"] for name in THRESHOLD_MEASURES}
    return {name: limit * (1000 if name.endswith("p95") else 1) for name, limit in limits.items() if limit is not None}


def _default(name: str) -> Any:
    return next(option.default for option in LOAD_OPTIONS if option.name == name)


def _check_is_this_machine(target: ServerTarget) -> None:
    host = urlsplit(target.url).hostname or ""
    if not is_this_machine(host):
        raise UsageError(
            f"{target.display_url} is not this machine, and a load run is an attack on a server whose owner did not "
            "agree.",
            "If you may load it, add `load.allow_other_machines`.",
        )


def is_this_machine(host: str) -> bool:
    """Return whether every address of `host` is a loopback address."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(addresses) and all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


class SystemLimits(msgspec.Struct, frozen=True):
    """Limits of this machine.

    files         open files per process: the hard limit, because Locust raises its limit to this value
    ports         free local ports per source address
    ports_in_use  local ports of connections to the same server, including those in TIME_WAIT
    """

    files: int
    ports: int
    ports_in_use: int = 0


def system_limits(plan: LoadPlan) -> SystemLimits:
    """Return the current limits of this machine for a run."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        first, last = (int(part) for part in PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        first, last = DEFAULT_PORT_RANGE
    port = _port(plan.target.url)
    in_use = 0 if plan.embedded else sum(count_connections_to(port, table) for table in CONNECTION_TABLES)
    return SystemLimits(files if files != resource.RLIM_INFINITY else 2**31, max(last - first + 1 - in_use, 1), in_use)


def count_connections_to(port: int, table: Path) -> int:
    """Return the number of connections to a remote port in a /proc/net/tcp table (proc(5))."""
    suffix = f":{port:04X}"
    try:
        with table.open(encoding="ascii") as lines:
            return sum(line.split(maxsplit=3)[2].endswith(suffix) for line in lines)
    except (OSError, IndexError):
        return 0


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)


def check_limits(plan: LoadPlan, limits: SystemLimits) -> None:
    """Check that the run does not exceed the limits.

    Raises:
        CannotCheck: The run exceeds a limit. The message contains the value that the limit must have.
    """
    connections = plan.users * plan.connections_per_user
    _check_files(plan, connections, limits.files)
    sources = len(str(plan.options.get("source_addresses") or "one").split(","))
    if connections > sources * limits.ports:
        needed = -(-connections // limits.ports)
        raise CannotCheck(
            f"{connections:,} connections need {connections:,} local ports, and {limits.ports:,} are free for each "
            f"source address ({limits.ports_in_use:,} are used by connections to this server).",
            f"Connect from {needed} addresses: `load.source_addresses="
            f"{','.join(f'127.0.0.{n}' for n in range(1, needed + 1))}` (on loopback), or widen {PORT_RANGE}.",
        )


def _check_files(plan: LoadPlan, connections: int, files: int) -> None:
    needed = -(-connections // plan.processes) + OTHER_FILES
    if needed > files:
        processes = -(-connections // max(files - OTHER_FILES, 1))
        raise CannotCheck(
            f"{connections:,} connections in {plan.processes} process{'es' if plan.processes > 1 else ''} need "
            f"{needed:,} open files each, and `ulimit -Hn` allows {files:,}.",
            f"Raise the limit (ulimit -n {needed}), or use more processes: `load.processes={processes}`.",
        )
    if plan.embedded and connections + OTHER_FILES > files:
        raise CannotCheck(
            f"The embedded backend needs {connections + OTHER_FILES:,} open files for {connections:,} connections, and "
            f"`ulimit -Hn` allows {files:,}.",
            f"Raise the limit (ulimit -n {connections + OTHER_FILES}), or give the URL of another server.",
        )
