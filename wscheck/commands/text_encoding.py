"""Replacements for characters that the terminal's encoding lacks: a check mark must not become a question mark."""

import codecs

ASCII_FALLBACK = "wscheck.plain"
"""Error handler for `reconfigure(errors=...)`."""

_REPLACEMENTS = {"✓": "+", "✗": "x", "×": "x", "·": "-", "…": "..."}


def _replace_characters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_REPLACEMENTS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(ASCII_FALLBACK, _replace_characters)
