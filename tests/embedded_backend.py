"""The embedded backend as its own process: what `wscheck serve` runs, with the options of the Node backend."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.node_backend import Backend, listening


@contextmanager
def embedded_backend(*options: str) -> Iterator[Backend]:
    """Starts `wscheck serve` on a free loopback port with `options`, and kills it at the end."""
    with tempfile.TemporaryDirectory(prefix="wscheck-backend-") as folder:
        log, errors = Path(folder, "server.log"), Path(folder, "server.err")
        log.touch()
        errors.touch()
        process = _context().Process(target=_serve, args=(options, str(log), str(errors)), daemon=True)
        process.start()
        assert process.pid is not None
        try:
            yield Backend(listening(lambda: process.exitcode, errors), log, process.pid)
        finally:
            process.kill()
            process.join()


@cache
def _context() -> ForkServerContext:
    """Processes that are forked from one that has imported the backend: without an interpreter's start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["wscheck.__main__", "wscheck.commands.serve", "wscheck.backend.server"])
    return context


def _serve(options: tuple[str, ...], log: str, errors: str) -> None:
    from wscheck.__main__ import main

    for number, path in ((1, log), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.argv = ["wscheck", "serve", "--port", "0", *options]
    main()
