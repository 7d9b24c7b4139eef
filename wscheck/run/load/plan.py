"""Plan of a load run, from the configuration and the flags, and its check against the limits of this machine."""

import ipaddress
import math
import resource
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES, is_users_file_header
from wscheck.config.loading import Config, SettingValue, load_config
from wscheck.config.target import ServerTarget, configured_target
from wscheck.model.errors import CannotCheck, UnknownName, UsageError
from wscheck.model.findings import Bar
from wscheck.model.load_report import THRESHOLD_MEASURES
from wscheck.model.secrets import SHORTEST_SECRET, Redactor, Secret

EMBEDDED_BACKEND = "embedded backend"
"""Name of the target in reports if no URL is given."""

EMIT_EVERY_S = 1.0
"""Seconds between a user's events by default. Without events there are no duplicates and no acknowledgements."""

CONNECTIONS_PER_USER = {"duplicated": 2, "strict-mode": 2}
"""Connections that one user's page opens at once, by profile; 1 for the others, --tabs for `tabs`."""

OTHER_FILES = 100
"""Open files of a process beside its connections: libraries, pipes, the stream, Locust's own sockets."""

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
CONNECTION_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
DEFAULT_PORT_RANGE = (32_768, 60_999)
"""Linux's own default (ip(7))."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Plan of one run.

    target          without a URL until the embedded backend has one
    options         values of `LOAD_OPTIONS`, by name
    limits          highest permitted value of each threshold (docs/load.md, Thresholds)
    max_attempts    connection attempts that a user may make, and the seconds in which
    locust_outputs  path of each of Locust's own outputs, by the name of its argument
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
    bar: Bar = Bar()
    locust_outputs: dict[str, Path] = {}

    @property
    def target_name(self) -> str:
        """Name of the target in reports."""
        return EMBEDDED_BACKEND if self.embedded else self.target.display_url

    @property
    def redactor(self) -> Redactor:
        """Redactor of the token. Of a token with {user} it redacts the parts that all users' tokens share."""
        parts = self.token.reveal().split("{user}") if self.token is not None else []
        return Redactor(Secret(part) for part in parts if len(part) >= SHORTEST_SECRET)

    @property
    def has_shared_token(self) -> bool:
        """Every user presents the same token. A server that identifies users by token sees one user."""
        is_same_for_all = self.token is not None and "{user}" not in self.token.reveal()
        return is_same_for_all and self.users > 1 and "users_file" not in self.options

    @property
    def connections_per_user(self) -> int:
        """Connections that one user's page opens at once."""
        if self.profile == "tabs":
            return int(self.options.get("tabs", _default("tabs")))
        return CONNECTIONS_PER_USER.get(self.profile, 1)

    def with_profile(self, profile: str) -> "LoadPlan":
        """Return the same plan with another profile.

        The names of Locust's outputs contain the profile, so that a second run does not overwrite those of the first.
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
    """Return the plan that flags, environment and files describe.

    Args:
        settings: Flags for settings of the configuration, None where a flag is not given.
        options: Flags for options of the profile, None where a flag is not given.
        locust_outputs: Path of each of Locust's own outputs.
        allow_other_machines: The user may load a target that is not this machine.

    Raises:
        UsageError: A setting is not valid, or the target is another machine without permission.
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
    return LoadPlan(
        target=target,
        embedded=not target.url,
        profile=_checked_profile(config.values["load.profile"]),
        users=users,
        spawn_rate=spawn_rate,
        run_time_s=run_time_s,
        processes=config["load.processes"],
        options={**_target_options(config), **_emit_options(config), **given_options},
        token=config["identity.token"],
        limits=_limits(config),
        max_attempts=config["rules.max_attempts"],
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
    """Return the profile's name. Raise UnknownName, with the origin of the value, if there is no such profile."""
    name = str(setting.value)
    if name not in LOAD_PROFILES:
        problem = f"unknown profile `{name}`."
        problem = problem.capitalize() if setting.given else f"{setting.origin}: {problem}"
        raise UnknownName(problem, name, LOAD_PROFILES, f"Choose from: {', '.join(LOAD_PROFILES)}.")
    return name


def _target_options(config: Config) -> dict[str, Any]:
    """Return the target's settings, by the names of the Locust process's options."""
    return {
        "namespace": config["target.namespace"],
        "socketio_path": config["target.path"],
        "transport": _transport(config),
        "insecure": config["target.insecure"],
        "user_in": config["identity.user_in"],
        "token_in": config["identity.token_in"],
        "connect_timeout": config["target.timeout"],
    }


def _emit_options(config: Config) -> dict[str, Any]:
    """Return the default of --emit-every. The profile `soak` has its own."""
    return {"emit_every": EMIT_EVERY_S} if config["load.profile"] != "soak" else {}


def _transport(config: Config) -> str:
    """Return the transport. A load run polls only on request, because the upgrade needs three more HTTP requests."""
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
    """Return the given thresholds. Durations are in milliseconds."""
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

    files         open files of each process: the hard limit, to which Locust raises its own
    ports         free local ports for each source address
    ports_in_use  local ports of connections to the same server, among them those in TIME_WAIT
    """

    files: int
    ports: int
    ports_in_use: int = 0


def system_limits(plan: LoadPlan) -> SystemLimits:
    """Return the present limits for a run."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        first, last = (int(part) for part in PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        first, last = DEFAULT_PORT_RANGE
    port = _port(plan.target.url)
    in_use = 0 if plan.embedded else sum(count_connections_to(port, table) for table in CONNECTION_TABLES)
    return SystemLimits(files if files != resource.RLIM_INFINITY else 2**31, max(last - first + 1 - in_use, 1), in_use)


def count_connections_to(port: int, table: Path) -> int:
    """Return the number of connections in a /proc/net/tcp table that lead to a remote port (proc(5))."""
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
    """Check that the run is within the limits.

    Raises:
        CannotCheck: It is not. The message contains the number that is needed.
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
