"""Tests of the browser under observation, without a browser."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.model.events import Connecting
from wscheck.observe.browser.browser import Browser
from wscheck.observe.traffic.session import Initiator, TrafficSession

PAGE = Initiator("T1", "tab 1", "page http://127.0.0.1:8000/")
URL = "http://127.0.0.1:8000/socket.io/?EIO=4&transport=polling"


async def test_a_session_that_opens_during_the_observation_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser("ws://127.0.0.1:9", None, "", is_own=False)

    async def drain() -> None: ...

    async def read_components(sessions: Sequence[TrafficSession]) -> dict[str, Any]:
        assert len(sessions) == 1
        browser.traffic.on_request("second", URL, 2.0, initiator=PAGE)
        return {}

    browser.traffic.on_request("first", URL, 1.0, initiator=PAGE)
    monkeypatch.setattr(browser, "_network", SimpleNamespace(drain=drain), raising=False)
    monkeypatch.setattr(browser, "_read_components", read_components)
    events = (await browser.observation(final=False)).events
    assert [event.at for event in events if isinstance(event, Connecting)] == [1.0, 2.0]
