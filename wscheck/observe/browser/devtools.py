"""The DevTools protocol over one websocket: commands with their answers, events to whoever asked for them."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

from wscheck.config.settings import redact_url
from wscheck.model.errors import CannotCheck, Unreachable

ANSWER_S = 30.0

Listener = Callable[[str, dict[str, Any], str], None]


class BrowserGone(CannotCheck):
    """The browser ended, crashed or was killed while it was watched."""

    def __init__(self) -> None:
        super().__init__("The browser ended before the check did.", "Run again; if it crashes, try --browser PATH.")


class CommandFailed(Exception):
    """The browser refused a command: the page or worker it was for is gone, or has no such thing."""


class DevToolsConnection:
    """Open it as a context. `listen` is called with (method, params, session id) of every event, in order."""

    def __init__(self, url: str, listen: Listener) -> None:
        self.url, self._listen = url, listen
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked: dict[str, set[int]] = {}
        self._dead: set[str] = set()
        self.gone = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(self.url, max_msg_size=0, compress=0, timeout=_CLOSING)
        except (aiohttp.ClientError, OSError) as error:
            await self._http.close()
            where, said = (redact_url(each) for each in (self.url.partition("/devtools")[0], str(error)))
            problem = f"The browser does not answer at {where}: {said}."
            raise Unreachable(problem, "Start it with --remote-debugging-port=9222, and name that port.") from error
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()
        await self._http.close()

    async def call(self, method: str, params: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """One command and its answer. Raises CommandFailed when the browser refuses it, BrowserGone when it ended."""
        answer = self.send(method, params, session)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise CommandFailed(f"{method}: no answer within {ANSWER_S:.0f} s") from None

    def send(
        self, method: str, params: dict[str, Any] | None = None, session: str = ""
    ) -> asyncio.Future[dict[str, Any]]:
        """Sends at once, in the order of the calls; the answer may be awaited or left."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_looked_at)
        if self.gone.is_set() or session in self._dead:
            answer.set_exception(BrowserGone() if self.gone.is_set() else CommandFailed("its page crashed"))
            return answer
        self._waiting[number] = answer
        self._asked.setdefault(session, set()).add(number)
        answer.add_done_callback(lambda _: self._asked[session].discard(number))
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        task = asyncio.ensure_future(self._write(json.dumps(message), number))
        task.add_done_callback(_looked_at)
        return answer

    def abandon(self, session: str) -> None:
        """A crashed page answers nothing, neither what it was asked already nor anything else."""
        self._dead.add(session)
        for number in list(self._asked.get(session, ())):
            if (answer := self._waiting.pop(number, None)) is not None and not answer.done():
                answer.set_exception(CommandFailed("its page crashed"))

    async def _write(self, text: str, number: int) -> None:
        try:
            await self._socket.send_str(text)
        except (ConnectionError, aiohttp.ClientError, RuntimeError):
            if (answer := self._waiting.pop(number, None)) is not None and not answer.done():
                answer.set_exception(BrowserGone())

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(json.loads(message.data))
        finally:
            self.gone.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(BrowserGone())
            self._waiting.clear()

    def _take(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if number is None:
            self._listen(message["method"], message.get("params", {}), message.get("sessionId", ""))
            return
        answer = self._waiting.pop(number, None)
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(CommandFailed(str(message["error"].get("message", "refused"))))
        else:
            answer.set_result(message.get("result", {}))


_CLOSING = aiohttp.ClientWSTimeout(ws_close=1.0)


def _looked_at(done: "asyncio.Future[Any]") -> None:
    """A command that nobody waits for may fail in peace."""
    if not done.cancelled():
        done.exception()
