"""What the judge costs: memory for a million users with one open connection each, and events per second."""

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
BEGAN = 1_795_000_000.0


def run() -> None:
    """Print both tables. Memory is measured in a process of its own, so that nothing else is in it."""
    print(f"{'what ' + format(USERS, ',') + ' users cost':<58} {'bytes a user':>12} {'events/s':>10}")
    for what, spread, eio, namespace in (
        ("connected over 17 minutes, socket ids of 20 characters", 0.001, False, None),
        ("the same, and the log names namespaces too", 0.001, False, "/"),
        ("the same, and the log names Engine.IO sessions too", 0.001, True, None),
        ("all within one window of excessive-attempts", 0.000_005, False, None),
    ):
        code = f"from bench.ledger import held; held({spread}, {eio}, {namespace!r})"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        print(f"{what:<58} {float(told[0]):>12.0f} {float(told[1]):>10,.0f}")
    print("(growth of the resident set, with all four documented rules; at most 260 is wanted of the first)\n")
    print(f"{'events through ledger, rules and causes':<58} {'us an event':>12} {'events/s':>10}")
    for what, events in (("quiet: connect, disconnect", quiet()), ("a storm: every connection replaces one", storm())):
        cost = _judged(list(events))
        print(f"{what:<58} {cost * 1e6:>12.2f} {1 / cost:>10,.0f}")


def held(spread: float, eio: bool, namespace: str | None) -> None:
    """Connect everybody, `spread` seconds apart; prints bytes a user and events a second."""
    judge, before, began = Judge(), _resident(), time.process_time()
    for n in range(USERS):
        session = f"{n:020x}" if eio else None
        place = {"source": "server-log", "path": "server.log", "line": 3 * n}
        sid, user = f"{n:020d}", f"user_{n:07d}"
        judge.feed(Connected(at=BEGAN + n * spread, user=user, sid=sid, eio=session, namespace=namespace, **place))
    took = time.process_time() - began
    assert judge.ledger.open_count == USERS
    print((_resident() - before) / USERS, USERS / took)


def quiet() -> Iterator[Event]:
    """A healthy log: users come and go."""
    for n in range(EVENTS // 2):
        seen = {"source": "server-log", "user": f"user_{n % 40_000}", "sid": f"{n:020d}", "path": "a.log", "line": n}
        yield Connected(at=BEGAN + n * 0.003, **seen)
        yield Disconnected(at=BEGAN + n * 0.003 + 0.001, reason="transport close", **seen)


def storm() -> Iterator[Event]:
    """Five hundred users whose two components replace each other every 300 ms."""
    holds: dict[str, str] = {}
    for n in range(EVENTS // 3):
        user, sid = f"user_{n % 500}", f"{n:020d}"
        seen = {"at": BEGAN + n * 0.0006, "source": "server-log", "user": user, "path": "a.log", "line": n}
        yield Connected(sid=sid, **seen)
        if user in holds:
            yield Replaced(old_sid=holds[user], new_sid=sid, **seen)
            yield Disconnected(sid=holds[user], reason="server namespace disconnect", **seen)
        holds[user] = sid


def _judged(events: list[Event]) -> float:
    """Seconds an event, the best of three."""
    best = float("inf")
    for _ in range(3):
        judge, began = Judge(on_finding=_heard), time.perf_counter()
        for event in events:
            judge.feed(event)
        best = min(best, (time.perf_counter() - began) / len(events))
    return best


def _heard(finding: Finding) -> None:
    """Somebody listens, as in a live run."""


def _resident() -> int:
    """Bytes of memory in use now; where the system does not say, the most that ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()
