"""Regular expressions that are compiled when they are first used, so that importing a module stays cheap."""

import re
import sys
from typing import Any, AnyStr, cast

_PACKAGE = __name__.rpartition(".")[0]


class _LazyPattern:
    """Regular expression that is compiled at its first use.

    The compiled pattern then replaces this object in the modules of the package, so that later uses cost nothing more.
    """

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags
        self._compiled: re.Pattern[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if self._compiled is None:
            self._compiled = re.compile(self._source, self._flags)
            self._replace_in_modules(self._compiled)
        return getattr(self._compiled, name)

    def _replace_in_modules(self, compiled: re.Pattern[Any]) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith(_PACKAGE):
                for variable in [each for each, value in vars(module).items() if value is self]:
                    setattr(module, variable, compiled)


def lazy_pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return an object that behaves like `re.compile(source, flags)` and compiles on first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(source, flags))
