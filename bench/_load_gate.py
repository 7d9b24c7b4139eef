"""Holds a locustfile's run back until the bench has read the processor time it starts with."""

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
