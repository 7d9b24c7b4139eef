"""Tests of the browser under observation, without a browser."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.model.events import Connecting
from wscheck.observe.browser.browser import Browser, shared_key
from wscheck.observe.traffic.session import MAX_SENT, Initiator, TrafficSession

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


def test_a_value_of_the_session_storage_that_two_tabs_send() -> None:
    first, copy = {("slot", "7f3a-11"), ("draft", "dear all")}, {("slot", "7f3a-11"), ("theme", "dark-blue")}
    storages = {"tab 1": first, "tab 2": copy}
    assert shared_key("tab 1", {"7f3a-11", "ann"}, storages) == "slot"
    assert shared_key("tab 1", {"ann"}, storages) is None, "the value is not sent"
    assert shared_key("tab 1", {"dear all"}, storages) is None, "the other tab does not have it"
    assert shared_key("tab 3", {"7f3a-11"}, storages) is None, "the tab has no storage"


def test_the_texts_that_a_client_sends_to_identify_itself() -> None:
    browser = Browser("ws://127.0.0.1:9", None, "", is_own=False)
    browser.traffic.on_request("first", f"{URL}&slot=7f3a-11", 1.0, initiator=PAGE, headers={"x-tab": "t-9"})
    (session,) = browser.traffic.sessions
    session.set_credentials("auth", {"who": {"ids": ["u-17", "u-18"]}})
    assert {"7f3a-11", "u-17", "u-18"} < session.sent
    session.set_credentials("auth", {"many": [f"n{n}" for n in range(999)]})
    assert len(session.sent) == MAX_SENT
