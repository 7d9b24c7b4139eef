"""Tokens of the reference backend. They protect nothing, but let the backend refuse an invalid token."""

PREFIX = "token-of-"


def token_for(user: str) -> str:
    """Return the token of `user`."""
    return PREFIX + user


def token_owner(token: object) -> str | None:
    """Return the user that the token belongs to, or None if `token` is not a valid token."""
    if isinstance(token, str) and token.startswith(PREFIX) and len(token) > len(PREFIX):
        return token.removeprefix(PREFIX)
    return None
