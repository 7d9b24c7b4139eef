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
            stage.unjudged("no event of the contract can be asked for: give one in wscheck.toml its `emit`")
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
    """What the wizard makes the server send: the documented trigger's event, or of other applications any."""
    asked = [event for event in stage.contract.events if event.emit is not None]
    return next((event for event in asked if event.emit == stage.cast.trigger), asked[0] if asked else None)
