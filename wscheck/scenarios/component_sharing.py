"""Documented test 3: the dashboard and the wizard share the connection, and it lives as long as the last of them."""

from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario
from wscheck.scenarios.stage import Stage


class ComponentSharing(Scenario):
    id = "component-sharing"
    must_hold = "Unmounting one component keeps the other's connection; unmounting the last closes it."

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        dashboard, wizard = await page.mount(DASHBOARD), await page.mount(WIZARD)
        stage.expect("connected", page)
        asked = [event for event in stage.contract.events if event.emit is not None]
        trigger = next((event for event in asked if event.emit == stage.cast.trigger), None)
        # The same event asked for twice may come with the same payload twice, and be no duplicate.
        other = next((event for event in asked if event is not trigger), None)
        if not asked:
            stage.unjudged("no event of the contract can be asked for: give one in wscheck.toml its `emit`")
        if trigger is not None and other is not None:
            await stage.ask(trigger, wizard, [dashboard, wizard])
        await dashboard.unmount()
        stage.expect("connected", page)
        if (last := other or trigger) is not None:
            await stage.ask(last, wizard, [wizard])
        await wizard.unmount()
        await stage.watch(stage.cast.grace * 2)
