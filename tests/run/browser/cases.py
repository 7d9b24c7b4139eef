"""One page for each cause that a page can show, and what is true of it."""

from dataclasses import dataclass

BENIGN = ""
"""The cause of a page that must pass."""


@dataclass(frozen=True)
class Case:
    """`cause` is the true one; `rule` the finding that must name it; `tabs` how many tabs the same user opens."""

    name: str
    page: str
    cause: str
    rule: str = "multiple-connections"
    query: str = ""
    tabs: int = 1
    builds: tuple[str, ...] = ("dev", "prod")


REPLACED, DUPLICATED, ATTEMPTS = "connection-replaced", "event-duplicated", "excessive-attempts"

CASES = (
    Case("two hooks", "broken", "two-openers"),
    Case("two hooks, websocket", "broken", "two-openers", query="transports=websocket"),
    Case("two hooks, polling", "broken", "two-openers", query="transports=polling"),
    Case("shared function", "shared-function", "two-openers"),
    Case("one hook", "one-hook", "two-openers"),
    Case("one hook, StrictMode", "one-hook", "two-openers", query="strict=1", builds=("dev",)),
    Case("ping-pong", "broken", "reconnect-on-kick", ATTEMPTS, "retry=250"),
    Case(
        "StrictMode, no cleanup", "effect-without-cleanup", "effect-without-cleanup", query="strict=1", builds=("dev",)
    ),
    Case("StrictMode, cleaned up", "strict-mode-cleaned-up", BENIGN, query="strict=1", builds=("dev",)),
    Case("io() in render", "io-in-render", "io-in-render"),
    Case("unstable dependency", "unstable-dependency", "unstable-dependency", ATTEMPTS),
    Case("hot reload", "hot-reload", "hot-reload"),
    Case("no cleanup on unmount", "unmount-without-cleanup", "unmount-without-cleanup"),
    Case("forceNew, other query", "forced-new-connection", "forced-new-connection"),
    Case("two tabs", "fixed", "several-tabs", REPLACED, tabs=2),
    Case("token refresh", "token-refresh", "token-refresh"),
    Case("on() in connect", "handler-in-connect", "handler-in-connect", DUPLICATED),
    Case("on() without off()", "handler-without-off", "handler-without-off", DUPLICATED),
    Case("off() without handler", "off-without-handler", "off-without-handler", "event-unheard"),
    Case("two bundles", "two-bundles", "two-bundles"),
    Case("fixed", "fixed", BENIGN),
    Case("fixed, StrictMode", "fixed", BENIGN, query="strict=1", builds=("dev",)),
    Case("fixed, upgrade", "fixed", BENIGN, query="transports=polling,websocket"),
    Case("foreign websocket", "foreign-websocket", BENIGN, query="livereload=ws://127.0.0.1:9/"),
    Case("in a worker", "worker", BENIGN, query="kind=dedicated"),
    Case("in a shared worker", "worker", BENIGN, query="kind=shared"),
    Case("in a frame", "framed", BENIGN),
)
