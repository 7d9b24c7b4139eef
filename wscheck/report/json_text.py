r"""JSON that can be shown on a terminal and in the log of a CI job.

Characters that control or reorder text stand as escapes (`\u202e`), which a parser reads as the same characters.
"""

import re
from typing import Any

import msgspec

from wscheck.report.formatting import UNPRINTABLE

_ESCAPED = re.compile(rf"{UNPRINTABLE.pattern}|#(?=#)")
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8 on one line.

    A lone surrogate, which UTF-8 cannot contain, becomes U+FFFD.
    """
    try:
        raw = _encoder.encode(value)
    except UnicodeEncodeError:
        raw = _encoder.encode(_replace_surrogates(msgspec.to_builtins(value)))
    if raw.isascii() and b"\x7f" not in raw and b"##" not in raw:
        return raw
    # Outside of strings, JSON contains none of these characters.
    return _ESCAPED.sub(_escape, raw.decode()).encode()


def encode_document(value: Any) -> bytes:
    """Return `value` as indented JSON in UTF-8 with a line feed at the end."""
    return msgspec.json.format(encode(value), indent=2) + b"\n"


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(each) for key, each in value.items()}
    return [_replace_surrogates(each) for each in value] if isinstance(value, list | tuple) else value
