"""The confusion matrix: every page that shows a cause, five times in each build: what was named, and what is true."""

import asyncio

from tests.browser.matrix import Told, table, tell
from tests.node_backend import node_backend
from tests.pages import served

RUNS = 5

WATCHED_S = 5.0
"""As long as `wscheck browser` watches unless told otherwise: what is not shown by then counts as wrong."""


def run() -> None:
    """As in docs/browser.md."""
    told: list[Told] = []
    with node_backend("--fault", "accept-any-token") as lenient:
        for build in ("dev", "prod"):
            with served(build) as pages:
                for _ in range(RUNS):
                    told += asyncio.run(tell(build, pages.url, lenient.url, WATCHED_S, patience=0.0))
    print(table(told))
    for one in told:
        if not one.right:
            print(f"wrong: {one.case.name} ({one.build}): {one.cause} instead of {one.case.cause or 'nothing'}")
