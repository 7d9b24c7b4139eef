"""A page that does not load is reported with a next step."""

import asyncio
from typing import Any

import pytest

from wscheck.model.errors import CannotCheck
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.browser.page import BrowserTab


class FailingBrowser(DevToolsConnection):
    """A browser in which every address fails with `error`."""

    def __init__(self, error: str) -> None:
        super().__init__("ws://unused", lambda *_: None)
        self.error = error

    def send(self, method: str, params: Any = None, session: Any = None) -> "asyncio.Future[dict[str, Any]]":
        answer = asyncio.get_running_loop().create_future()
        answer.set_result({"errorText": self.error})
        return answer


@pytest.mark.parametrize(
    ("error", "step"),
    [
        ("net::ERR_CONNECTION_REFUSED", "Check the URL in a browser."),
        ("net::ERR_CERT_AUTHORITY_INVALID", "Trust the authority of the certificate on this machine"),
    ],
)
async def test_the_next_step_depends_on_the_error(error: str, step: str) -> None:
    page = BrowserTab(FailingBrowser(error), "session", "tab 1", lambda _: None)
    with pytest.raises(CannotCheck, match=error) as raised:
        await page.goto("https://127.0.0.1:1/")
    assert raised.value.next_step.startswith(step)
