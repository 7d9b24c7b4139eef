"""Secrets from files: a command line, which other users of the machine can see, never contains one."""

from pathlib import Path


def read_secret(path: Path | None) -> str | None:
    """Return the content of the file without surrounding white space, or None without a path.

    Raises:
        UsageError: The file cannot be read, or is empty.
    """
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
