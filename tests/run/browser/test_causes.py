"""The cause that a finding names is the true one, for every page with a known cause; a benign page has no finding.

`python -m bench causes` runs each page five times, in both builds, and prints the matrix of docs/browser.md.
"""

import pytest

from tests.node_backend import node_backend
from tests.pages import served
from tests.run.browser.cases import CauseCase
from tests.run.browser.cause_matrix import batches, run_cases, table


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cases", batches("dev"), ids=lambda cases: f"{cases[0].name} to {cases[-1].name}")
async def test_every_finding_names_the_true_cause(cases: list[CauseCase]) -> None:
    with served("dev") as pages, node_backend("--fault", "accept-any-token") as lenient:
        results = await run_cases(cases, "dev", pages.url, lenient.url)
    print(f"\n{table(results)}")
    assert not [f"{result.case.name}: {result.cause}" for result in results if not result.right]
