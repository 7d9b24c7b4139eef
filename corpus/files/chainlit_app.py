"""A chat that answers each message."""

import chainlit


@chainlit.on_message
async def answer(_: object) -> None:
    """Answer a message."""
    await chainlit.Message(content="hello").send()
