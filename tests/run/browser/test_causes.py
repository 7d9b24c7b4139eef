"""Every cause page, once: the cause that is named is the true one, and a benign page has none.

`python -m bench causes` does it five times, in both builds, and prints the matrix of docs/browser.md.
"""

from tests.node_backend import node_backend
from tests.pages import served
from tests.run.browser.matrix import table, tell


async def test_every_page_has_its_cause_named() -> None:
    with served("dev") as pages, node_backend("--fault", "accept-any-token") as lenient:
        told = await tell("dev", pages.url, lenient.url)
    print(f"\n{table(told)}")
    assert not [f"{one.case.name}: {one.cause}" for one in told if not one.right]
