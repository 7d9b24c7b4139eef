"""Secrets come from the environment or a file, never from the command line."""

from pathlib import Path


def read_secret(path: Path | None) -> str | None:
    """What the file says, without its line break. Raises UsageError when there is nothing to read."""
    from wscheck.model.errors import UsageError

    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"The token file {path} cannot be read: {reason}.", "Check the path.") from None
    if not token:
        raise UsageError(f"The token file {path} is empty.", "Write the token into it, or set WSCHECK_TOKEN.")
    return token
