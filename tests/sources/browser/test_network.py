"""What the browser tells of its traffic, put in order: what it gives no time for must not seem to come later."""

import time
from typing import Any

from wscheck.events import Connected, Disconnected
from wscheck.sources.browser.network import Network
from wscheck.sources.browser.wire import Wire
from wscheck.sources.traffic import Origin, Traffic

URL = "ws://h/socket.io/?EIO=4&transport=websocket"
PAGE = Origin("target", "tab 1", "page http://h/")


class Told:
    """A browser's events of one page. Its clock began long ago, and `at` are seconds since the epoch."""

    def __init__(self, began: float) -> None:
        self.traffic = Traffic(source="browser")
        self.network = Network(Wire("ws://unused", lambda *_: None), self.traffic, lambda _: None)
        self.event("WillSendHandshakeRequest", "foreign", began, wallTime=began, request={})

    def event(self, what: str, key: str, at: float, **more: Any) -> None:
        params = {"requestId": key, "timestamp": at - 1000.0, **more}
        self.network.take(f"Network.webSocket{what}", params, "session", PAGE)

    def connection(self, key: str, at: float) -> None:
        """A whole connection, acknowledged at `at`."""
        self.event("Created", key, at - 0.02, url=URL)
        frames = (f'0{{"sid":"E{key}","pingInterval":25000,"pingTimeout":20000}}', '40{"userId":"u"}', '40{"sid":"S"}')
        for text in (frames[0], frames[1], frames[2].replace("S", key)):
            sent = "Sent" if "userId" in text else "Received"
            self.event(f"Frame{sent}", key, at, response={"opcode": 1, "payloadData": text})


async def test_a_page_that_left_had_left_before_the_next_one_began_however_late_we_hear_of_it() -> None:
    began = time.time() - 5.0
    told = Told(began)
    told.connection("a", began + 0.1)
    told.network.gone(PAGE.id)
    told.connection("b", began + 0.4)
    await told.network.settle()
    told.network.close()
    heard = [event for event in told.traffic.events() if isinstance(event, Connected | Disconnected)]
    assert [(type(event), event.sid) for event in heard] == [(Connected, "a"), (Disconnected, "a"), (Connected, "b")]


async def test_where_nothing_comes_after_it_a_page_ends_when_we_hear_of_it() -> None:
    began = time.time() - 5.0
    told = Told(began)
    told.connection("a", began + 0.1)
    told.network.gone(PAGE.id)
    await told.network.settle()
    told.network.close()
    ended = told.traffic.events()[-1]
    assert isinstance(ended, Disconnected) and ended.at is not None and ended.at > began + 4.0
