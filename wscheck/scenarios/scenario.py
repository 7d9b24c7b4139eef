"""What a scenario is: what a client is asked to do, what must then hold, and the control that shows it could fail."""

from abc import ABC, abstractmethod
from typing import ClassVar

from wscheck.detect.rules import DOCUMENTED, Rule
from wscheck.detect.rules.connection_leaked import ConnectionLeaked
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.detect.rules.log_silent import LogSilent
from wscheck.model.report import Control
from wscheck.scenarios.context import Stage

DASHBOARD, WIZARD = "Dashboard", "BotCreationWizard"

CONNECTION_RULES: tuple[type[Rule], ...] = (
    *DOCUMENTED,
    ConnectionLeaked,
    ConnectionMissing,
    EventMissing,
    LogSilent,
)
"""What holds wherever one page of one user is at work."""


class Scenario(ABC):
    """Subclass it in a file of its own and name it in `wscheck.scenarios.REGISTRY`; docs/scenarios.md describes it.

    id         public and stable
    must_hold  the claim, in a sentence
    rules      which rules judge it
    """

    id: ClassVar[str]
    claim: ClassVar[str]
    rules: ClassVar[tuple[type[Rule], ...]] = CONNECTION_RULES
    control_rules: ClassVar[tuple[type[Rule], ...]] = DOCUMENTED

    @abstractmethod
    async def drive(self, stage: Stage) -> None:
        """Ask the client under test to do it. What happens is recorded; nothing is judged here."""

    async def control(self, stage: Stage) -> None:
        """The documented fault at the same target: the dashboard and the wizard each open a connection."""
        page = stage.page(fault=True)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await stage.until_it_reacted()

    def moot(self, control: Control, replacements: int) -> str | None:
        """Why there is nothing to judge at a target that did this in the control, and that replaced so many connections
        in the scenario itself; None where there is."""
        return None
