"""Network events of every page and worker, in order, as input for `TrafficDemux`; and waiting until a page rests.

A stream of server-sent events is a request whose answer has the media type text/event-stream: one that EventSource
sends, or a GET request of fetch(). A POST request with such an answer does not count as a connection: it is one
question, whose answer arrives in parts.

A page rests if nothing has happened in it for a while. The body of a polling response is fetched after the response is
complete. Events after the response wait in a queue until the body has arrived, because a session's packets must be
decoded in order.
"""

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.model.errors import CannotCheck
from wscheck.observe.browser.devtools import BrowserEnded, CommandFailed, DevToolsConnection
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.browser.page_calls import PageCalls
from wscheck.observe.browser.targets import DevToolsTargets
from wscheck.observe.traffic.demux import TrafficDemux
from wscheck.observe.traffic.session import Initiator
from wscheck.protocols.event_stream import MEDIA_TYPE, encode_event
from wscheck.protocols.socket_io_session import parse_engine_url

TrafficStep = Callable[[], object]

CORS = "no answer that a page of this origin may read: check the server's CORS settings, and the client's path"

CLOSED_BY_PAGE = "WebSocket is closed before the connection is established"
"""Chromium's error for a websocket that the page itself closed."""

WEBTRANSPORT = "connected over WebTransport, whose content a browser does not show: use websocket or polling"

DELIVERY_DELAY_S = 0.1
"""Seconds within which an event of a busy browser is expected to arrive."""

RESPONSE_BODY_TIMEOUT_S = 5

MAX_FETCHES = 1_000
"""Pending requests of fetch() that are stored, because their answer may be a stream."""

NOT_A_STREAM = "the answer is no stream of server-sent events: its media type is {}"

_REPORTING = ("page ", "iframe ")
"""Targets in which a script reports the calls of the page."""

REST_POLL_S = 0.05
IDLE_TIMEOUT_S = 2.0

MAX_OPENING_S, MAX_REQUEST_S = 5.0, 3.0
"""Longest time for which a connection that is being opened, and a pending request, count as activity (seconds)."""

# The page answers when its main thread has nothing to do. A hidden page answers after the timeout.
_WHEN_IDLE = """new Promise(done => (window.requestIdleCallback || setTimeout)(
  () => setTimeout(() => done([location.href, document.readyState === 'complete'])), {timeout: 500}))"""


class _Fetch(msgspec.Struct, frozen=True):
    """Request of a page whose answer may be a stream. `params` are those of the DevTools event that reported it."""

    url: str
    at: float
    initiator: Initiator
    params: dict[str, Any]
    headers: dict[str, str]


