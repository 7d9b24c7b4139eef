"""Handlers that were read become events of the connection of their socket."""

from typing import Any, cast

from wscheck.observe.browser.handlers import SocketHandlers


def socket(sid: str | None, *events: str) -> dict[str, Any]:
    """What a read finds: a socket whose handlers of these events changed. None is left, so no position is looked up."""
    return {"index": 0, "sid": sid, "nsp": "/", "changed": {name: {"count": 0, "lost": 0} for name in events}}


async def test_handlers_that_were_read_before_the_socket_connected_belong_to_its_connection() -> None:
    handlers = SocketHandlers(cast("Any", None), "session", None, cast("Any", None))
    await handlers._record_socket(socket(None, "order"), at=1.0)
    assert [event.sid for event in handlers.events()] == [None]
    await handlers._record_socket(socket("s1"), at=2.0)
    await handlers._record_socket(socket("s2", "chat"), at=3.0)
    assert [(event.name, event.sid) for event in handlers.events()] == [("order", "s1"), ("chat", "s2")]
