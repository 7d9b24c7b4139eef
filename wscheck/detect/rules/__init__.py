"""Rules: one file per rule. Rule ids are public (docs/rules.md)."""

from collections.abc import Iterable

from wscheck.detect.rules.client_id_shared import ClientIdShared
from wscheck.detect.rules.code_rules import CODE_RULES
from wscheck.detect.rules.connection_leaked import ConnectionLeaked
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.detect.rules.event_duplicated import EventDuplicated
from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.detect.rules.event_unheard import EventUnheard
from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.detect.rules.handler_leaked import HandlerLeaked
from wscheck.detect.rules.identity_unverified import IdentityUnverified
from wscheck.detect.rules.log_silent import LogSilent
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.detect.rules.rule import Occurrence, Rule, RuleDoc, RuleOptions
from wscheck.detect.rules.stream_limit import StreamLimit
from wscheck.detect.rules.subscription_duplicated import SubscriptionDuplicated
from wscheck.detect.rules.subscription_leaked import SubscriptionLeaked
from wscheck.detect.rules.tab_displaced import TabDisplaced
from wscheck.detect.rules.token_unchecked import TokenUnchecked
from wscheck.detect.rules.zombie_held import ZombieHeld
from wscheck.model.findings import Finding

DOCUMENTED: tuple[type[Rule], ...] = (MultipleConnections, ConnectionReplaced, EventDuplicated, ExcessiveAttempts)
"""Rules for the four documented alerts, which every source of events can show."""

OF_LOGS: tuple[type[Rule], ...] = (*DOCUMENTED, ClientIdShared)
"""Rules for the logs of servers and brokers."""

BEYOND: tuple[type[Rule], ...] = (
    ConnectionLeaked,
    ConnectionMissing,
    EventMissing,
    EventLeaked,
    IdentityUnverified,
    TokenUnchecked,
    ZombieHeld,
    LogSilent,
    TabDisplaced,
    EventUnheard,
    HandlerLeaked,
    StreamLimit,
    SubscriptionDuplicated,
    SubscriptionLeaked,
    ClientIdShared,
)
"""Rules that need more evidence: a scenario, or the handlers of a page."""

BROWSER: tuple[type[Rule], ...] = (
    *DOCUMENTED,
    ConnectionLeaked,
    EventUnheard,
    HandlerLeaked,
    StreamLimit,
    SubscriptionDuplicated,
    SubscriptionLeaked,
    ClientIdShared,
)
"""Rules for a page that is observed without a scenario."""

REGISTRY: dict[str, type[Rule]] = {rule.id: rule for rule in DOCUMENTED + BEYOND}
"""Every rule about events by its public id."""

RULE_DOCS: dict[str, type[RuleDoc]] = {**REGISTRY, **CODE_RULES}
"""Every rule by its public id, also the rules about source code."""


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings`, the worst first.

    Findings of equal severity and confidence are in the order of their rules in `RULE_DOCS`, and findings of one rule
    are ordered by count. Times play no part, because microseconds would change the order from run to run.
    """
    order = {rule: number for number, rule in enumerate(RULE_DOCS)}
    return sorted(
        findings, key=lambda f: (-f.severity.rank, -f.confidence.rank, order.get(f.rule, len(order)), -f.count)
    )


__all__ = [
    "BEYOND",
    "BROWSER",
    "DOCUMENTED",
    "OF_LOGS",
    "REGISTRY",
    "RULE_DOCS",
    "Occurrence",
    "Rule",
    "RuleDoc",
    "RuleOptions",
    "ranked",
]
