"""What holds for every test, however the run was started."""

import gc
import os
import signal
from itertools import groupby
from pathlib import Path
from zlib import crc32

import pytest

from tests import cli


def pytest_configure(config: pytest.Config) -> None:
    """Accept the signals that a shell's background (Ctrl-C) and nohup ignore, and so would every process of a test."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        cli.shared_by_workers = Path(config.option.basetemp).parent
    gc.disable()  # until all tests are collected: they stay


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files for several workers, so that tests that wait run beside tests that compute.

    Files with a longer timeout are first: at the end of a run the other workers would wait for them.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        files = [list(tests) for _, tests in groupby(items, key=_file)]
        files.sort(key=lambda tests: (not any(map(_is_long, tests)), crc32(_file(tests[0]).encode())))
        items[:] = [item for tests in files for item in tests]


def pytest_collection_finish() -> None:
    """Have the garbage collector ignore the collected tests, which it would search again and again."""
    gc.freeze()
    gc.enable()


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _is_long(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("timeout")
    return marker is not None and marker.args[0] > float(item.config.getini("timeout"))
