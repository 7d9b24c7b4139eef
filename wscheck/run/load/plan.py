"""What a load run is to do, from the configuration and the flags; and whether it may be done to that target."""

import ipaddress
import math
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES, is_users_file_header
from wscheck.config.loading import Config, SettingValue, load_config
from wscheck.config.settings import SETTINGS
from wscheck.config.target import ServerTarget, configured_target
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.findings import Bar
from wscheck.model.load_report import THRESHOLD_MEASURES
from wscheck.model.secrets import SHORTEST_SECRET, Redactor, Secret

EMBEDDED = "embedded backend"

# Without events there is nothing to be duplicated, and no answer to wait for.
EMIT_EVERY_S = 1.0

# What one user's page opens at the same time, for the limits that a run must fit into.
HELD = {"duplicated": 2, "strict-mode": 2}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `target` has no URL until the embedded backend has one; `options` are those of `LOAD_OPTIONS`, by name.

    limits       threshold id to what it allows (docs/load.md, Thresholds)
    max_attempts connection attempts that a user may make within so many seconds
    extras       Locust's own outputs: argument to path
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
    extras: dict[str, Path] = {}

    @property
    def shown(self) -> str:
        """The target as reports name it."""
        return EMBEDDED if self.embedded else self.target.display_url

    @property
    def redactor(self) -> Redactor:
        """Hides the token, and of one with {user} in it the parts that all users' tokens share."""
        parts = self.token.reveal().split("{user}") if self.token is not None else []
        return Redactor(Secret(part) for part in parts if len(part) >= SHORTEST_SECRET)

    @property
    def shares_a_token(self) -> bool:
        """Whether every user presents the same token, which a server that goes by the token takes for one user."""
        one_for_all = self.token is not None and "{user}" not in self.token.reveal()
        return one_for_all and self.users > 1 and "users_file" not in self.options

    @property
    def held(self) -> int:
        """Connections that one user's page opens at the same time."""
        return int(self.options.get("tabs", _default("tabs"))) if self.profile == "tabs" else HELD.get(self.profile, 1)


def configured(
    settings: Mapping[str, Any], options: Mapping[str, Any], extras: Mapping[str, Path], *, permitted: bool
) -> Plan:
    """The run that flags, environment and files ask for. Raises UsageError, also for a target that is not this machine
    unless it is `permitted`.

    settings, options  what the flags said of the configuration and of the profile, None where nothing
    """
    config = load_config(settings)
    target, users = configured_target(config), config["load.users"]
    spawn_rate = config["load.spawn_rate"] or users
    # Locust counts whole seconds.
    run_time_s = max(math.ceil(config["load.run_time"]), 1)
    _in_time(users, spawn_rate, run_time_s)
    if (file := options.get("users_file")) is not None:
        _enough(Path(file), users)
    if target.url and not permitted:
        _refuse_others(target)
    return Plan(
        target=target,
        embedded=not target.url,
        profile=_profile(config.values["load.profile"]),
        users=users,
        spawn_rate=spawn_rate,
        run_time_s=run_time_s,
        processes=config["load.processes"],
        options={**_of_target(config), **_emitting(config), **{k: v for k, v in options.items() if v is not None}},
        token=config["identity.token"],
        limits=_limits(config),
        max_attempts=config["rules.max_attempts"],
        bar=config.bar,
        extras={name: path.absolute() for name, path in extras.items()},
    )


def _in_time(users: int, spawn_rate: float, run_time_s: int) -> None:
    """Raises UsageError when the run would be over before its last user began."""
    needed = math.ceil(users / spawn_rate)
    if needed > run_time_s:
        raise UsageError(
            f"{users:,} users at {spawn_rate:g} a second need {needed:,} s to begin; the run lasts {run_time_s:,} s.",
            f"Give it longer (--run-time {2 * needed}s), or --spawn-rate {math.ceil(users / run_time_s)}.",
        )


def _enough(file: Path, users: int) -> None:
    """Raises UsageError when the file has fewer users than the run needs: they are not shared."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    told = [line for line in lines if line.strip() and not line.startswith("#")]
    there = len(told) - (is_users_file_header(told[0].split(",")) if told else 0)
    if there < users:
        raise UsageError(
            f"{file.name} has {there:,} users, and {users:,} are to be simulated.",
            f"Add users to it, or say --users {max(there, 1)}.",
        )


def _profile(said: SettingValue) -> str:
    """What was said, when there is such a profile. Raises UsageError with the place and the likeliest ones."""
    name = str(said.value)
    if name not in LOAD_PROFILES:
        problem = f"unknown profile `{name}`."
        problem = problem.capitalize() if said.origin == SETTINGS["load.profile"].flag else f"{said.origin}: {problem}"
        raise UnknownName(problem, name, LOAD_PROFILES, f"Choose from: {', '.join(LOAD_PROFILES)}.")
    return name


def _of_target(config: Config) -> dict[str, Any]:
    """The target's settings by the names that the Locust process knows them by."""
    return {
        "namespace": config["target.namespace"],
        "socketio_path": config["target.path"],
        "transport": _transport(config),
        "insecure": config["target.insecure"],
        "user_in": config["identity.user_in"],
        "token_in": config["identity.token_in"],
        "connect_timeout": config["target.timeout"],
    }


def _emitting(config: Config) -> dict[str, Any]:
    """Soaking users have a pace of their own: seldom."""
    return {"emit_every": EMIT_EVERY_S} if config["load.profile"] != "soak" else {}


def _transport(config: Config) -> str:
    """A swarm polls only when it is told to: the upgrade costs three requests more."""
    transports = config.values["target.transports"]
    if transports.origin == "default" or transports.value == ("websocket",):
        return "websocket"
    if transports.value == ("polling", "websocket"):
        return "polling-upgrade"
    raise UsageError(
        f"A load run cannot use {','.join(transports.value)}.",
        "Say --transports websocket, or polling,websocket to poll and then upgrade.",
    )


def _limits(config: Config) -> dict[str, float]:
    wanted = {name: config[f"load.{name.replace('-', '_')}"] for name in THRESHOLD_MEASURES}
    return {name: limit * (1000 if name.endswith("p95") else 1) for name, limit in wanted.items() if limit is not None}


def _default(name: str) -> Any:
    return next(option.default for option in LOAD_OPTIONS if option.name == name)


def _refuse_others(target: ServerTarget) -> None:
    host = urlsplit(target.url).hostname or ""
    if not is_this_machine(host):
        raise UsageError(
            f"{target.display_url} is not this machine, and a load run is an attack on a server whose owner did not "
            "agree.",
            "When it is yours to load, say so: --i-may-load-this-target.",
        )


def is_this_machine(host: str) -> bool:
    """Whether every address of `host` is a loopback address."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(addresses) and all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
