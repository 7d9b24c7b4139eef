"""The confusion matrix: every page that shows a cause, in each build and under each policy of the server: what was
named, and what is true."""

import asyncio

from tests.node_backend import node_backend
from tests.pages import served
from tests.run.browser.matrix import Told, table, tell

RUNS = {"replace": 5, "reject": 1, "allow": 1}
"""How often each page is watched, by what the server does with a user's second connection."""

WATCHED_S = 5.0
"""As long as `wscheck browser` watches unless told otherwise: what is not shown by then counts as wrong."""


def run() -> None:
    """As in docs/browser.md."""
    told: list[Told] = []
    for policy, runs in RUNS.items():
        with node_backend("--fault", "accept-any-token", "--policy", policy) as lenient:
            for build in ("dev", "prod"):
                with served(build, "--policy", policy) as pages:
                    for _ in range(runs):
                        told += asyncio.run(tell(build, pages.url, lenient.url, WATCHED_S, 0.0, policy))
    print(table(told))
    for one in told:
        if not one.right:
            print(f"wrong: {one.case.name} ({one.build}): {one.cause} instead of {one.case.cause or 'nothing'}")