class NetworkFeed:
    """Queue of network events. `feed` adds an event; `drain` waits until all are processed.

    on_stack    called with the stack of every request and websocket, so that source maps can be fetched early
    page_calls  calls that the pages reported; they show the code that opened a connection, and if the page closed it
    """

    def __init__(
        self,
        devtools: DevToolsConnection,
        traffic: TrafficDemux,
        on_stack: Callable[[DevToolsStack], None],
        page_calls: PageCalls,
    ) -> None:
        self._devtools, self._traffic, self._on_stack = devtools, traffic, on_stack
        self._page_calls = page_calls
        self._websocket_urls: dict[str, str] = {}
        self._begun = set[str]()
        self._queue: asyncio.Queue[tuple[TrafficStep, asyncio.Future[Any] | None]] = asyncio.Queue()
        self._worker = asyncio.create_task(self._work())
        self._clock_offset: float | None = None
        self._poll_status: dict[str, int] = {}
        self._websocket_errors: dict[str, str] = {}
        self._streams: set[str] = set()
        self._fetches = BoundedDict[str, _Fetch](MAX_FETCHES)
        self._webtransport_pages: set[str] = set()
        self._untimed: list[tuple[str | None, asyncio.Future[float]]] = []

    @property
    def unobserved(self) -> list[str]:
        """Sentences about connections that cannot be decoded, because the browser does not show their content."""
        return [f"{page} {WEBTRANSPORT}" for page in sorted(self._webtransport_pages)]

    async def drain(self) -> None:
        """Wait until all events that were fed so far are processed. A busy page may feed further ones without end."""
        reached = asyncio.Event()
        self._enqueue(reached.set)
        waiting = asyncio.ensure_future(reached.wait())
        await asyncio.wait([waiting, self._worker], return_when=asyncio.FIRST_COMPLETED)
        if not reached.is_set():
            waiting.cancel()
            # The worker task ends only with an exception: raise the exception here.
            self._worker.result()

    def close(self) -> None:
        """Stop processing."""
        self._worker.cancel()

    async def _work(self) -> None:
        while True:
            step, awaited = await self._queue.get()
            if awaited is not None:
                await asyncio.wait([awaited], timeout=RESPONSE_BODY_TIMEOUT_S)
            step()

    def _enqueue(self, step: TrafficStep, awaited: "asyncio.Future[Any] | None" = None) -> None:
        self._queue.put_nowait((step, awaited))

    def _event_time(self, params: dict[str, Any]) -> float | None:
        """Return the event's time in seconds since the epoch, None if it has none.

        `timestamp` is monotonic. Its offset from the epoch is known from events that also have a `wallTime`.
        """
        if "wallTime" in params and "timestamp" in params:
            self._clock_offset = params["wallTime"] - params["timestamp"]
        if "timestamp" not in params or self._clock_offset is None:
            return None
        return float(params["timestamp"]) + self._clock_offset

    def _time_or_now(self, params: dict[str, Any]) -> float:
        at = self._event_time(params)
        return time.time() if at is None else at

    def feed(self, method: str, params: dict[str, Any], session: str, initiator: Initiator) -> None:
        """Process one event of the Network domain."""
        if (handler := _HANDLERS.get(method)) is None:
            return
        if (at := self._event_time(params)) is not None:
            for untimed_session, next_time in self._untimed:
                if untimed_session in (None, session):
                    _resolve(next_time, at)
            self._untimed = [each for each in self._untimed if not each[1].done()]
        key = f"{session}:{params.get('requestId') or params['transportId']}"
        handler(self, params, session, key, initiator)

    def on_target_closed(self, target_id: str) -> None:
        """Process the end of a page or worker.

        DevTools reports no time for the end. Its time is that of its arrival, or of the next event with a time if this
        is earlier. Otherwise, connections from before a reload could seem to overlap with those after the reload.
        """
        self._enqueue_untimed(None, lambda at: self._traffic.on_target_closed(target_id, at))

    def _enqueue_untimed(self, session: str | None, step: Callable[[float], object]) -> None:
        """Enqueue an event that has no time of its own and may arrive late.

        `step` processes the event and is called with its time: that of its arrival, or of the next event that has a
        time if this is earlier. With `session`, only events of this session count as the next event.
        """
        loop, arrived_at = asyncio.get_running_loop(), time.time()
        next_time = loop.create_future()
        self._untimed.append((session, next_time))
        loop.call_later(DELIVERY_DELAY_S, _resolve, next_time, arrived_at)
        self._enqueue(lambda: step(min(arrived_at, next_time.result() if next_time.done() else arrived_at)), next_time)

    # --- long polling -------------------------------------------------------------------------------------------

    def _on_request(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        request = params["request"]
        at = self._time_or_now(params)
        if request["method"] not in ("GET", "POST") or key in self._streams:
            return
        if self._traffic.reads_request(request["url"]):
            self._request_poll(params, session, key, initiator, at)
        elif request["method"] == "GET" and params.get("type") in ("EventSource", "Fetch", "XHR"):
            fetch = _Fetch(request["url"], at, initiator, params, request["headers"])
            if params["type"] == "EventSource" or _asks_for_stream(request["headers"]):
                self._request_stream(fetch, session, key)
            else:
                self._fetches.put(key, fetch)

    def _request_poll(self, params: dict[str, Any], session: str, key: str, initiator: Initiator, at: float) -> None:
        request = params["request"]
        initiator = self._with_stack(initiator, params, session)
        body, awaited = request.get("postData"), None
        if body is None and request.get("hasPostData"):
            arguments = {"requestId": params["requestId"]}
            awaited = self._devtools.send("Network.getRequestPostData", arguments, session)
        self._poll_status[key] = 200

        def step() -> None:
            sent = body if awaited is None else _result(awaited).get("postData")
            self._traffic.on_request(
                key, request["url"], at, initiator=initiator, headers=request["headers"], body=sent
            )

        self._enqueue(step, awaited)

    def _on_request_headers(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        """Process the headers as sent, with cookies. They may arrive before the event that announces the request."""
        self._enqueue(lambda: self._traffic.on_headers(key, params.get("headers", {})))

    def _on_response(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        response = params["response"]
        if key in self._poll_status:
            self._poll_status[key] = response["status"]
            return
        is_stream = response["status"] == 200 and response.get("mimeType") == MEDIA_TYPE
        fetch = self._fetches.pop(key, None)
        if fetch is not None and is_stream:
            self._request_stream(fetch, session, key)
        if key in self._streams:
            self._answer_stream(params, session, key, is_stream=is_stream)

    def _on_finished(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        at = self._time_or_now(params)
        if key in self._streams:
            self._streams.discard(key)
            self._enqueue(lambda: self._traffic.on_closed(key, at, by_client=False))
        status = self._poll_status.pop(key, None)
        if status is None:
            return
        body = self._devtools.send("Network.getResponseBody", {"requestId": params["requestId"]}, session)
        self._enqueue(lambda: self._traffic.on_response(key, at, status=status, body=_decode_body(_result(body))), body)

    def _on_failed(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        at, cancelled = self._time_or_now(params), bool(params.get("canceled"))
        reason = CORS if "corsErrorStatus" in params else str(params.get("errorText", ""))
        if key in self._streams:
            self._streams.discard(key)
            error = "" if cancelled else reason
            self._enqueue(lambda: self._traffic.on_closed(key, at, error=error, by_client=cancelled))
        if self._poll_status.pop(key, None) is not None:
            self._enqueue(lambda: self._traffic.on_request_failed(key, at, cancelled=cancelled, reason=reason))

    # --- streams of server-sent events --------------------------------------------------------------------------

    def _request_stream(self, fetch: "_Fetch", session: str, key: str) -> None:
        if fetch.params["type"] == "EventSource":
            initiator = self._with(fetch.initiator, self._page_calls.take_opener(session, fetch.url))
        else:
            initiator = self._with_stack(fetch.initiator, fetch.params, session)
        self._streams.add(key)
        self._enqueue(
            lambda: self._traffic.on_stream_requested(
                key, fetch.url, fetch.at, initiator=initiator, headers=fetch.headers
            )
        )

    def _answer_stream(self, params: dict[str, Any], session: str, key: str, *, is_stream: bool) -> None:
        response, at = params["response"], self._time_or_now(params)
        status, media_type = response["status"], response.get("mimeType", "")
        if not is_stream:
            reason = NOT_A_STREAM.format(media_type or "unknown") if status == 200 else ""
            self._enqueue(lambda: self._traffic.on_refused(key, at, status=status, reason=reason))
            return
        headers, http = response.get("headers", {}), response.get("protocol", "")
        self._enqueue(lambda: self._traffic.on_accepted(key, at, headers, http))
        if params.get("type") == "EventSource":
            return
        arguments = {"requestId": params["requestId"]}
        first = self._devtools.send("Network.streamResourceContent", arguments, session)
        self._enqueue(lambda: self._feed_part(key, at, _result(first).get("bufferedData", "")), first)

    def _feed_part(self, key: str, at: float, data: str) -> None:
        if data:
            self._traffic.on_frame(key, at, base64.b64decode(data), outgoing=False)

    def _on_data(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        """Process a part of a stream that fetch() reads."""
        if key in self._streams and (data := params.get("data")):
            at = self._time_or_now(params)
            self._enqueue(lambda: self._feed_part(key, at, data))

    def _on_stream_event(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        """Process an event that EventSource received."""
        if key in self._streams:
            at, text = self._time_or_now(params), encode_event(params["eventName"], params["data"])
            self._enqueue(lambda: self._traffic.on_frame(key, at, text, outgoing=False))

    # --- websockets ---------------------------------------------------------------------------------------------

    def _on_websocket_created(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        """Process a new websocket. The event has no time.

        If it had the time of its arrival, the websocket could seem to be opened after other connections were
        acknowledged.
        """
        initiator, url = self._with_stack(initiator, params, session), params["url"]
        self._websocket_urls[key] = url
        self._enqueue_untimed(session, lambda at: self._traffic.on_websocket_created(key, url, at, initiator=initiator))

    def _on_webtransport_created(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        if parse_engine_url(params["url"]) is not None:
            self._webtransport_pages.add(initiator.page)

    def _on_handshake_request(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        self._event_time(params)
        headers = params["request"].get("headers", {})
        self._enqueue(lambda: self._traffic.on_headers(key, headers))

    def _on_handshake_response(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        response, at = params["response"], self._time_or_now(params)
        status, headers = response["status"], response.get("headers", {})
        if status >= 400:
            self._enqueue(lambda: self._traffic.on_refused(key, at, status=status))
        else:
            self._enqueue(lambda: self._traffic.on_accepted(key, at, headers))

    def _on_frame_sent(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        if (data := _frame_data(params)) is not None:
            url = self._websocket_urls.get(key, "")
            if key not in self._begun:
                self._begun.add(key)
                if waiting := self._page_calls.take_waiting(session, url):
                    self._enqueue(lambda: self._traffic.on_waiting(key, waiting))
            self._enqueue_frame(params, key, data, senders=self._page_calls.take_senders(session, url, data))

    def _on_frame_received(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        if (data := _frame_data(params)) is not None:
            self._enqueue_frame(params, key, data, outgoing=False)

    def _enqueue_frame(
        self,
        params: dict[str, Any],
        key: str,
        data: str | bytes,
        *,
        senders: Sequence[DevToolsStack] = (),
        outgoing: bool = True,
    ) -> None:
        at = self._time_or_now(params)
        self._enqueue(lambda: self._traffic.on_frame(key, at, data, outgoing=outgoing, senders=senders))

    def _on_closed(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        at, error = self._time_or_now(params), self._websocket_errors.pop(key, "")
        is_reported = initiator.target.startswith(_REPORTING)
        self._begun.discard(key)
        by_page = self._page_calls.take_close(session, self._websocket_urls.pop(key, "")) if is_reported else None
        self._enqueue(lambda: self._traffic.on_closed(key, at, error=error, by_client=by_page))

    def _on_frame_error(self, params: dict[str, Any], session: str, key: str, initiator: Initiator) -> None:
        """Store the reason for which a websocket will close: the server is unreachable, or sent an HTTP error."""
        message = str(params.get("errorMessage", ""))
        if not message.startswith(CLOSED_BY_PAGE):
            self._websocket_errors[key] = message

    def _with_stack(self, initiator: Initiator, params: dict[str, Any], session: str) -> Initiator:
        stack = params.get("initiator", {}).get("stack")
        return self._with(initiator, DevToolsStack(session, stack) if stack is not None else None)

    def _with(self, initiator: Initiator, stack: DevToolsStack | None) -> Initiator:
        if stack is not None:
            self._on_stack(stack)
        return msgspec.structs.replace(initiator, raw_stack=stack)


_HANDLERS: dict[str, Callable[[NetworkFeed, dict[str, Any], str, str, Initiator], None]] = {
    "Network.requestWillBeSent": NetworkFeed._on_request,
    "Network.requestWillBeSentExtraInfo": NetworkFeed._on_request_headers,
    "Network.responseReceived": NetworkFeed._on_response,
    "Network.loadingFinished": NetworkFeed._on_finished,
    "Network.loadingFailed": NetworkFeed._on_failed,
    "Network.dataReceived": NetworkFeed._on_data,
    "Network.eventSourceMessageReceived": NetworkFeed._on_stream_event,
    "Network.webSocketCreated": NetworkFeed._on_websocket_created,
    "Network.webTransportCreated": NetworkFeed._on_webtransport_created,
    "Network.webSocketWillSendHandshakeRequest": NetworkFeed._on_handshake_request,
    "Network.webSocketHandshakeResponseReceived": NetworkFeed._on_handshake_response,
    "Network.webSocketFrameSent": NetworkFeed._on_frame_sent,
    "Network.webSocketFrameReceived": NetworkFeed._on_frame_received,
    "Network.webSocketFrameError": NetworkFeed._on_frame_error,
    "Network.webSocketClosed": NetworkFeed._on_closed,
}


def _asks_for_stream(headers: dict[str, str]) -> bool:
    return any(name.lower() == "accept" and MEDIA_TYPE in value for name, value in headers.items())


def _frame_data(params: dict[str, Any]) -> str | bytes | None:
    """Return the content of a WebSocket frame, None for a control frame."""
    frame = params["response"]
    if frame["opcode"] not in (1, 2):
        return None
    content: str = frame["payloadData"]
    return content if frame["opcode"] == 1 else base64.b64decode(content)


def _resolve(future: "asyncio.Future[float]", at: float) -> None:
    if not future.done():
        future.set_result(at)


def _result(response: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
    """Return the result of a command, empty if the browser could not answer."""
    if not response.done() or response.cancelled():
        return {}
    error = response.exception()
    if error is None:
        return response.result()
    if isinstance(error, CommandFailed | BrowserEnded):
        return {}
    raise error


def _decode_body(result: dict[str, Any]) -> str | bytes | None:
    body: str | None = result.get("body")
    return body if body is None or not result.get("base64Encoded") else base64.b64decode(body)


class Rest(msgspec.Struct, frozen=True):
    """Result of waiting for a page to rest.

    is_reached  the page rested before the timeout
    longest_s   the longest pause after which the page became active again (seconds)
    """

    is_reached: bool
    longest_s: float


class PageRest:
    """Observer of everything that happens in a page, to find out when the page rests.

    Feed `on_network_event` with all network events.
    """

    def __init__(self, traffic: TrafficDemux, targets: DevToolsTargets) -> None:
        self._traffic, self._targets = traffic, targets
        self._pending: dict[tuple[str, str], float] = {}

    def on_network_event(self, session: str, method: str, params: dict[str, Any]) -> None:
        """Process the start or the end of a request. Long polls and streams do not count as activity."""
        key = (session, params.get("requestId", ""))
        if method == "Network.requestWillBeSent":
            is_loading = params.get("type") in ("Document", "Script", "Fetch", "XHR")
            if is_loading and parse_engine_url(params["request"]["url"]) is None:
                self._pending[key] = time.monotonic()
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            self._pending.pop(key, None)

    async def wait(self, tab: BrowserTab, quiet_s: float, timeout_s: float) -> Rest:
        """Wait until nothing has happened for `quiet_s` seconds, at most `timeout_s` seconds."""
        changed_at = time.monotonic()
        deadline, longest_s, last = changed_at + timeout_s, 0.0, None
        while True:
            page = await self._when_idle(tab)
            state = (page, self._state())
            now = time.monotonic()
            is_loaded = page is not None and (page[1] or tab.load_timed_out_after is not None)
            if state != last or not is_loaded or self._is_busy(now):
                if last is not None:
                    longest_s = max(longest_s, now - changed_at)
                changed_at, last = now, state
            elif now - changed_at >= quiet_s:
                return Rest(True, longest_s)
            if now > deadline:
                return Rest(False, longest_s)
            await asyncio.sleep(REST_POLL_S)

    async def _when_idle(self, tab: BrowserTab) -> tuple[str, bool] | None:
        """Wait until the page's main thread is idle. Return the URL of the page and whether the page has loaded.

        Return None while the page navigates.
        """
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                return await tab.evaluate(_WHEN_IDLE, tuple[str, bool])
        return None

    def _state(self) -> tuple[object, ...]:
        """Return values that change with any activity of the page.

        These are the numbers of connections, and the documents of all tabs, frames and workers.
        """
        sessions = self._traffic.sessions
        documents = tuple((each.session, each.document) for each in self._targets.by_session.values())
        ended = sum(session.unused_from is not None for session in sessions)
        return len(sessions), sum(len(session.sids) for session in sessions), ended, documents

    def _is_busy(self, now: float) -> bool:
        self._pending = {key: at for key, at in self._pending.items() if now - at < MAX_REQUEST_S}
        opened_after = time.time() - MAX_OPENING_S
        return bool(self._pending) or any(
            session.opening and session.opened_at > opened_after for session in self._traffic.sessions
        )
