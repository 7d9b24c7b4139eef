"""What a terminal whose encoding lacks our signs gets in their place: a pass must not look like a question."""

import codecs

ERRORS = "wscheck.plain"
"""For `reconfigure(errors=...)`."""

_IN_PLACE = {"✓": "+", "✗": "x", "×": "x", "·": "-", "…": "..."}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_IN_PLACE.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, _plainly)
