"""The reference backend's made-up tokens: they protect nothing and exist so that a wrong one can be refused."""

PREFIX = "token-of-"


def token_for(user: str) -> str:
    """The token that belongs to `user`."""
    return PREFIX + user


def token_owner(token: object) -> str | None:
    """Whose token this is, None when it is not one."""
    if isinstance(token, str) and token.startswith(PREFIX) and len(token) > len(PREFIX):
        return token.removeprefix(PREFIX)
    return None
