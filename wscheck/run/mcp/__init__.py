"""Server of tools for coding agents, over the Model Context Protocol (docs/mcp.md).

access   the addresses and files that a tool may use
tools    what the tools are called, accept and do
server   the tools as an MCP server, with progress and cancellation
"""
