"""Costs of the evaluation: memory for a million users with one open connection each, and events per second."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from wscheck.detect.engine import Judge
from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.model.findings import Finding

USERS = 1_000_000
EVENTS = 300_000
START = 1_795_000_000.0


def run() -> None:
    """Print both tables. Memory is measured in a separate process, which contains nothing else."""
    print(f"{'cost of ' + format(USERS, ',') + ' users':<58} {'bytes a user':>12} {'events/s':>10}")
    for case, spread, eio, namespace in (
        ("connected over 17 minutes, socket ids of 20 characters", 0.001, False, None),
        ("the same, and the log names namespaces too", 0.001, False, "/"),
        ("the same, and the log names Engine.IO sessions too", 0.001, True, None),
        ("all within one window of excessive-attempts", 0.000_005, False, None),
    ):
        code = f"from bench.ledger import measure_users; measure_users({spread}, {eio}, {namespace!r})"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        print(f"{case:<58} {float(output[0]):>12.0f} {float(output[1]):>10,.0f}")
    print("(growth of the resident set, with all four documented rules; target for the first row: at most 260 bytes)\n")
    print(f"{'events through ledger, rules and causes':<58} {'us an event':>12} {'events/s':>10}")
    for case, events in (("quiet: connect, disconnect", quiet()), ("a storm: every connection replaces one", storm())):
        cost = _measure_evaluation(list(events))
        print(f"{case:<58} {cost * 1e6:>12.2f} {1 / cost:>10,.0f}")


def measure_users(spread: float, eio: bool, namespace: str | None) -> None:
    """Connect all users, `spread` seconds apart; print bytes per user and events per second."""
    judge, before, started = Judge(), _resident(), time.process_time()
    for n in range(USERS):
        session = f"{n:020x}" if eio else None
        location = {"source": "server-log", "path": "server.log", "line": 3 * n}
        sid, user = f"{n:020d}", f"user_{n:07d}"
        judge.feed(Connected(at=START + n * spread, user=user, sid=sid, eio=session, namespace=namespace, **location))
    duration = time.process_time() - started
    assert judge.ledger.open_count == USERS
    print((_resident() - before) / USERS, USERS / duration)


def quiet() -> Iterator[Event]:
    """Yield a healthy log: users connect and disconnect."""
    for n in range(EVENTS // 2):
        common = {"source": "server-log", "user": f"user_{n % 40_000}", "sid": f"{n:020d}", "path": "a.log", "line": n}
        yield Connected(at=START + n * 0.003, **common)
        yield Disconnected(at=START + n * 0.003 + 0.001, reason="transport close", **common)


def storm() -> Iterator[Event]:
    """Yield the events of five hundred users whose two components replace each other every 300 ms."""
    sids: dict[str, str] = {}
    for n in range(EVENTS // 3):
        user, sid = f"user_{n % 500}", f"{n:020d}"
        common = {"at": START + n * 0.0006, "source": "server-log", "user": user, "path": "a.log", "line": n}
        yield Connected(sid=sid, **common)
        if user in sids:
            yield Replaced(old_sid=sids[user], new_sid=sid, **common)
            yield Disconnected(sid=sids[user], reason="server namespace disconnect", **common)
        sids[user] = sid


def _measure_evaluation(events: list[Event]) -> float:
    """Return the seconds per event, the best of three runs."""
    best = float("inf")
    for _ in range(3):
        judge, started = Judge(on_finding=_ignore), time.perf_counter()
        for event in events:
            judge.feed(event)
        best = min(best, (time.perf_counter() - started) / len(events))
    return best


def _ignore(finding: Finding) -> None:
    """Ignore the finding, like the cheapest listener of a live run."""


def _resident() -> int:
    """Return the resident memory in bytes, or its peak if the system does not report the current value."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()
