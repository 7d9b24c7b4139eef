"""Confusion matrix of causes, for docs/browser.md: every page, in each build and under each policy of the server."""

import asyncio

from tests.node_backend import node_backend
from tests.pages import served
from tests.run.browser.cause_matrix import CaseResult, batches, run_cases, table

RUNS = {"replace": 5, "reject": 1, "allow": 1}
"""Runs of each page, by what the server does with a user's second connection."""

WATCHED_S = 5.0
"""Default duration of `wscheck browser`; a cause that is not found by then counts as wrong."""


def run() -> None:
    """Run all pages, and print the matrix and each wrong result."""
    results: list[CaseResult] = []
    for policy, runs in RUNS.items():
        with node_backend("--fault", "accept-any-token", "--policy", policy) as lenient:
            for build in ("dev", "prod"):
                with served(build, "--policy", policy) as pages:
                    for _ in range(runs):
                        for cases in batches(build, policy):
                            results += asyncio.run(run_cases(cases, build, pages.url, lenient.url, WATCHED_S, 0.0))
    print(table(results))
    for one in results:
        if not one.right:
            print(f"wrong: {one.case.name} ({one.build}): {one.cause} instead of {one.case.cause or 'nothing'}")
