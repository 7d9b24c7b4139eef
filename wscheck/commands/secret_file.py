"""Secrets from files: a command line, which other users of the machine can see, never contains one."""

import codecs
from pathlib import Path


def _encoding_problem(path: Path) -> str:
    """Return a clause for the error message about a file that is not UTF-8 text.

    The clause names UTF-16 if the file has that encoding, because old versions of PowerShell write it.
    """
    is_utf_16 = path.read_bytes()[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "it is UTF-16 text with a byte-order mark; save it as UTF-8" if is_utf_16 else "it is not UTF-8 text"


def read_secret(path: Path | None) -> str | None:
    """Return the content of the file without surrounding white space, or None without a path.

    Raises:
        UsageError: The file cannot be read, or is empty.
    """
    from wscheck.model.errors import UsageError

    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or _encoding_problem(path)
        raise UsageError(f"The token file {path} cannot be read: {reason}.", "Check the path.") from None
    if not token:
        raise UsageError(f"The token file {path} is empty.", "Write the token into it, or set WSCHECK_TOKEN.")
    return token
