"""Connection to a browser over the Chrome DevTools Protocol: commands with responses, and events.

Source: https://chromedevtools.github.io/devtools-protocol/.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from wscheck.config.settings import redact_url
from wscheck.model.errors import CannotCheck, Unreachable, failure_reason

T = TypeVar("T")

RESPONSE_TIMEOUT_S = 30.0

DevToolsEventHandler = Callable[[str, dict[str, Any], str], None]
"""Callback for a DevTools event, with its method name, its parameters and the DevTools session id."""

_CLOSE_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=1.0)


_CONSOLE_MESSAGE = '{"method":"Runtime.consoleAPICalled"'
"""Start of a console message. A page can write thousands a second, so they are not even decoded."""

CONSOLE_MARK = "__wscheckSend"
"""First argument of the messages that the script of `page_calls` writes. They are decoded."""

_MARK_WITHIN = 300


def _is_of_page(text: str) -> bool:
    """Return whether a raw DevTools message reports what a page, not wscheck, wrote to the console."""
    return text.startswith(_CONSOLE_MESSAGE) and CONSOLE_MARK not in text[:_MARK_WITHIN]


class BrowserEnded(CannotCheck):
    """Error: the browser ended, crashed or was killed during the run."""

    def __init__(self) -> None:
        super().__init__(
            "The browser ended before the end of the check.", "Run again; if it crashes, try `browser.browser=PATH`."
        )


class CommandFailed(Exception):
    """Error: the browser refused a command, because the page or worker is gone or does not support the command."""


class MalformedValue(CommandFailed):
    """Error: JavaScript of wscheck returned an unexpected value, because the page replaced built-in functions."""


def page_value(result: dict[str, Any], form: type[T]) -> T:
    """Return the value that code in a page returned, converted to the type `form`.

    result  the value as DevTools reports it (`Runtime.RemoteObject`)

    Raises:
        MalformedValue: The value does not have this type.
    """
    try:
        return msgspec.convert(result.get("value"), form)
    except msgspec.ValidationError:
        raise MalformedValue from None


class DevToolsConnection:
    """Websocket to a browser; an async context manager.

    on_event  function that is called with every event, in order
    ended     `asyncio.Event` that is set when the browser has ended
    """

    def __init__(self, url: str, on_event: DevToolsEventHandler) -> None:
        self.url, self._on_event = url, on_event
        self._command_ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pending_by_session: dict[str, set[int]] = {}
        self._crashed_sessions: set[str] = set()
        self.ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(self.url, max_msg_size=0, compress=0, timeout=_CLOSE_TIMEOUT)
        except (aiohttp.ClientError, OSError) as error:
            await self._http.close()
            url, reason = redact_url(self.url.partition("/devtools")[0]), failure_reason(error)
            problem = f"The browser does not answer at {url}: {reason}."
            raise Unreachable(
                problem, "Start the browser with --remote-debugging-port=9222, and give that port with `browser.cdp`."
            ) from error
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()
        await self._http.close()

    async def call(self, method: str, params: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """Send a command and return its result.

        Raises:
            CommandFailed: The browser refused the command or did not respond in time.
            BrowserEnded: The browser ended.
        """
        response = self.send(method, params, session)
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                return await response
        except TimeoutError:
            raise CommandFailed(f"{method}: no answer within {RESPONSE_TIMEOUT_S:.0f} s") from None

    def send(
        self, method: str, params: dict[str, Any] | None = None, session: str = ""
    ) -> asyncio.Future[dict[str, Any]]:
        """Send a command without waiting. Return a future of its result, which the caller may ignore.

        Commands are sent in the order of the calls.
        """
        command_id = next(self._command_ids)
        response: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        response.add_done_callback(_ignore_exception)
        if self.ended.is_set() or session in self._crashed_sessions:
            response.set_exception(BrowserEnded() if self.ended.is_set() else CommandFailed("its page crashed"))
            return response
        self._pending[command_id] = response
        self._pending_by_session.setdefault(session, set()).add(command_id)
        response.add_done_callback(lambda _: self._pending_by_session[session].discard(command_id))
        message: dict[str, Any] = {"id": command_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        task = asyncio.ensure_future(self._write(json.dumps(message), command_id))
        task.add_done_callback(_ignore_exception)
        return response

    def abandon_session(self, session: str) -> None:
        """Fail the pending commands of a session, because its page crashed and will not respond."""
        self._crashed_sessions.add(session)
        for command_id in list(self._pending_by_session.get(session, ())):
            self._fail(command_id, CommandFailed("its page crashed"))

    async def _write(self, text: str, command_id: int) -> None:
        try:
            await self._socket.send_str(text)
        except (ConnectionError, aiohttp.ClientError, RuntimeError):
            self._fail(command_id, BrowserEnded())

    def _fail(self, command_id: int, error: Exception) -> None:
        response = self._pending.pop(command_id, None)
        if response is not None and not response.done():
            response.set_exception(error)

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT and not _is_of_page(message.data):
                    self._dispatch(json.loads(message.data))
        finally:
            self.ended.set()
            for response in self._pending.values():
                if not response.done():
                    response.set_exception(BrowserEnded())
            self._pending.clear()

    def _dispatch(self, message: dict[str, Any]) -> None:
        command_id = message.get("id")
        if command_id is None:
            self._on_event(message["method"], message.get("params", {}), message.get("sessionId", ""))
            return
        response = self._pending.pop(command_id, None)
        if response is None or response.done():
            return
        if "error" in message:
            response.set_exception(CommandFailed(str(message["error"].get("message", "refused"))))
        else:
            response.set_result(message.get("result", {}))


def _ignore_exception(done: "asyncio.Future[Any]") -> None:
    """Mark the exception as retrieved, so that asyncio does not log it if nothing awaits the future."""
    if not done.cancelled():
        done.exception()
