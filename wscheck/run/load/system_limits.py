"""What this machine allows: open files and local ports, counted before the run rather than found out in its middle."""

import resource
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.run.load.plan import Plan

# Beside its connections a process holds its libraries, pipes, the stream and Locust's own sockets.
SPARE_FILES = 100
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LINUX_PORTS = (32_768, 60_999)


class Allowed(msgspec.Struct, frozen=True):
    """Open files for each process (the hard limit, which Locust takes), and free local ports for a source address."""

    files: int
    ports: int
    taken: int = 0


def allowed(plan: Plan) -> Allowed:
    """What this machine allows now. Ports that lead to the same server, or did a minute ago, are taken."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        first, last = (int(part) for part in PORTS.read_text().split())
    except (OSError, ValueError):
        first, last = LINUX_PORTS
    taken = 0 if plan.embedded else sum(leading_to(table, _port(plan.target.url)) for table in TABLES)
    return Allowed(files if files != resource.RLIM_INFINITY else 2**31, max(last - first + 1 - taken, 1), taken)


def leading_to(table: Path, port: int) -> int:
    """How many connections of a /proc/net/tcp table lead to a remote `port`, those in TIME_WAIT included."""
    wanted = f":{port:04X}"
    try:
        with table.open(encoding="ascii") as lines:
            return sum(line.split(maxsplit=3)[2].endswith(wanted) for line in lines)
    except (OSError, IndexError):
        return 0


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)


def check(plan: Plan, limits: Allowed) -> None:
    """Raises CannotCheck, with the number that is needed, when the run cannot fit."""
    connections = plan.users * plan.held
    _files(plan, connections, limits.files)
    sources = len(str(plan.options.get("source_addresses") or "one").split(","))
    if connections > sources * limits.ports:
        needed = -(-connections // limits.ports)
        raise CannotCheck(
            f"{connections:,} connections need {connections:,} local ports, and {limits.ports:,} are free for each "
            f"source address ({limits.taken:,} lead to this server already).",
            f"Connect from {needed} addresses: --source-addresses "
            f"{','.join(f'127.0.0.{n}' for n in range(1, needed + 1))} (on loopback), or widen {PORTS}.",
        )


def _files(plan: Plan, connections: int, files: int) -> None:
    needed = -(-connections // plan.processes) + SPARE_FILES
    if needed > files:
        processes = -(-connections // max(files - SPARE_FILES, 1))
        raise CannotCheck(
            f"{connections:,} connections in {plan.processes} process{'es' if plan.processes > 1 else ''} need "
            f"{needed:,} open files each, and `ulimit -Hn` allows {files:,}.",
            f"Raise the limit (ulimit -n {needed}), or share the work: --processes {processes}.",
        )
    if plan.embedded and connections + SPARE_FILES > files:
        raise CannotCheck(
            f"The embedded backend would hold {connections:,} connections and may open {files:,} files.",
            f"Raise the limit (ulimit -n {connections + SPARE_FILES}), or give the URL of another server.",
        )
