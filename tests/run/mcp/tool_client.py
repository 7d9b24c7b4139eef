"""A client of the tools in this process, over the SDK's in-memory transport.

The SDK takes a second to import, and every test worker imports every test module. Only the tests that run import it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wscheck.run.mcp.access import new_access
from wscheck.run.mcp.server import ToolServer

if TYPE_CHECKING:
    from mcp.client.client import Client
    from mcp_types import CallToolResult

HOME = Path("/nonexistent")


@asynccontextmanager
async def connected(folder: Path, *allow: str) -> "AsyncIterator[Client]":
    """Serve the tools for a working folder, and yield a client of them."""
    from mcp.client.client import Client

    server = ToolServer(new_access(allow, folder, HOME)).server()
    async with Client(server, mode="legacy") as client:
        yield client


async def called(client: "Client", tool: str, **arguments: Any) -> dict[str, Any]:
    """Return the structured result of a call that is no error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    content: dict[str, Any] = result.structured_content
    return content


async def refusal(client: "Client", tool: str, **arguments: Any) -> str:
    """Return the text of a call that must be an error."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result)


def text_of(result: "CallToolResult") -> str:
    """Return all text blocks of a result."""
    return "\n".join(block.text for block in result.content if block.type == "text")


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files below a folder, and return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
