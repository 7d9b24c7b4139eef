"""WHAT IS WRONG: one file per rule, each pure. Ids are public (docs/rules.md)."""

from wscheck.rules.connection_leaked import ConnectionLeaked
from wscheck.rules.connection_missing import ConnectionMissing
from wscheck.rules.connection_replaced import ConnectionReplaced
from wscheck.rules.event_duplicated import EventDuplicated
from wscheck.rules.event_leaked import EventLeaked
from wscheck.rules.event_missing import EventMissing
from wscheck.rules.excessive_attempts import ExcessiveAttempts
from wscheck.rules.identity_unverified import IdentityUnverified
from wscheck.rules.log_silent import LogSilent
from wscheck.rules.multiple_connections import MultipleConnections
from wscheck.rules.rule import Options, Rule, Sighting
from wscheck.rules.tab_displaced import TabDisplaced
from wscheck.rules.token_unchecked import TokenUnchecked
from wscheck.rules.zombie_held import ZombieHeld

DOCUMENTED: tuple[type[Rule], ...] = (MultipleConnections, ConnectionReplaced, EventDuplicated, ExcessiveAttempts)
"""The four documented alerts, which hold for every source."""

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
)
"""What a scenario can show beyond the documented alerts."""

REGISTRY: dict[str, type[Rule]] = {rule.id: rule for rule in DOCUMENTED + BEYOND}
"""Every rule by its public id."""

__all__ = ["BEYOND", "DOCUMENTED", "REGISTRY", "Options", "Rule", "Sighting"]
