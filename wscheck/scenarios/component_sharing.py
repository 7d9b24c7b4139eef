"""Documented test 3: the dashboard and the wizard share the connection, and it lives as long as the last of them."""

from wscheck.contract import ContractEvent
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario
from wscheck.scenarios.stage import Stage


class ComponentSharing(Scenario):
    id = "component-sharing"
    must_hold = "Unmounting one component keeps the other's connection; unmounting the last closes it."

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        dashboard, wizard = await page.mount(DASHBOARD), await page.mount(WIZARD)
        stage.expect("connected", page)
        trigger = _triggered(stage)
        if trigger is None:
            stage.unjudged("the contract names no event that the wizard's trigger makes the server send")
        else:
            await stage.ask(trigger, wizard, [dashboard, wizard])
        await dashboard.unmount()
        stage.expect("connected", page)
        other = next((e for e in stage.contract.events if e.emit is not None and e is not trigger), trigger)
        if other is not None:
            await stage.ask(other, wizard, [wizard])
        await wizard.unmount()
        await stage.watch(stage.cast.grace * 2)


def _triggered(stage: Stage) -> ContractEvent | None:
    return next((e for e in stage.contract.events if e.emit == stage.cast.trigger), None)
