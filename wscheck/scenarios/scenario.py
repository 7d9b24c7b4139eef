"""Base class of the scenarios."""

from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec

from wscheck.detect.rules import DOCUMENTED, Rule, RuleOptions
from wscheck.detect.rules.connection_leaked import ConnectionLeaked
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.detect.rules.log_silent import LogSilent
from wscheck.model.gaps import Gap
from wscheck.model.policy import PER_USER
from wscheck.model.report import Control
from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext, ScenarioSettings

CONNECTION_RULES: tuple[type[Rule], ...] = (
    *DOCUMENTED,
    ConnectionLeaked,
    ConnectionMissing,
    EventMissing,
    LogSilent,
)
"""Rules for a scenario in which one user has one page."""


class PhaseFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a scenario: what the server did with the connections.

    opened       number of connections that the server accepted
    stayed       number of accepted connections that the server did not end
    turned_away  number of connections of the control that the server accepted and then ended, while another one of
                 the same user stayed open
    processes    number of server processes that the servers' logs name, 0 without logs
    """

    opened: int
    stayed: int
    turned_away: int
    processes: int


class Scenario(ABC):
    """Client actions, a claim that must hold afterwards, and a control (a faulty client that must violate a rule).

    The control shows that the rules can find a fault at this server. If they find none, the scenario is inconclusive.

    Each subclass has its own file, a line in `wscheck.scenarios.SCENARIOS` and a section in docs/scenarios.md. `wscheck
    explain` prints the docstring of the subclass as a note, and that of its `run_control` as the control.

    id             public and stable id
    claim          what must hold, in one sentence
    rules          rules that evaluate the scenario
    control_rules  rules that evaluate its control
    """

    id: ClassVar[str]
    claim: ClassVar[str]
    rules: ClassVar[tuple[type[Rule], ...]] = CONNECTION_RULES
    control_rules: ClassVar[tuple[type[Rule], ...]] = DOCUMENTED

    @abstractmethod
    async def run(self, context: ScenarioContext) -> None:
        """Perform the actions with the client under test. Rules evaluate the recorded events later."""

    async def run_control(self, context: ScenarioContext) -> None:
        """Mount two components of one page that each open a connection, which is the documented fault.

        The rules must report the second connection, or the server must refuse it. Otherwise the scenario is
        inconclusive, because it could not have failed at this server.
        """
        page = context.new_page(fault=True)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await context.wait_for_reaction()

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies.

        With a reason, neither phase of the scenario runs.
        """
        return ""

    def rule_options(self, options: RuleOptions) -> RuleOptions:
        """Return the options of the scenario's rules.

        In most scenarios the user has one page. The policy for several pages does not apply to these.
        """
        return msgspec.structs.replace(options, connections=PER_USER)

    def policy_gap(self, control: Control, phase: PhaseFigures) -> Gap | None:
        """Return the gap if only a policy can decide the scenario, None if the server's own behaviour decides it.

        Args:
            control: What the server did in the control.
            phase: What the server did while the client under test ran.
        """
        return None

    def is_settled(self, phase: PhaseFigures, options: RuleOptions) -> bool:
        """Return whether as many connections stayed open as are permitted, so that an overlap was only temporary.

        The default returns False: in most scenarios, every overlap counts that is longer than the grace period.
        """
        return False
