"""Regular expressions that are compiled when they are first used, so that importing a module stays cheap."""

import re
from typing import Any, AnyStr, cast

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


class _LazyPattern:
    """Stand-in for a compiled pattern.

    The first use of any attribute compiles the pattern. The methods are then stored on the instance, so that later
    calls reach the compiled pattern directly.
    """

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._source, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._source, self._flags)
        vars(self).update((method, getattr(compiled, method)) for method in _METHODS)
        return getattr(compiled, name)


def lazy_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return an object that behaves as `re.compile(pattern, flags)` and compiles on first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(pattern, flags))
