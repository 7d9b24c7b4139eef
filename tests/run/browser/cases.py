"""One page per cause that a page can have, and the true cause."""

from dataclasses import dataclass

BENIGN = ""
"""Cause of a page that must pass."""


@dataclass(frozen=True)
class CauseCase:
    """A page with a known cause.

    cause  the true cause
    rule   the rule whose finding must name it
    tabs   how many tabs of the same user show it
    """

    name: str
    page: str
    cause: str
    rule: str = "multiple-connections"
    query: str = ""
    tabs: int = 1
    builds: tuple[str, ...] = ("dev", "prod")


REPLACED, DUPLICATED, ATTEMPTS = "connection-replaced", "event-duplicated", "excessive-attempts"

CASES = (
    CauseCase("two hooks", "broken", "two-openers"),
    CauseCase("two hooks, websocket", "broken", "two-openers", query="transports=websocket"),
    CauseCase("two hooks, polling", "broken", "two-openers", query="transports=polling"),
    CauseCase("shared function", "shared-function", "two-openers"),
    CauseCase("one hook", "one-hook", "two-openers"),
    CauseCase("one hook, StrictMode", "one-hook", "two-openers", query="strict=1", builds=("dev",)),
    CauseCase("ping-pong", "broken", "reconnect-on-kick", ATTEMPTS, "retry=250"),
    CauseCase(
        "StrictMode, no cleanup", "effect-without-cleanup", "effect-without-cleanup", query="strict=1", builds=("dev",)
    ),
    CauseCase("StrictMode, cleaned up", "strict-mode-cleaned-up", BENIGN, query="strict=1", builds=("dev",)),
    CauseCase("io() in render", "io-in-render", "io-in-render"),
    CauseCase("unstable dependency", "unstable-dependency", "unstable-dependency", ATTEMPTS),
    CauseCase("hot reload", "hot-reload", "hot-reload"),
    CauseCase("no cleanup on unmount", "unmount-without-cleanup", "unmount-without-cleanup"),
    CauseCase("forceNew, other query", "forced-new-connection", "forced-new-connection"),
    CauseCase("two tabs", "fixed", "several-tabs", REPLACED, tabs=2),
    CauseCase("token refresh", "token-refresh", "token-refresh"),
    CauseCase("on() in connect", "handler-in-connect", "handler-in-connect", DUPLICATED),
    CauseCase("on() without off()", "handler-without-off", "handler-without-off", DUPLICATED),
    CauseCase("off() without handler", "off-without-handler", "off-without-handler", "event-unheard"),
    CauseCase("two bundles", "two-bundles", "module-in-two-bundles"),
    CauseCase("fixed", "fixed", BENIGN),
    CauseCase("fixed, StrictMode", "fixed", BENIGN, query="strict=1", builds=("dev",)),
    CauseCase("fixed, upgrade", "fixed", BENIGN, query="transports=polling,websocket"),
    CauseCase("foreign websocket", "foreign-websocket", BENIGN, query="livereload=ws://127.0.0.1:9/"),
    CauseCase("in a worker", "worker", BENIGN, query="kind=dedicated"),
    CauseCase("in a shared worker", "worker", BENIGN, query="kind=shared"),
    CauseCase("in a frame", "framed", BENIGN),
)
