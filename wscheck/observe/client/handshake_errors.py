"""Who turned a handshake away before Socket.IO was reached: the stock client tells it like a server that is gone."""

import re

import aiohttp

_STATUS = re.compile(r"^Unexpected status code (\d{3})\b")


def turned_away(error: BaseException) -> str | None:
    """How HTTP itself refused the handshake, as a proxy or `allowRequest` does; None when it did not."""
    seen: BaseException | None = error
    while seen is not None:
        told = _STATUS.search(str(seen))
        status = seen.status if isinstance(seen, aiohttp.WSServerHandshakeError) else int(told[1]) if told else 0
        if 400 <= status < 500:
            return f"HTTP {status}"
        seen = seen.__cause__ or seen.__context__
    return None
