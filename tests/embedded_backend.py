"""The embedded backend as its own process: what `wscheck serve` runs, with the options of the Node backend."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.node_backend import Backend, started


@contextmanager
def embedded_backend(*options: str) -> Iterator[Backend]:
    """Starts `wscheck serve` on a free loopback port with `options`, and kills it at the end."""
    with started(sys.executable, "-m", "wscheck", "serve", "--port", "0", *options) as backend:
        yield backend
