"""The tools as a server of the Model Context Protocol, with progress notifications and cancellation.

The SDK is imported when a server is made, because it is an extra and takes a second to import.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wscheck import __version__
from wscheck.config.settings import with_flags
from wscheck.model.errors import WscheckError
from wscheck.model.secrets import Redactor
from wscheck.report.formatting import escape_control
from wscheck.report.schemas import json_schema
from wscheck.report.tool_result import CHECK_SCHEMA, EXPLANATION_SCHEMA, CheckResult, ExplanationResult
from wscheck.run.mcp.access import Access
from wscheck.run.mcp.tools import INSTRUCTIONS, TOOLS, Explain, input_schema, parse_arguments

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, Tool

T = TypeVar("T")

SEND_EVERY_S = 0.2
"""Shortest time between two progress notifications of one call (seconds)."""

END_TIMEOUT_S = 8.0
"""Longest time that a cancelled run may take to end, for example to close its browser (seconds)."""

THREAD_TIMEOUT_S = 2.0
"""Longest time that the thread of a cancelled call may take to notice it (seconds)."""


class Cancelled(Exception):
    """Error that ends the thread of a tool call after the client cancelled this call."""


class ToolServer:
    """Server that offers the tools and runs their calls.

    Only one check runs at a time: checks that run together would delay each other, and delays are evidence.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._turn = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()

    def server(self) -> "Server[Any]":
        """Return the MCP server."""
        from mcp.server.lowlevel import Server

        async def list_tools(
            context: "ServerRequestContext", params: "PaginatedRequestParams | None"
        ) -> "ListToolsResult":
            from mcp_types import ListToolsResult

            return ListToolsResult(tools=described_tools())

        async def call_tool(context: "ServerRequestContext", params: "CallToolRequestParams") -> "CallToolResult":
            return await self._answer(context, params.name, params.arguments)

        return Server(
            "wscheck",
            version=__version__,
            title="wscheck",
            instructions=INSTRUCTIONS,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
        )

    async def close(self) -> None:
        """Cancel the runs that are not finished, and wait until they have ended."""
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=END_TIMEOUT_S)

    async def _answer(
        self, context: "ServerRequestContext", tool: str, arguments: dict[str, Any] | None
    ) -> "CallToolResult":
        """Return the result of a call, or an error with a hint what to do."""
        try:
            return _result(await self._call(context, tool, arguments))
        except WscheckError as error:
            return _error(error.problem, error.next_step)
        except Exception as error:
            # Its text could contain a secret.
            return _error(
                f"Internal error, not a verdict: {type(error).__name__}.", "Run the command with WSCHECK_DEBUG=1."
            )

    async def _call(
        self, context: "ServerRequestContext", tool: str, arguments: dict[str, Any] | None
    ) -> CheckResult | ExplanationResult:
        parsed = parse_arguments(tool, arguments)
        call = _Call(context)
        if isinstance(parsed, Explain):
            return await parsed.call(self._access, call)
        async with self._turn:
            return await self._run(call, parsed.call(self._access, call))

    async def _run(self, call: "_Call", work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in a separate task, and return its result.

        If the caller is cancelled, cancel the separate task once, and wait until it has ended. Otherwise, the SDK
        would cancel `work` repeatedly, and so interrupt the shutdown of a browser.
        """
        import anyio

        task = asyncio.ensure_future(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        sender = asyncio.ensure_future(call.send_progress())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            call.cancel()
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task], timeout=END_TIMEOUT_S)
                await asyncio.gather(*([task] if task.done() else []), return_exceptions=True)
            raise
        finally:
            sender.cancel()


class _Call:
    """One call of a tool: implements `wscheck.run.mcp.tools.Run`. Any thread may call `progress` and `cancel`."""

    def __init__(self, context: "ServerRequestContext") -> None:
        self._context, self._loop = context, asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._latest: tuple[str, int, int] | None = None
        self._news = asyncio.Event()

    def progress(self, what: str, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self._latest = what, done, total
        with contextlib.suppress(RuntimeError):  # the loop was closed while a thread was not finished
            self._loop.call_soon_threadsafe(self._news.set)

    def cancel(self) -> None:
        """Mark the call as cancelled, so that the next call of `progress` raises an error."""
        self._cancelled.set()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread that does not prevent the end of the process.

        If the call is cancelled, wait a little for the thread, which ends when it next calls `progress`.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def deliver(result: T | None, error: BaseException | None) -> None:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(deliver, result, failure)

        threading.Thread(target=run, name="wscheck", daemon=True).start()
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self.cancel()
            await asyncio.wait([future], timeout=THREAD_TIMEOUT_S)
            if future.done():
                future.exception()  # it was cancelled, and nobody asks why
            raise

    async def send_progress(self) -> None:
        """Send the latest progress to the client from time to time, until this task is cancelled.

        The number that is sent only grows, even if the tool begins to count from 0 again.
        """
        sent = finished = 0
        while True:
            await self._news.wait()
            self._news.clear()
            assert self._latest is not None
            what, done, total = self._latest
            if finished + done <= sent:
                finished = sent if done < sent - finished else finished
            if finished + done > sent or not sent:
                sent = finished + done
                message = escape_control(Redactor().redact(what))
                await self._context.session.report_progress(sent, finished + total, message)
            await asyncio.sleep(SEND_EVERY_S)


def described_tools() -> "list[Tool]":
    """Return the tools as a client lists them."""
    from mcp_types import Tool, ToolAnnotations

    return [
        Tool(
            name=name,
            title=kind.title,
            description=kind.description,
            input_schema=input_schema(kind),
            output_schema=_output_schema(EXPLANATION_SCHEMA if kind is Explain else CHECK_SCHEMA),
            annotations=ToolAnnotations(
                title=kind.title,
                read_only_hint=kind.read_only,
                destructive_hint=False,
                idempotent_hint=True,
                open_world_hint=not kind.read_only,
            ),
        )
        for name, kind in TOOLS.items()
    ]


def _output_schema(name: str) -> dict[str, Any]:
    """Return the schema of the document `name` with an object at its root.

    The versions of the protocol before 2026 require this.
    """
    schema = json_schema(name)
    definitions = schema["$defs"]
    root = definitions.pop(schema["$ref"].rpartition("/")[2])
    return {**root, "$defs": definitions} if definitions else root


def _result(result: CheckResult | ExplanationResult) -> "CallToolResult":
    """Return the answer to a call: the result as structured content, and as JSON text for clients that show only text.

    The summary of a check comes before the JSON text.
    """
    from mcp_types import CallToolResult, TextContent

    content = msgspec.to_builtins(result)
    lines = [TextContent(text="\n".join(result.summary))] if isinstance(result, CheckResult) else []
    text = msgspec.json.encode(content).decode()
    return CallToolResult(content=[*lines, TextContent(text=text)], structured_content=content)


def _error(problem: str, next_step: str) -> "CallToolResult":
    from mcp_types import CallToolResult, TextContent

    text = escape_control(Redactor().redact(with_flags(f"{problem}\nnext: {next_step}")))
    return CallToolResult(content=[TextContent(text=text)], is_error=True)
