"""Scenarios of `wscheck verify`, one file per scenario. Their ids are public (docs/scenarios.md)."""

from wscheck.scenarios.auth_refused import AuthRefused
from wscheck.scenarios.component_sharing import ComponentSharing
from wscheck.scenarios.event_handling import EventHandling
from wscheck.scenarios.identity_binding import IdentityBinding
from wscheck.scenarios.isolation import Isolation
from wscheck.scenarios.polling_upgrade import PollingUpgrade
from wscheck.scenarios.race import Race
from wscheck.scenarios.reconnect import Reconnect
from wscheck.scenarios.scenario import Scenario
from wscheck.scenarios.second_tab import SecondTab
from wscheck.scenarios.single_connection import SingleConnection
from wscheck.scenarios.strict_remount import StrictRemount
from wscheck.scenarios.zombie import Zombie

DOCUMENTED_SCENARIOS: tuple[type[Scenario], ...] = (SingleConnection, EventHandling, ComponentSharing)
"""The three documented tests."""

FURTHER_SCENARIOS: tuple[type[Scenario], ...] = (
    StrictRemount,
    Reconnect,
    SecondTab,
    Race,
    PollingUpgrade,
    AuthRefused,
    IdentityBinding,
    Isolation,
    Zombie,
)
"""Scenarios for other faults that occur in practice."""

SCENARIOS: dict[str, Scenario] = {scenario.id: scenario() for scenario in DOCUMENTED_SCENARIOS + FURTHER_SCENARIOS}
"""All scenarios by id, in the order in which they run and are reported."""

__all__ = ["DOCUMENTED_SCENARIOS", "FURTHER_SCENARIOS", "SCENARIOS", "Scenario"]
