"""Start gate of a locustfile: the run waits until the bench has read the CPU time before it."""

import os
from pathlib import Path
from typing import Any

import gevent
from locust import events


def _wait(**_: Any) -> None:
    go = Path(os.environ["BENCH_GO"])
    go.with_suffix(".ready").touch()
    while not go.exists():
        gevent.sleep(0.02)


_hooks: Any = events
_hooks.test_start.add_listener(_wait)
