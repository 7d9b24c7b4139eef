"""Reasons why a page may have made no connection."""

from typing import Any

import pytest

from wscheck.observe.browser.page import PageObstacles
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import TrafficRedactor, UrlFormatter

SCRIPT = "https://cdn.example/lib/client.js"


@pytest.fixture
def obstacles() -> PageObstacles:
    urls = UrlFormatter(TrafficRedactor())
    return PageObstacles(urls, PageScripts(urls))


def network(obstacles: PageObstacles, method: str, **params: Any) -> None:
    obstacles.on_network_event("S", "tab 1", f"Network.{method}", {"requestId": "1", **params})


async def test_an_exception_is_named_with_its_place(obstacles: PageObstacles) -> None:
    frame = {"scriptId": "7", "url": "http://h/app.js", "lineNumber": 4, "columnNumber": 9, "functionName": "start"}
    details = {
        "exception": {"description": "TypeError: x is null\n    at start"},
        "stackTrace": {"callFrames": [frame]},
    }
    obstacles.on_exception("S", "tab 1", details)
    (reason,) = obstacles.reasons()
    assert reason.startswith("a script of tab 1 threw TypeError: x is null at http://h/app.js:5:10")


def test_a_thrown_value_and_a_missing_place_are_named_too(obstacles: PageObstacles) -> None:
    obstacles.on_exception("S", "tab 2", {"text": "Uncaught", "exception": {"type": "string", "value": "no bay"}})
    assert obstacles.reasons() == ["a script of tab 2 threw no bay: fix the error, and run again"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (("responseReceived", {"type": "Script", "response": {"url": SCRIPT, "status": 404}}), "HTTP 404"),
        (("loadingFailed", {"type": "Script", "blockedReason": "csp"}), "csp"),
        (("loadingFailed", {"type": "Script", "errorText": "net::ERR_BLOCKED_BY_CLIENT"}), "ERR_BLOCKED_BY_CLIENT"),
        (("loadingFailed", {"type": "Script", "errorText": "net::ERR_ABORTED", "canceled": True}), ""),
    ],
)
def test_a_script_that_did_not_load_is_named(
    obstacles: PageObstacles, event: tuple[str, dict[str, Any]], reason: str
) -> None:
    network(obstacles, "requestWillBeSent", type="Script", request={"url": SCRIPT})
    network(obstacles, event[0], **event[1])
    reasons = obstacles.reasons()
    assert [SCRIPT in each and reason in each for each in reasons] == ([True] if reason else [])
