"""Tests of handshakes that HTTP refuses, for example by a proxy or `allowRequest`."""

import pytest

from tests.bad_servers import answering, serving
from tests.observe.client.conftest import ANN
from wscheck.config.target import ServerTarget
from wscheck.model.events import Event, Refused
from wscheck.observe.client.simulated_page import ClientRecorder, UnifiedPage


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [(403, "refused", "HTTP 403"), (429, "refused", "HTTP 429"), (502, "unreachable", None)],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_client_error_statuses_are_refusals_and_server_errors_are_not(
    transport: str, status: int, reason: str, message: str | None, events: list[Event], recorder: ClientRecorder
) -> None:
    async with serving(answering(status, '{"code":4,"message":"Forbidden"}', "application/json")) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, timeout_s=5.0, transports=(transport,)), ANN, recorder)
        await page.mount("Dashboard")
        await page.close()
    (refused,) = [event for event in events if isinstance(event, Refused)]
    assert refused.reason == reason
    assert message is None or refused.message == message
