"""Open files and local ports that this machine allows, checked before the run."""

import resource
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.run.load.plan import LoadPlan

OTHER_FILES = 100
"""Open files of a process beside its connections: libraries, pipes, the stream, Locust's own sockets."""

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
CONNECTION_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
DEFAULT_PORT_RANGE = (32_768, 60_999)
"""Linux's own default (ip(7))."""


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
            f"Connect from {needed} addresses: --source-addresses "
            f"{','.join(f'127.0.0.{n}' for n in range(1, needed + 1))} (on loopback), or widen {PORT_RANGE}.",
        )


def _check_files(plan: LoadPlan, connections: int, files: int) -> None:
    needed = -(-connections // plan.processes) + OTHER_FILES
    if needed > files:
        processes = -(-connections // max(files - OTHER_FILES, 1))
        raise CannotCheck(
            f"{connections:,} connections in {plan.processes} process{'es' if plan.processes > 1 else ''} need "
            f"{needed:,} open files each, and `ulimit -Hn` allows {files:,}.",
            f"Raise the limit (ulimit -n {needed}), or use more processes: --processes {processes}.",
        )
    if plan.embedded and connections + OTHER_FILES > files:
        raise CannotCheck(
            f"The embedded backend needs {connections + OTHER_FILES:,} open files for {connections:,} connections, and "
            f"`ulimit -Hn` allows {files:,}.",
            f"Raise the limit (ulimit -n {connections + OTHER_FILES}), or give the URL of another server.",
        )
