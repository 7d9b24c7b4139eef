"""Find duplicate, leaked and churning real-time connections (Socket.IO first).

    scenarios, logs, browser, HAR files -> events -> ledger -> rules -> findings -> verdict -> report

The public names are documented in docs/python.md. They are imported on first use (PEP 562), so that `import wscheck` is
cheap. See docs/architecture.md for the packages and the direction of imports.
"""

# Type checkers treat this name as true. Importing it from typing would double the time of `import wscheck`.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from wscheck.detect.engine import Judge as Judge
    from wscheck.detect.engine import RuleOptions as RuleOptions
    from wscheck.model.errors import CannotCheck as CannotCheck
    from wscheck.model.errors import UsageError as UsageError
    from wscheck.model.errors import WscheckError as WscheckError
    from wscheck.model.findings import Cause as Cause
    from wscheck.model.findings import Confidence as Confidence
    from wscheck.model.findings import Finding as Finding
    from wscheck.model.findings import Severity as Severity
    from wscheck.model.findings import Verdict as Verdict
    from wscheck.model.gaps import Gap as Gap
    from wscheck.model.report import BrowserReport as BrowserReport
    from wscheck.model.report import LogsReport as LogsReport
    from wscheck.model.report import NotPassed as NotPassed
    from wscheck.model.report import Report as Report
    from wscheck.model.report import VerifyReport as VerifyReport
    from wscheck.model.secrets import Secret as Secret
    from wscheck.run.api import acheck as acheck
    from wscheck.run.api import awatch as awatch
    from wscheck.run.api import check as check
    from wscheck.run.api import read_har as read_har
    from wscheck.run.api import read_log as read_log
    from wscheck.run.api import watch as watch

__version__ = "0.1.0"

_MODULES = {
    "wscheck.detect.engine": ("Judge", "RuleOptions"),
    "wscheck.model.errors": ("CannotCheck", "UsageError", "WscheckError"),
    "wscheck.model.findings": ("Cause", "Confidence", "Finding", "Severity", "Verdict"),
    "wscheck.model.gaps": ("Gap",),
    "wscheck.model.report": ("BrowserReport", "LogsReport", "NotPassed", "Report", "VerifyReport"),
    "wscheck.model.secrets": ("Secret",),
    "wscheck.run.api": ("acheck", "awatch", "check", "read_har", "read_log", "watch"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name on first use."""
        from importlib import import_module

        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module 'wscheck' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module), name)
        return value


def __dir__() -> list[str]:
    return sorted([*_MODULE_OF, "__version__"])
