"""The Network events of every page and worker, put in order and handed to Traffic.

A polling body must be fetched after its response is complete, so events wait in line behind it: what a session said
is only understood in the order in which it was said.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any

from wscheck.observe.browser.devtools import BrowserGone, CommandFailed, DevToolsConnection
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.traffic import Initiator, TrafficDemux
from wscheck.observe.traffic.addresses import engine

Step = Callable[[], None]

CORS = "no answer that a page of this origin may read: check the server's CORS settings, and the client's path"

GIVEN_UP = "WebSocket is closed before the connection is established"
"""What Chromium says where the page itself closed it."""

WEBTRANSPORT = (
    "connected over WebTransport, of which a browser does not show what is said: let it use websocket or polling"
)

END_S = 0.1
"""How long what a busy browser told already may still be on its way."""


class NetworkFeed:
    """Feed it the events of sessions with `take`; `settle` waits until everything before is read.

    on_stack  is told of every stack that opened something, so that its source maps can be fetched meanwhile
    """

    def __init__(
        self, wire: DevToolsConnection, traffic: TrafficDemux, on_stack: Callable[[DevToolsStack], None]
    ) -> None:
        self._wire, self._traffic, self._on_stack = wire, traffic, on_stack
        self._line: asyncio.Queue[tuple[Step, asyncio.Future[Any] | None]] = asyncio.Queue()
        self._worker = asyncio.create_task(self._work())
        self._offset: float | None = None
        self._polls: dict[str, int] = {}
        self._errors: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._untimed: list[tuple[str | None, asyncio.Future[float]]] = []

    @property
    def unseen(self) -> list[str]:
        """What the browser showed nothing of, in sentences."""
        return [f"{page} {WEBTRANSPORT}" for page in sorted(self._hidden)]

    async def settle(self) -> None:
        """Wait until all that came so far is read."""
        joined = asyncio.ensure_future(self._line.join())
        await asyncio.wait([joined, self._worker], return_when=asyncio.FIRST_COMPLETED)
        if not joined.done():
            joined.cancel()
            self._worker.result()  # it never ends by itself: this raises what ended it

    def close(self) -> None:
        self._worker.cancel()

    async def _work(self) -> None:
        while True:
            step, awaited = await self._line.get()
            try:
                if awaited is not None:
                    await asyncio.wait([awaited], timeout=5)
                step()
            finally:
                self._line.task_done()

    def _then(self, step: Step, awaited: "asyncio.Future[Any] | None" = None) -> None:
        self._line.put_nowait((step, awaited))

    def _clock(self, params: dict[str, Any]) -> float | None:
        """Seconds since the epoch, None for an event that has no time: CDP's own clock is monotonic, and some events
        say what the other one shows."""
        if "wallTime" in params and "timestamp" in params:
            self._offset = params["wallTime"] - params["timestamp"]
        if "timestamp" not in params or self._offset is None:
            return None
        return float(params["timestamp"]) + self._offset

    def _at(self, params: dict[str, Any]) -> float:
        at = self._clock(params)
        return time.time() if at is None else at

    def take(self, method: str, params: dict[str, Any], session: str, origin: Initiator) -> None:
        """One event of the Network domain."""
        if (handler := _HANDLERS.get(method)) is None:
            return
        if (at := self._clock(params)) is not None:
            for of, event in self._untimed:
                if of in (None, session):
                    _settled(event, at)
            self._untimed = [each for each in self._untimed if not each[1].done()]
        handler(self, params, session, f"{session}:{params.get('requestId') or params['transportId']}", origin)

    def gone(self, id: str) -> None:
        """A page or worker ended: before whatever comes next, else a page that loads anew would seem to be there
        twice."""
        self._before(None, lambda at: self._traffic.gone(id, at))

    def _before(self, session: str | None, step: Callable[[float], None]) -> None:
        """`step` with the time of an event of which the browser does not say when it was, and we may hear late: it was
        at the latest when the next thing happened (in `session`) whose time it tells."""
        loop, heard = asyncio.get_running_loop(), time.time()
        following = loop.create_future()
        self._untimed.append((session, following))
        loop.call_later(END_S, _settled, following, heard)
        self._then(lambda: step(min(heard, following.result() if following.done() else heard)), following)

    # --- long polling -------------------------------------------------------------------------------------------

    def _requested(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        request = params["request"]
        at = self._at(params)
        if "EIO=" not in request["url"] or request["method"] not in ("GET", "POST"):
            return
        stack = self._stack(params, session)
        held = Initiator(origin.id, origin.page, origin.target, stack)
        body, awaited = request.get("postData"), None
        if body is None and request.get("hasPostData"):
            asked = {"requestId": params["requestId"]}
            awaited = self._wire.send("Network.getRequestPostData", asked, session)
        self._polls[key] = 200

        def step() -> None:
            said = body if awaited is None else _result(awaited).get("postData")
            self._traffic.requested(key, request["url"], at, origin=held, headers=request["headers"], body=said)

        self._then(step, awaited)

    def _request_headers(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        """The headers as they really went, cookies included; they may come before the request itself."""
        self._then(lambda: self._traffic.headers(key, params.get("headers", {})))

    def _response(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        if key in self._polls:
            self._polls[key] = params["response"]["status"]

    def _finished(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        status = self._polls.pop(key, None)
        if status is None:
            return
        at = self._at(params)
        body = self._wire.send("Network.getResponseBody", {"requestId": params["requestId"]}, session)
        self._then(lambda: self._traffic.answered(key, at, status=status, body=_body(_result(body))), body)

    def _failed(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        if self._polls.pop(key, None) is None:
            return
        at, cancelled = self._at(params), bool(params.get("canceled"))
        why = CORS if "corsErrorStatus" in params else str(params.get("errorText", ""))
        self._then(lambda: self._traffic.failed(key, at, cancelled=cancelled, why=why))

    # --- websockets ---------------------------------------------------------------------------------------------

    def _created(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        """It has no time of its own. Heard late, it would seem to have been asked for after others were answered."""
        held = Initiator(origin.id, origin.page, origin.target, self._stack(params, session))
        self._before(session, lambda at: _drop(self._traffic.socket_opened(key, params["url"], at, origin=held)))

    def _transported(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        if engine(params["url"]) is not None:
            self._hidden.add(origin.page)

    def _handshake(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        self._at(params)
        headers = params["request"].get("headers", {})
        self._then(lambda: self._traffic.headers(key, headers))

    def _shaken(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        status, at = params["response"]["status"], self._at(params)
        if status >= 400:
            self._then(lambda: self._traffic.socket_refused(key, at, status=status))

    def _frame(self, params: dict[str, Any], key: str, *, outgoing: bool) -> None:
        at, frame = self._at(params), params["response"]
        if frame["opcode"] not in (1, 2):
            return
        data: str | bytes = frame["payloadData"]
        if frame["opcode"] == 2:
            data = base64.b64decode(data)
        self._then(lambda: self._traffic.frame(key, at, data, outgoing=outgoing))

    def _sent(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        self._frame(params, key, outgoing=True)

    def _received(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        self._frame(params, key, outgoing=False)

    def _closed(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        at, error = self._at(params), self._errors.pop(key, "")
        self._then(lambda: self._traffic.socket_closed(key, at, error=error))

    def _broke(self, params: dict[str, Any], session: str, key: str, origin: Initiator) -> None:
        """Why a websocket will be closed: nobody listens, or its handshake was answered with an HTTP error."""
        message = str(params.get("errorMessage", ""))
        if not message.startswith(GIVEN_UP):
            self._errors[key] = message

    def _stack(self, params: dict[str, Any], session: str) -> DevToolsStack | None:
        stack = params.get("initiator", {}).get("stack")
        if stack is None:
            return None
        raw = DevToolsStack(session, stack)
        self._on_stack(raw)
        return raw


_HANDLERS: dict[str, Callable[[NetworkFeed, dict[str, Any], str, str, Initiator], None]] = {
    "Network.requestWillBeSent": NetworkFeed._requested,
    "Network.requestWillBeSentExtraInfo": NetworkFeed._request_headers,
    "Network.responseReceived": NetworkFeed._response,
    "Network.loadingFinished": NetworkFeed._finished,
    "Network.loadingFailed": NetworkFeed._failed,
    "Network.webSocketCreated": NetworkFeed._created,
    "Network.webTransportCreated": NetworkFeed._transported,
    "Network.webSocketWillSendHandshakeRequest": NetworkFeed._handshake,
    "Network.webSocketHandshakeResponseReceived": NetworkFeed._shaken,
    "Network.webSocketFrameSent": NetworkFeed._sent,
    "Network.webSocketFrameReceived": NetworkFeed._received,
    "Network.webSocketFrameError": NetworkFeed._broke,
    "Network.webSocketClosed": NetworkFeed._closed,
}


def _settled(end: "asyncio.Future[float]", at: float) -> None:
    if not end.done():
        end.set_result(at)


def _result(answer: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
    """What the browser answered; nothing where it no longer could."""
    if not answer.done() or answer.cancelled():
        return {}
    error = answer.exception()
    if error is None:
        return answer.result()
    if isinstance(error, CommandFailed | BrowserGone):
        return {}
    raise error


def _body(answer: dict[str, Any]) -> str | None:
    body = answer.get("body")
    if body is None or not answer.get("base64Encoded"):
        return body
    return base64.b64decode(body).decode("utf-8", "replace")


def _drop(_: object) -> None:
    """A step returns nothing."""
